/* SPDX-License-Identifier: MIT
 *
 * Certificate and key of HTTPS, read at the start.
 */
#pragma once

#include <stdbool.h>

struct err;
struct settings;

struct tls {
    char *cert; /* owned PEM texts, NULL = plain HTTP */
    char *key;
};

/* Reads both files and sees that they are PEM and belong together. ERR_INVALID names the
 * setting and the file. */
bool tls_load(const struct settings *settings, struct tls *ret, struct err *err);
void tls_done(struct tls *tls);
