/* SPDX-License-Identifier: MIT
 *
 * For nft_rules.c: the conditions of rules, as `nft -j` writes them, compared with what is
 * known of a connection.
 */
#pragma once

#include "verifier/ruleset.h"

#include <jansson.h>

#define NFT_ELEMENTS_MAX 65536 /* of one set */
#define NFT_FOREIGN_MAX  32

struct nft_reader {
    struct ruleset *ruleset;
    const json_t *all;                      /* the objects of the rule set */
    const json_t *foreign[NFT_FOREIGN_MAX]; /* rules, each of a table that iptables keeps */
    size_t foreign_count;
    const char *family, *table; /* of the rule being read */
};

/* A member that is text, or "". */
const char *nft_text(const json_t *object, const char *key);

bool nft_is_in_table(const json_t *object, const char *family, const char *table);

/* The elements of the set or map "@name"; NULL if there are none. */
const json_t *nft_set(const struct nft_reader *reader, const char *name);

/* An element without its time and its comment. */
const json_t *nft_value(const json_t *value);

/* Whether it is the port of the connection's destination; requires that port of a rule. */
bool nft_is_port(const json_t *left);
void nft_ports(const struct nft_reader *reader, struct rule *rule, const json_t *right,
               bool is_outside);

/* Whether it is the state of a connection; requires one of `right` of a rule, or another.
 */
bool nft_is_state(const json_t *left);
void nft_states(const struct nft_reader *reader, struct rule *rule, const json_t *right,
                bool is_outside);

/* Whether what `left` names, which is neither of them, has a value of `right`. */
enum certainty nft_compare(const struct nft_reader *reader, const json_t *left,
                           const json_t *right);

/* Requires a condition of a rule. */
void nft_match(const struct nft_reader *reader, struct rule *rule, const json_t *match);
