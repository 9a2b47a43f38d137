/* SPDX-License-Identifier: MIT
 *
 * Certificate, key and priority string of HTTPS, read at the start.
 */
#pragma once

#include <stdbool.h>

struct err;
struct settings;
struct tls_identity;

/* Reads both files and checks that they are PEM and belong together, and checks the
 * priority string, and that a handshake is possible. Free the identity with
 * tls_identity_free(); NULL = plain HTTP. ERR_INVALID names the setting and the file or the
 * string. */
bool tls_load(const struct settings *settings, struct tls_identity **ret, struct err *err);
