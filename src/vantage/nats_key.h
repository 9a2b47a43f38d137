/* SPDX-License-Identifier: MIT
 *
 * The key of a NATS user, as `nsc`, `nk` and contrib/nats/make-keys write it: base32 of a
 * prefix, an Ed25519 seed and a checksum. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define NATS_SEED_LEN   58 /* SU... */
#define NATS_PUBLIC_LEN 56 /* U... */

struct nats_key {
    char seed[NATS_SEED_LEN + 1];
    char public_text[NATS_PUBLIC_LEN + 1];
};

/* False unless it is the seed of a user, with its checksum and nothing around it. */
bool nats_key_parse(const char *text, size_t len, struct nats_key *ret);

/* From a credentials file, or a file with a seed alone: the lines with seed and JWT. Empty
 * lines and comments (#) are skipped. False if there is no seed. `*ret_jwt` is NULL if
 * there is none, otherwise borrowed from the text. */
bool nats_key_file_parse(const char *text, struct nats_key *ret, const char **ret_jwt,
                         size_t *ret_jwt_len);
