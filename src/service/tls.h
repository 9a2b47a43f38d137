/* SPDX-License-Identifier: MIT
 *
 * Certificate and key of HTTPS, read at the start.
 */
#pragma once

#include <stdbool.h>

struct err;
struct settings;
struct tls_identity;

/* Reads both files and checks that they are PEM and belong together. Free the identity with
 * tls_identity_free(); NULL = plain HTTP. ERR_INVALID names the setting and the file. */
bool tls_load(const struct settings *settings, struct tls_identity **ret, struct err *err);
