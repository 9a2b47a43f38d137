/* SPDX-License-Identifier: MIT
 *
 * What `nft -j list ruleset` writes: libnftables-json(5).
 */
#include "verifier/nft_match.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CONNTRACK_PRIORITY (-200) /* of the kernel's connection tracking */

/* Of netdev tables too: ingress comes first. */
static bool is_of_family(const struct nft_reader *reader, const char *family)
{
    return strcmp(family, "inet") == 0 || strcmp(family, "netdev") == 0 ||
           strcmp(family, reader->ruleset->view.family == AF_INET ? "ip" : "ip6") == 0;
}

static size_t chain_of(const struct nft_reader *reader, const char *family,
                       const char *table, const char *chain)
{
    char name[FILTER_NAME_SIZE];
    int len = snprintf(name, sizeof name, "table %s %s, chain %s", family, table, chain);
    if (len < 0 || (size_t)len >= sizeof name) {
        reader->ruleset->has_failed = true; /* it could be taken for another */
        return NONE;
    }
    return ruleset_chain(reader->ruleset, name);
}

/* --- what a rule does ----------------------------------------------------------------- */

static bool verdict_read(const struct nft_reader *reader, struct rule *rule,
                         const char *name, const json_t *value)
{
    static const struct {
        const char *name;
        enum rule_verdict verdict;
    } rows[] = {
        {"accept", RULE_ACCEPTS},   {"drop", RULE_DROPS},         {"reject", RULE_DROPS},
        {"return", RULE_RETURNS},   {"redirect", RULE_REDIRECTS}, {"dnat", RULE_LEADS},
        {"jump", RULE_JUMPS},       {"goto", RULE_GOES_TO},       {"queue", RULE_UNSURE},
        {"tproxy", RULE_UNSURE},    {"synproxy", RULE_UNSURE},    {"vmap", RULE_UNSURE},
        {"notrack", RULE_UNTRACKS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].name, name) != 0)
            continue;
        rule->verdict = rows[i].verdict;
        if (rule->verdict == RULE_JUMPS || rule->verdict == RULE_GOES_TO)
            rule->target =
                chain_of(reader, reader->family, reader->table, nft_text(value, "target"));
        return true;
    }
    return false;
}

/* What a map holds, which is written out or has a name; NULL if that is not known. */
static const json_t *pairs_of(const struct nft_reader *reader, const json_t *map)
{
    const json_t *data = json_object_get(map, "data");
    const char *name = json_string_value(data);
    return name && name[0] == '@' ? nft_set(reader, name) : json_object_get(data, "set");
}

/* "dnat to 10.88.0.2:8080", or to what a map has for the port. */
static void lead_read(const struct nft_reader *reader, struct rule *rule,
                      const json_t *dnat)
{
    const json_t *to = json_object_get(dnat, "addr");
    const json_t *map = json_object_get(to, "map");
    const json_t *pairs = pairs_of(reader, map);
    if (json_is_string(to)) {
        snprintf(rule->to, sizeof rule->to, "%s", json_string_value(to));
        return;
    }
    snprintf(rule->to, sizeof rule->to, "another address");
    if (!nft_is_port(json_object_get(map, "key")) || !json_is_array(pairs)) {
        rule_require(rule, CERTAINTY_MAYBE);
        return;
    }
    json_t *ports = json_array();
    for (size_t i = 0; i < json_array_size(pairs); i++)
        json_array_append(ports, json_array_get(json_array_get(pairs, i), 0));
    nft_ports(reader, rule, ports, false);
    json_decref(ports);
}

static void rule_finish(const struct nft_reader *reader, size_t chain,
                        const struct rule *rule)
{
    if (rule->match != CERTAINTY_NO)
        ruleset_rule(reader->ruleset, chain, rule);
}

/* Requires what a pair of a map has for its key, which is of several parts or of one. */
static void key_require(const struct nft_reader *reader, struct rule *rule,
                        const json_t *key, const json_t *value)
{
    const json_t *keys = json_object_get(key, "concat");
    const json_t *values = json_object_get(value, "concat");
    const size_t count = keys ? json_array_size(keys) : 1;
    if (keys && json_array_size(values) != count) {
        rule_require(rule, CERTAINTY_MAYBE);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *part = keys ? json_array_get(keys, i) : key;
        const json_t *right = keys ? json_array_get(values, i) : value;
        if (nft_is_port(part))
            nft_ports(reader, rule, right, false);
        else if (nft_is_state(part))
            nft_states(reader, rule, right, false);
        else
            rule_require(rule, nft_compare(reader, part, right));
    }
}

/* "ct state vmap { established : accept, invalid : drop }" is a rule for each pair. */
static void vmap_read(const struct nft_reader *reader, size_t chain,
                      const struct rule *rule, const json_t *vmap)
{
    const json_t *key = json_object_get(vmap, "key");
    const json_t *pairs = pairs_of(reader, vmap);
    if (!json_is_array(pairs)) {
        rule_finish(reader, chain, rule);
        return;
    }
    for (size_t i = 0; i < json_array_size(pairs) && i < NFT_ELEMENTS_MAX; i++) {
        const json_t *pair = json_array_get(pairs, i);
        const json_t *value = nft_value(json_array_get(pair, 0));
        const char *name = json_object_iter_key(json_object_iter(json_array_get(pair, 1)));
        struct rule one = *rule;
        key_require(reader, &one, key, value);
        if (!name || !verdict_read(reader, &one, name,
                                   json_object_get(json_array_get(pair, 1), name)))
            one.verdict = RULE_UNSURE;
        rule_finish(reader, chain, &one);
    }
}

/* "add @met { ip saddr limit rate over 5/second }" goes on for some connections only. */
static bool has_measure(const json_t *statement)
{
    const json_t *parts = json_object_get(statement, "stmt");
    bool is_list = json_is_array(parts);
    for (size_t i = 0; i < (is_list ? json_array_size(parts) : parts != NULL); i++)
        if (!json_object_get(is_list ? json_array_get(parts, i) : parts, "counter"))
            return true;
    return false;
}

/* Statements that do not decide, and hold for every connection. */
static bool is_aside(const char *name, const json_t *statement)
{
    if (has_measure(statement))
        return false;
    static const char *const names[] = {"counter",    "log",   "mangle", "comment",
                                        "masquerade", "snat",  "set",    "map",
                                        "ct helper",  "meter", "last"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void rule_read(struct nft_reader *reader, const json_t *entry)
{
    reader->family = nft_text(entry, "family");
    reader->table = nft_text(entry, "table");
    size_t chain =
        chain_of(reader, reader->family, reader->table, nft_text(entry, "chain"));
    struct rule rule = {.match = CERTAINTY_YES, .states = TRACKED_ANY};
    const json_t *expressions = json_object_get(entry, "expr");
    const json_t *vmap = NULL;
    for (size_t i = 0; i < json_array_size(expressions); i++) {
        json_t *expression = json_array_get(expressions, i);
        const char *name = json_object_iter_key(json_object_iter(expression));
        const json_t *value = name ? json_object_get(expression, name) : NULL;
        if (name && strcmp(name, "match") == 0)
            nft_match(reader, &rule, value);
        else if (!name ||
                 (!verdict_read(reader, &rule, name, value) && !is_aside(name, value)))
            rule_require(&rule, CERTAINTY_MAYBE); /* a rate, a quota, a number of them */
        if (name && strcmp(name, "dnat") == 0)
            lead_read(reader, &rule, value);
        if (name && strcmp(name, "vmap") == 0)
            vmap = value;
    }
    if (vmap)
        vmap_read(reader, chain, &rule, vmap);
    else
        rule_finish(reader, chain, &rule);
}

/* --- chains and tables ---------------------------------------------------------------- */

static bool has_xt(const json_t *rule)
{
    const json_t *expressions = json_object_get(rule, "expr");
    for (size_t i = 0; i < json_array_size(expressions); i++)
        if (json_object_get(json_array_get(expressions, i), "xt"))
            return true;
    return false;
}

static bool is_foreign(const struct nft_reader *reader, const json_t *object)
{
    for (size_t i = 0; i < reader->foreign_count; i++)
        if (nft_is_in_table(object, nft_text(reader->foreign[i], "family"),
                            nft_text(reader->foreign[i], "table")))
            return true;
    return false;
}

static void foreign_find(struct nft_reader *reader)
{
    for (size_t i = 0; i < json_array_size(reader->all); i++) {
        const json_t *rule = json_object_get(json_array_get(reader->all, i), "rule");
        if (!rule || !has_xt(rule) || is_foreign(reader, rule))
            continue;
        if (reader->foreign_count == NFT_FOREIGN_MAX)
            reader->ruleset->has_failed = true;
        else
            reader->foreign[reader->foreign_count++] = rule;
    }
}

/* At ingress, a chain sees one device: it may be the part of a bridge or a bond that has
 * our address, and some versions of nft do not tell it. */
static void device_require(const struct nft_reader *reader, struct chain *chain,
                           const json_t *device)
{
    const char *name = json_string_value(device);
    enum certainty found =
        name ? view_has_interface(&reader->ruleset->view, name, '*') : CERTAINTY_MAYBE;
    chain->is_unsure = found != CERTAINTY_YES;
    if (name && strcmp(name, "lo") == 0)
        chain->hook = HOOK_NONE;
}

static void chain_read(const struct nft_reader *reader, const json_t *entry)
{
    const char *type = nft_text(entry, "type");
    const char *hook = nft_text(entry, "hook");
    bool is_early = strcmp(hook, "prerouting") == 0;
    size_t at = chain_of(reader, nft_text(entry, "family"), nft_text(entry, "table"),
                         nft_text(entry, "name"));
    if (at == NONE)
        return;
    struct chain *chain = &reader->ruleset->chains[at];
    if (strcmp(type, "nat") == 0 && is_early)
        chain->hook = HOOK_LEADS;
    else if (strcmp(type, "filter") == 0 &&
             (is_early || strcmp(hook, "input") == 0 || strcmp(hook, "ingress") == 0))
        chain->hook = HOOK_FILTERS;
    chain->drops_by_policy = strcmp(nft_text(entry, "policy"), "drop") == 0;
    chain->is_early = strcmp(hook, "ingress") == 0 ||
                      (is_early && json_integer_value(json_object_get(entry, "prio")) <
                                       CONNTRACK_PRIORITY);
    if (strcmp(hook, "ingress") == 0)
        device_require(reader, chain, json_object_get(entry, "dev"));
}

bool ruleset_add_nft(struct ruleset *ruleset, const char *text, size_t len,
                     bool *ret_has_foreign)
{
    json_t *root = json_loadb(text, len, 0, NULL);
    struct nft_reader reader = {
        .ruleset = ruleset,
        .all = json_object_get(root, "nftables"),
    };
    bool is_readable = json_is_array(reader.all);
    foreign_find(&reader);
    for (size_t i = 0; i < json_array_size(reader.all) && !ruleset->has_failed; i++) {
        const json_t *entry = json_array_get(reader.all, i);
        const json_t *chain = json_object_get(entry, "chain");
        const json_t *rule = json_object_get(entry, "rule");
        const json_t *object = chain ? chain : rule;
        if (!object || !is_of_family(&reader, nft_text(object, "family")) ||
            is_foreign(&reader, object))
            continue;
        if (chain)
            chain_read(&reader, chain);
        else
            rule_read(&reader, rule);
    }
    json_decref(root);
    *ret_has_foreign = reader.foreign_count > 0;
    return is_readable && !ruleset->has_failed;
}
