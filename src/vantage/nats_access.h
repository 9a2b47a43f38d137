/* SPDX-License-Identifier: MIT
 *
 * What a connection to NATS needs from files and from the resolver: read once, by the
 * parent, which can still open files, and inherited by the child.
 */
#pragma once

#include "vantage/nats_key.h"

#include <stdbool.h>
#include <stddef.h>

struct err;
struct settings;

#define NATS_TARGETS_MAX 32

struct nats_target {
    bool is_tls;
    char url[64];   /* with an address in place of a name */
    char host[256]; /* that the certificate must have */
};

struct nats_access {
    size_t target_count;
    struct nats_target targets[NATS_TARGETS_MAX];
    char *ca;  /* owned, PEM; NULL without TLS */
    char *jwt; /* owned; NULL = a bare key, or none */
    struct nats_key key;
    bool has_key;
};

/* *ret is NULL if the settings name no server. ERR_INVALID names the setting and the file.
 * A host name that cannot be resolved is a warning in the log: if there is no address at
 * all, the service starts, but never connects. */
bool nats_access_load(const struct settings *settings, struct nats_access **ret,
                      struct err *err);

/* Clears the key. */
struct nats_access *nats_access_free(struct nats_access *access);
