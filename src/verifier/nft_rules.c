/* SPDX-License-Identifier: MIT
 *
 * What `nft -j list ruleset` writes: libnftables-json(5).
 */
#include "verifier/ruleset.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ELEMENTS_MAX 65536 /* of one set */
#define DEPTH_MAX    8     /* of sets within sets */
#define FOREIGN_MAX  32

struct reader {
    struct ruleset *ruleset;
    const json_t *all;                  /* the objects of the rule set */
    const json_t *foreign[FOREIGN_MAX]; /* rules, each of a table that iptables keeps */
    size_t foreign_count;
    const char *family, *table; /* of the rule being read */
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool is_in_table(const json_t *object, const char *family, const char *table)
{
    return strcmp(text_of(object, "family"), family) == 0 &&
           strcmp(text_of(object, "table"), table) == 0;
}

/* Of netdev tables too: ingress comes first. */
static bool is_of_family(const struct reader *reader, const char *family)
{
    return strcmp(family, "inet") == 0 || strcmp(family, "netdev") == 0 ||
           strcmp(family, reader->ruleset->view.family == AF_INET ? "ip" : "ip6") == 0;
}

static size_t chain_of(const struct reader *reader, const char *family, const char *table,
                       const char *chain)
{
    char name[FILTER_NAME_SIZE];
    int len = snprintf(name, sizeof name, "table %s %s, chain %s", family, table, chain);
    if (len < 0 || (size_t)len >= sizeof name) {
        reader->ruleset->has_failed = true; /* it could be taken for another */
        return NONE;
    }
    return ruleset_chain(reader->ruleset, name);
}

/* --- values --------------------------------------------------------------------------- */

/* The elements of "@name"; NULL if there is no such set. */
static const json_t *set_find(const struct reader *reader, const char *name)
{
    for (size_t i = 0; i < json_array_size(reader->all); i++) {
        const json_t *entry = json_array_get(reader->all, i);
        const json_t *set = json_object_get(entry, "set");
        set = set ? set : json_object_get(entry, "map");
        if (set && is_in_table(set, reader->family, reader->table) &&
            strcmp(text_of(set, "name"), name + 1) == 0)
            return json_object_get(set, "elem");
    }
    return NULL;
}

/* Whether a value, which is no list, is the one that is looked for. */
typedef enum certainty(value_fn)(const struct reader *reader, const json_t *value,
                                 void *ctx);

static const json_t *value_open(const json_t *value)
{
    const json_t *element = json_object_get(value, "elem");
    return element ? json_object_get(element, "val") : value;
}

/* The best that any of the values of a right side is. */
static enum certainty values_ask(const struct reader *reader, const json_t *right,
                                 value_fn *fn, void *ctx)
{
    const char *name = json_string_value(right);
    const json_t *list = json_object_get(right, "set");
    list = list ? list : json_is_array(right) ? right : NULL;
    if (name && name[0] == '@') {
        list = set_find(reader, name);
        if (!list)
            return CERTAINTY_MAYBE; /* also one that is empty: it may be filled later */
    }
    if (!list)
        return fn(reader, right, ctx);
    if (!json_is_array(list))
        return fn(reader, value_open(list), ctx);

    enum certainty best = CERTAINTY_NO;
    for (size_t i = 0; i < json_array_size(list); i++) {
        enum certainty one = i < ELEMENTS_MAX
                                 ? fn(reader, value_open(json_array_get(list, i)), ctx)
                                 : CERTAINTY_MAYBE;
        best = one > best ? one : best;
    }
    return best;
}

static enum certainty value_is_word(const struct reader *reader, const json_t *value,
                                    void *ctx)
{
    (void)reader;
    const char *word = json_string_value(value);
    if (!word)
        return CERTAINTY_MAYBE;
    return strcmp(word, ctx) == 0 ? CERTAINTY_YES : CERTAINTY_NO;
}

static enum certainty value_is_tcp(const struct reader *reader, const json_t *value,
                                   void *ctx)
{
    (void)reader;
    (void)ctx;
    if (json_is_integer(value))
        return json_integer_value(value) == IPPROTO_TCP ? CERTAINTY_YES : CERTAINTY_NO;
    const char *word = json_string_value(value);
    if (!word)
        return CERTAINTY_MAYBE;
    return strcmp(word, "tcp") == 0 ? CERTAINTY_YES : CERTAINTY_NO;
}

static enum certainty value_is_interface(const struct reader *reader, const json_t *value,
                                         void *ctx)
{
    (void)ctx;
    const char *name = json_string_value(value);
    return name ? view_has_interface(&reader->ruleset->view, name, '*') : CERTAINTY_MAYBE;
}

static enum certainty value_is_address(const struct reader *reader, const json_t *value,
                                       void *ctx)
{
    (void)ctx;
    const json_t *prefix = json_object_get(value, "prefix");
    const char *address = prefix ? text_of(prefix, "addr") : json_string_value(value);
    char text[ADDRESS_TEXT_SIZE + 8];
    if (!address)
        return CERTAINTY_MAYBE;
    if (prefix)
        snprintf(text, sizeof text, "%s/%d", address,
                 (int)json_integer_value(json_object_get(prefix, "len")));
    else
        snprintf(text, sizeof text, "%s", address);
    return view_has_address(&reader->ruleset->view, text);
}

/* Adds a port, or a range of them, to a rule. */
static enum certainty value_add_ports(const struct reader *reader, const json_t *value,
                                      void *ctx)
{
    const json_t *range = json_object_get(value, "range");
    const json_t *first = range ? json_array_get(range, 0) : value;
    const json_t *last = range ? json_array_get(range, 1) : value;
    json_int_t from = json_integer_value(first);
    json_int_t to = json_integer_value(last);
    if (!json_is_integer(first) || !json_is_integer(last) || from < 0 || to > UINT16_MAX)
        return CERTAINTY_MAYBE; /* the name of a service, or several values at once */
    ruleset_range(reader->ruleset, ctx, (unsigned)from, (unsigned)to);
    return CERTAINTY_NO;
}

/* --- conditions ----------------------------------------------------------------------- */

static void ports_require(const struct reader *reader, struct rule *rule,
                          const json_t *right, bool is_outside)
{
    if (rule->has_ports) {
        rule_require(rule, CERTAINTY_MAYBE);
        return;
    }
    /* A value that is not known may hold the port. */
    if (values_ask(reader, right, value_add_ports, rule) != CERTAINTY_NO) {
        rule->range_count = 0;
        rule_require(rule, CERTAINTY_MAYBE);
        return;
    }
    rule->has_ports = true;
    rule->is_outside = is_outside;
}

static enum certainty payload_ask(const struct reader *reader, const json_t *payload,
                                  const json_t *right)
{
    const char *protocol = text_of(payload, "protocol");
    const char *field = text_of(payload, "field");
    bool is_ip = strcmp(protocol, "ip") == 0 || strcmp(protocol, "ip6") == 0;
    bool is_other =
        strcmp(protocol, reader->ruleset->view.family == AF_INET ? "ip6" : "ip") == 0;
    if (is_other || strcmp(protocol, "udp") == 0 || strncmp(protocol, "icmp", 4) == 0)
        return CERTAINTY_NO;
    if (is_ip && strcmp(field, "daddr") == 0)
        return values_ask(reader, right, value_is_address, NULL);
    if (is_ip && (strcmp(field, "protocol") == 0 || strcmp(field, "nexthdr") == 0))
        return values_ask(reader, right, value_is_tcp, NULL);
    return CERTAINTY_MAYBE;
}

static enum certainty meta_ask(const struct reader *reader, const char *key,
                               const json_t *right)
{
    static char ipv4[] = "ipv4";
    static char ipv6[] = "ipv6";
    if (strcmp(key, "iifname") == 0 || strcmp(key, "iif") == 0)
        return values_ask(reader, right, value_is_interface, NULL);
    if (strcmp(key, "l4proto") == 0)
        return values_ask(reader, right, value_is_tcp, NULL);
    if (strcmp(key, "nfproto") == 0)
        return values_ask(reader, right, value_is_word,
                          reader->ruleset->view.family == AF_INET ? ipv4 : ipv6);
    return CERTAINTY_MAYBE;
}

/* It is new, and nothing has led it elsewhere: such a connection goes another way. */
static enum certainty ct_ask(const struct reader *reader, const char *key,
                             const json_t *right)
{
    static char fresh[] = "new";
    if (strcmp(key, "state") == 0)
        return values_ask(reader, right, value_is_word, fresh);
    const char *word = json_string_value(right);
    return strcmp(key, "status") == 0 && word && strcmp(word, "dnat") == 0
               ? CERTAINTY_NO
               : CERTAINTY_MAYBE;
}

static enum certainty fib_ask(const json_t *fib, const json_t *right)
{
    const json_t *flags = json_object_get(fib, "flags");
    const char *flag =
        json_string_value(json_is_array(flags) ? json_array_get(flags, 0) : flags);
    const char *word = json_string_value(right);
    if (strcmp(text_of(fib, "result"), "type") != 0 || !flag || !word ||
        strcmp(flag, "daddr") != 0 || (json_is_array(flags) && json_array_size(flags) > 1))
        return CERTAINTY_MAYBE;
    return strcmp(word, "local") == 0 ? CERTAINTY_YES : CERTAINTY_NO;
}

/* Whether a port of the connection's destination is compared. */
static bool is_port(const json_t *left)
{
    const json_t *payload = json_object_get(left, "payload");
    const char *protocol = text_of(payload, "protocol");
    return (strcmp(protocol, "tcp") == 0 || strcmp(protocol, "th") == 0) &&
           strcmp(text_of(payload, "field"), "dport") == 0;
}

static enum certainty left_ask(const struct reader *reader, const json_t *left,
                               const json_t *right)
{
    const json_t *payload = json_object_get(left, "payload");
    const json_t *meta = json_object_get(left, "meta");
    const json_t *ct = json_object_get(left, "ct");
    const json_t *fib = json_object_get(left, "fib");
    if (payload)
        return payload_ask(reader, payload, right);
    if (meta)
        return meta_ask(reader, text_of(meta, "key"), right);
    if (ct)
        return ct_ask(reader, text_of(ct, "key"), right);
    return fib ? fib_ask(fib, right) : CERTAINTY_MAYBE;
}

static void match_read(const struct reader *reader, struct rule *rule, const json_t *match)
{
    const char *op = text_of(match, "op");
    const json_t *left = json_object_get(match, "left");
    const json_t *right = json_object_get(match, "right");
    bool is_not = strcmp(op, "!=") == 0;
    bool is_known = is_not || strcmp(op, "==") == 0 || strcmp(op, "in") == 0;
    const char *protocol = text_of(json_object_get(left, "payload"), "protocol");
    if (!is_known) {
        rule_require(rule, CERTAINTY_MAYBE);
    } else if (is_port(left)) {
        ports_require(reader, rule, right, is_not);
    } else if (strcmp(protocol, "udp") == 0 || strncmp(protocol, "icmp", 4) == 0) {
        rule_require(rule, CERTAINTY_NO); /* whatever is compared */
    } else {
        enum certainty found = left_ask(reader, left, right);
        rule_require(rule, is_not ? certainty_not(found) : found);
    }
}

/* --- what a rule does ----------------------------------------------------------------- */

static bool verdict_read(const struct reader *reader, struct rule *rule, const char *name,
                         const json_t *value)
{
    static const struct {
        const char *name;
        enum rule_verdict verdict;
    } rows[] = {
        {"accept", RULE_ACCEPTS}, {"drop", RULE_DROPS},       {"reject", RULE_DROPS},
        {"return", RULE_RETURNS}, {"redirect", RULE_ACCEPTS}, {"dnat", RULE_LEADS},
        {"jump", RULE_JUMPS},     {"goto", RULE_GOES_TO},     {"queue", RULE_UNSURE},
        {"tproxy", RULE_UNSURE},  {"synproxy", RULE_UNSURE},  {"vmap", RULE_UNSURE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].name, name) != 0)
            continue;
        rule->verdict = rows[i].verdict;
        if (rule->verdict == RULE_JUMPS || rule->verdict == RULE_GOES_TO)
            rule->target =
                chain_of(reader, reader->family, reader->table, text_of(value, "target"));
        return true;
    }
    return false;
}

/* "dnat to 10.88.0.2:8080", or to what a map has for the port. */
static void lead_read(const struct reader *reader, struct rule *rule, const json_t *dnat)
{
    const json_t *to = json_object_get(dnat, "addr");
    const json_t *map = json_object_get(to, "map");
    const json_t *pairs = json_object_get(json_object_get(map, "data"), "set");
    if (json_is_string(to)) {
        snprintf(rule->to, sizeof rule->to, "%s", json_string_value(to));
        return;
    }
    snprintf(rule->to, sizeof rule->to, "another address");
    if (!is_port(json_object_get(map, "key")) || !json_is_array(pairs)) {
        rule_require(rule, CERTAINTY_MAYBE);
        return;
    }
    json_t *ports = json_array();
    for (size_t i = 0; i < json_array_size(pairs); i++)
        json_array_append(ports, json_array_get(json_array_get(pairs, i), 0));
    ports_require(reader, rule, ports, false);
    json_decref(ports);
}

static void rule_finish(const struct reader *reader, size_t chain, const struct rule *rule)
{
    if (rule->match != CERTAINTY_NO)
        ruleset_rule(reader->ruleset, chain, rule);
}

/* "ct state vmap { established : accept, invalid : drop }" is a rule for each pair. */
static void vmap_read(const struct reader *reader, size_t chain, const struct rule *rule,
                      const json_t *vmap)
{
    const json_t *key = json_object_get(vmap, "key");
    const json_t *pairs = json_object_get(json_object_get(vmap, "data"), "set");
    if (!json_is_array(pairs)) {
        rule_finish(reader, chain, rule);
        return;
    }
    for (size_t i = 0; i < json_array_size(pairs) && i < ELEMENTS_MAX; i++) {
        const json_t *pair = json_array_get(pairs, i);
        const json_t *value = value_open(json_array_get(pair, 0));
        const char *name = json_object_iter_key(json_object_iter(json_array_get(pair, 1)));
        struct rule one = *rule;
        if (is_port(key))
            ports_require(reader, &one, value, false);
        else
            rule_require(&one, left_ask(reader, key, value));
        if (!name || !verdict_read(reader, &one, name,
                                   json_object_get(json_array_get(pair, 1), name)))
            one.verdict = RULE_UNSURE;
        rule_finish(reader, chain, &one);
    }
}

/* Statements that do not decide, and hold for every connection. */
static bool is_aside(const char *name)
{
    static const char *const names[] = {"counter", "log",        "mangle", "notrack",
                                        "comment", "masquerade", "snat",   "set",
                                        "map",     "ct helper",  "meter",  "last"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void rule_read(struct reader *reader, const json_t *entry)
{
    reader->family = text_of(entry, "family");
    reader->table = text_of(entry, "table");
    size_t chain = chain_of(reader, reader->family, reader->table, text_of(entry, "chain"));
    struct rule rule = {.match = CERTAINTY_YES};
    const json_t *expressions = json_object_get(entry, "expr");
    const json_t *vmap = NULL;
    for (size_t i = 0; i < json_array_size(expressions); i++) {
        json_t *expression = json_array_get(expressions, i);
        const char *name = json_object_iter_key(json_object_iter(expression));
        const json_t *value = name ? json_object_get(expression, name) : NULL;
        if (name && strcmp(name, "match") == 0)
            match_read(reader, &rule, value);
        else if (!name || (!verdict_read(reader, &rule, name, value) && !is_aside(name)))
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

static bool is_foreign(const struct reader *reader, const json_t *object)
{
    for (size_t i = 0; i < reader->foreign_count; i++)
        if (is_in_table(object, text_of(reader->foreign[i], "family"),
                        text_of(reader->foreign[i], "table")))
            return true;
    return false;
}

static void foreign_find(struct reader *reader)
{
    for (size_t i = 0; i < json_array_size(reader->all); i++) {
        const json_t *rule = json_object_get(json_array_get(reader->all, i), "rule");
        if (!rule || !has_xt(rule) || is_foreign(reader, rule))
            continue;
        if (reader->foreign_count == FOREIGN_MAX)
            reader->ruleset->has_failed = true;
        else
            reader->foreign[reader->foreign_count++] = rule;
    }
}

static void chain_read(const struct reader *reader, const json_t *entry)
{
    const char *type = text_of(entry, "type");
    const char *hook = text_of(entry, "hook");
    bool is_early = strcmp(hook, "prerouting") == 0;
    size_t at = chain_of(reader, text_of(entry, "family"), text_of(entry, "table"),
                         text_of(entry, "name"));
    if (at == NONE)
        return;
    struct chain *chain = &reader->ruleset->chains[at];
    if (strcmp(type, "nat") == 0 && is_early)
        chain->hook = HOOK_LEADS;
    else if (strcmp(type, "filter") == 0 &&
             (is_early || strcmp(hook, "input") == 0 || strcmp(hook, "ingress") == 0))
        chain->hook = HOOK_FILTERS;
    chain->drops_by_policy = strcmp(text_of(entry, "policy"), "drop") == 0;
}

bool ruleset_add_nft(struct ruleset *ruleset, const char *text, size_t len,
                     bool *ret_has_foreign)
{
    json_t *root = json_loadb(text, len, 0, NULL);
    struct reader reader = {
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
        if (!object || !is_of_family(&reader, text_of(object, "family")) ||
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
