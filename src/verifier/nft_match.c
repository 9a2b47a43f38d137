/* SPDX-License-Identifier: MIT */
#include "verifier/nft_match.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define ADDRESSES_SIZE (2 * ADDRESS_TEXT_SIZE + 8)

const char *nft_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

bool nft_is_in_table(const json_t *object, const char *family, const char *table)
{
    return strcmp(nft_text(object, "family"), family) == 0 &&
           strcmp(nft_text(object, "table"), table) == 0;
}

/* --- values --------------------------------------------------------------------------- */

/* The elements of "@name"; NULL if there is no such set. */
const json_t *nft_set(const struct nft_reader *reader, const char *name)
{
    for (size_t i = 0; i < json_array_size(reader->all); i++) {
        const json_t *entry = json_array_get(reader->all, i);
        const json_t *set = json_object_get(entry, "set");
        set = set ? set : json_object_get(entry, "map");
        if (set && nft_is_in_table(set, reader->family, reader->table) &&
            strcmp(nft_text(set, "name"), name + 1) == 0)
            return json_object_get(set, "elem");
    }
    return NULL;
}

/* Whether a value, which is no list, is the one that is looked for. */
typedef enum certainty(value_fn)(const struct nft_reader *reader, const json_t *value,
                                 void *ctx);

const json_t *nft_value(const json_t *value)
{
    const json_t *element = json_object_get(value, "elem");
    return element ? json_object_get(element, "val") : value;
}

/* The best that any of the values of a right side is. */
static enum certainty values_ask(const struct nft_reader *reader, const json_t *right,
                                 value_fn *fn, void *ctx)
{
    const char *name = json_string_value(right);
    const json_t *list = json_object_get(right, "set");
    list = list ? list : json_is_array(right) ? right : NULL;
    if (name && name[0] == '@') {
        list = nft_set(reader, name);
        if (!list)
            return CERTAINTY_MAYBE; /* also one that is empty: it may be filled later */
    }
    if (!list)
        return fn(reader, right, ctx);
    if (!json_is_array(list))
        return fn(reader, nft_value(list), ctx);

    enum certainty best = CERTAINTY_NO;
    for (size_t i = 0; i < json_array_size(list); i++) {
        enum certainty one = i < NFT_ELEMENTS_MAX
                                 ? fn(reader, nft_value(json_array_get(list, i)), ctx)
                                 : CERTAINTY_MAYBE;
        best = one > best ? one : best;
    }
    return best;
}

static enum certainty value_is_word(const struct nft_reader *reader, const json_t *value,
                                    void *ctx)
{
    (void)reader;
    const char *word = json_string_value(value);
    if (!word)
        return CERTAINTY_MAYBE;
    return strcmp(word, ctx) == 0 ? CERTAINTY_YES : CERTAINTY_NO;
}

/* Both words are for the same. */
static enum certainty value_is_unicast(const struct nft_reader *reader, const json_t *value,
                                       void *ctx)
{
    static char host[] = "host";
    static char unicast[] = "unicast";
    (void)ctx;
    enum certainty found = value_is_word(reader, value, host);
    return found == CERTAINTY_NO ? value_is_word(reader, value, unicast) : found;
}

static enum certainty value_is_tcp(const struct nft_reader *reader, const json_t *value,
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

static enum certainty value_is_interface(const struct nft_reader *reader,
                                         const json_t *value, void *ctx)
{
    (void)ctx;
    const char *name = json_string_value(value);
    return name ? view_has_interface(&reader->ruleset->view, name, '*') : CERTAINTY_MAYBE;
}

/* "192.0.2.1", {"prefix": ...} or {"range": ...}, as packet_filter.c reads them. */
static void address_write(const json_t *value, char ret[static ADDRESSES_SIZE])
{
    const json_t *prefix = json_object_get(value, "prefix");
    const json_t *range = json_object_get(value, "range");
    const char *one = json_string_value(value);
    const char *first = json_string_value(json_array_get(range, 0));
    const char *last = json_string_value(json_array_get(range, 1));
    if (prefix)
        snprintf(ret, ADDRESSES_SIZE, "%s/%d", nft_text(prefix, "addr"),
                 (int)json_integer_value(json_object_get(prefix, "len")));
    else
        snprintf(ret, ADDRESSES_SIZE, "%s%s%s",
                 one     ? one
                 : first ? first
                         : "",
                 last ? "-" : "", last ? last : "");
}

static enum certainty value_is_address(const struct nft_reader *reader, const json_t *value,
                                       void *ctx)
{
    char text[ADDRESSES_SIZE];
    (void)ctx;
    address_write(value, text);
    return view_has_address(&reader->ruleset->view, text);
}

static enum certainty value_is_source(const struct nft_reader *reader, const json_t *value,
                                      void *ctx)
{
    char text[ADDRESSES_SIZE];
    (void)ctx;
    address_write(value, text);
    return view_has_source(&reader->ruleset->view, text);
}

static enum certainty value_is_source_port(const struct nft_reader *reader,
                                           const json_t *value, void *ctx)
{
    const json_t *range = json_object_get(value, "range");
    const json_t *first = range ? json_array_get(range, 0) : value;
    const json_t *last = range ? json_array_get(range, 1) : value;
    (void)reader;
    (void)ctx;
    return json_is_integer(first) && json_is_integer(last)
               ? source_port_is_in((unsigned)json_integer_value(first),
                                   (unsigned)json_integer_value(last))
               : CERTAINTY_MAYBE;
}

/* Adds a port, or a range of them, to a rule. */
static enum certainty value_add_ports(const struct nft_reader *reader, const json_t *value,
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

void nft_ports(const struct nft_reader *reader, struct rule *rule, const json_t *right,
               bool is_outside)
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

/* "> 50000", "<= 1023" */
static void ports_beyond_require(const struct nft_reader *reader, struct rule *rule,
                                 const char *op, const json_t *right)
{
    json_int_t limit = json_integer_value(right);
    json_int_t first = op[0] == '<' ? 0 : op[1] == '=' ? limit : limit + 1;
    json_int_t last = op[0] == '>' ? UINT16_MAX : op[1] == '=' ? limit : limit - 1;
    if (!json_is_integer(right) || rule->has_ports || first < 0 || first > last ||
        last > UINT16_MAX) {
        rule_require(rule, CERTAINTY_MAYBE);
        return;
    }
    ruleset_range(reader->ruleset, rule, (unsigned)first, (unsigned)last);
    rule->has_ports = true;
}

static enum certainty payload_ask(const struct nft_reader *reader, const json_t *payload,
                                  const json_t *right)
{
    const char *protocol = nft_text(payload, "protocol");
    const char *field = nft_text(payload, "field");
    bool is_ip = strcmp(protocol, "ip") == 0 || strcmp(protocol, "ip6") == 0;
    bool is_other =
        strcmp(protocol, reader->ruleset->view.family == AF_INET ? "ip6" : "ip") == 0;
    if (is_other || strcmp(protocol, "udp") == 0 || strncmp(protocol, "icmp", 4) == 0)
        return CERTAINTY_NO;
    if (is_ip && strcmp(field, "saddr") == 0)
        return values_ask(reader, right, value_is_source, NULL);
    if (strcmp(field, "sport") == 0)
        return values_ask(reader, right, value_is_source_port, NULL);
    if (is_ip && strcmp(field, "daddr") == 0)
        return values_ask(reader, right, value_is_address, NULL);
    if (is_ip && (strcmp(field, "protocol") == 0 || strcmp(field, "nexthdr") == 0))
        return values_ask(reader, right, value_is_tcp, NULL);
    return CERTAINTY_MAYBE;
}

static enum certainty meta_ask(const struct nft_reader *reader, const char *key,
                               const json_t *right)
{
    static char ipv4[] = "ipv4";
    static char ipv6[] = "ipv6";
    static char ip[] = "ip";
    static char ip6[] = "ip6";
    const bool is_ipv4 = reader->ruleset->view.family == AF_INET;
    if (strcmp(key, "iifname") == 0 || strcmp(key, "iif") == 0)
        return values_ask(reader, right, value_is_interface, NULL);
    if (strcmp(key, "l4proto") == 0)
        return values_ask(reader, right, value_is_tcp, NULL);
    if (strcmp(key, "nfproto") == 0)
        return values_ask(reader, right, value_is_word, is_ipv4 ? ipv4 : ipv6);
    if (strcmp(key, "protocol") == 0)
        return values_ask(reader, right, value_is_word, is_ipv4 ? ip : ip6);
    if (strcmp(key, "pkttype") == 0)
        return values_ask(reader, right, value_is_unicast, NULL);
    return CERTAINTY_MAYBE;
}

/* Nothing has redirected it: such a connection goes another way. */
static enum certainty ct_ask(const char *key, const json_t *right)
{
    const char *word = json_string_value(right);
    return strcmp(key, "status") == 0 && word && strcmp(word, "dnat") == 0
               ? CERTAINTY_NO
               : CERTAINTY_MAYBE;
}

/* Its address is one of this machine's, of the interface by which it comes in; and that is
 * also the one by which replies leave, as the connections to checkers did. */
static enum certainty fib_ask(const struct nft_reader *reader, const json_t *fib,
                              const json_t *right)
{
    static char local[] = "local";
    const char *result = nft_text(fib, "result");
    const json_t *flags = json_object_get(fib, "flags");
    const char *flag =
        json_string_value(json_is_array(flags) ? json_array_get(flags, 0) : flags);
    bool has_more = json_is_array(flags) && json_array_size(flags) > 1;
    if (!flag || (has_more && !reader->ruleset->view.interface[0]))
        return CERTAINTY_MAYBE;
    if (strcmp(result, "type") == 0 && strcmp(flag, "daddr") == 0)
        return values_ask(reader, right, value_is_word, local);
    if (strcmp(result, "oif") == 0 && strcmp(flag, "saddr") == 0 && json_is_boolean(right))
        return json_is_true(right) ? CERTAINTY_YES : CERTAINTY_NO;
    return CERTAINTY_MAYBE;
}

/* --- flags of TCP --------------------------------------------------------------------- */

/* "syn", ["fin", "syn"] or {"|": [...]}; false: not known. */
static bool flags_read(const json_t *value, unsigned *ret)
{
    const json_t *list = json_is_array(value) ? value : json_object_get(value, "|");
    const char *name = json_string_value(value);
    *ret = name ? tcp_flag_of(name, strlen(name)) : (unsigned)json_integer_value(value);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        unsigned bit = one ? tcp_flag_of(one, strlen(one)) : 0;
        if (bit == 0)
            return false;
        *ret |= bit;
    }
    return list || json_is_integer(value) || (name && *ret != 0);
}

/* Compares `ctx`, the flags that count, with a value. */
static enum certainty value_is_flags(const struct nft_reader *reader, const json_t *value,
                                     void *ctx)
{
    unsigned flags;
    (void)reader;
    if (!flags_read(value, &flags))
        return CERTAINTY_MAYBE;
    return flags == *(const unsigned *)ctx ? CERTAINTY_YES : CERTAINTY_NO;
}

static bool is_flags(const json_t *left)
{
    const json_t *payload = json_object_get(left, "payload");
    return strcmp(nft_text(payload, "protocol"), "tcp") == 0 &&
           strcmp(nft_text(payload, "field"), "flags") == 0;
}

/* What `left` compares, if that is flags: those of a SYN, under a mask. */
static bool flags_compared(const json_t *left, unsigned *ret)
{
    const json_t *masked = json_object_get(left, "&");
    unsigned mask = TCP_FLAG_SYN;
    if (!is_flags(masked ? json_array_get(masked, 0) : left) ||
        (masked && !flags_read(json_array_get(masked, 1), &mask)))
        return false;
    *ret = TCP_FLAG_SYN & mask;
    return true;
}

static enum certainty flags_ask(const struct nft_reader *reader, const char *op,
                                unsigned compared, const json_t *right)
{
    unsigned flags;
    bool is_any = strcmp(op, "in") == 0;
    if (is_any || strcmp(op, "!") == 0) {
        if (!flags_read(right, &flags))
            return CERTAINTY_MAYBE;
        return ((compared & flags) != 0) == is_any ? CERTAINTY_YES : CERTAINTY_NO;
    }
    bool is_one = json_is_array(right); /* several flags at once, not several values */
    enum certainty found = is_one ? value_is_flags(reader, right, &compared)
                                  : values_ask(reader, right, value_is_flags, &compared);
    return strcmp(op, "!=") == 0 ? certainty_not(found) : found;
}

/* --- states --------------------------------------------------------------------------- */

bool nft_is_state(const json_t *left)
{
    return strcmp(nft_text(json_object_get(left, "ct"), "key"), "state") == 0;
}

void nft_states(const struct nft_reader *reader, struct rule *rule, const json_t *right,
                bool is_outside)
{
    static char words[][16] = {"new", "untracked",
                               "invalid"}; /* in the order of TRACKED_* */
    unsigned states = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        enum certainty found = values_ask(reader, right, value_is_word, words[i]);
        if (found == CERTAINTY_MAYBE)
            rule_require(rule, CERTAINTY_MAYBE);
        if (found != (is_outside ? CERTAINTY_YES : CERTAINTY_NO))
            states |= TRACKED_NEW << i;
    }
    rule->states &= states;
}

/* --- a condition ---------------------------------------------------------------------- */

/* Whether a port of the connection's destination is compared. */
bool nft_is_port(const json_t *left)
{
    const json_t *payload = json_object_get(left, "payload");
    const char *protocol = nft_text(payload, "protocol");
    return (strcmp(protocol, "tcp") == 0 || strcmp(protocol, "th") == 0) &&
           strcmp(nft_text(payload, "field"), "dport") == 0;
}

enum certainty nft_compare(const struct nft_reader *reader, const json_t *left,
                           const json_t *right)
{
    const json_t *payload = json_object_get(left, "payload");
    const json_t *meta = json_object_get(left, "meta");
    const json_t *ct = json_object_get(left, "ct");
    const json_t *fib = json_object_get(left, "fib");
    if (payload)
        return payload_ask(reader, payload, right);
    if (meta)
        return meta_ask(reader, nft_text(meta, "key"), right);
    if (ct)
        return ct_ask(nft_text(ct, "key"), right);
    return fib ? fib_ask(reader, fib, right) : CERTAINTY_MAYBE;
}

void nft_match(const struct nft_reader *reader, struct rule *rule, const json_t *match)
{
    const char *op = nft_text(match, "op");
    const json_t *left = json_object_get(match, "left");
    const json_t *right = json_object_get(match, "right");
    bool is_not = strcmp(op, "!=") == 0;
    bool is_known = is_not || strcmp(op, "==") == 0 || strcmp(op, "in") == 0;
    const char *protocol = nft_text(json_object_get(left, "payload"), "protocol");
    unsigned flags;
    if (flags_compared(left, &flags)) {
        rule_require(rule, flags_ask(reader, op, flags, right));
    } else if (nft_is_port(left) && (op[0] == '<' || op[0] == '>')) {
        ports_beyond_require(reader, rule, op, right);
    } else if (!is_known) {
        rule_require(rule, CERTAINTY_MAYBE);
    } else if (nft_is_port(left)) {
        nft_ports(reader, rule, right, is_not);
    } else if (nft_is_state(left)) {
        nft_states(reader, rule, right, is_not);
    } else if (strcmp(protocol, "udp") == 0 || strncmp(protocol, "icmp", 4) == 0) {
        rule_require(rule, CERTAINTY_NO); /* whatever is compared */
    } else {
        enum certainty found = nft_compare(reader, left, right);
        rule_require(rule, is_not ? certainty_not(found) : found);
    }
}
