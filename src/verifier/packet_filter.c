/* SPDX-License-Identifier: MIT */
#include "verifier/ruleset.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define DEPTH_MAX 16     /* of chains that jump to chains: the limit of nftables */
#define STEPS_MAX 200000 /* rules looked at for one port */

bool port_filter_equals(const struct port_filter *a, const struct port_filter *b)
{
    return a->is_known == b->is_known && a->is_led == b->is_led &&
           a->is_redirected == b->is_redirected && a->drop == b->drop &&
           strcmp(a->to, b->to) == 0 && strcmp(a->where, b->where) == 0;
}

/* --- the rules ------------------------------------------------------------------------ */

struct ruleset *ruleset_new(const struct filter_view *view)
{
    struct ruleset *ruleset = calloc(1, sizeof *ruleset);
    if (ruleset)
        ruleset->view = *view;
    return ruleset;
}

struct ruleset *ruleset_free(struct ruleset *ruleset)
{
    if (!ruleset)
        return NULL;

    free(ruleset->chains);
    free(ruleset->rules);
    free(ruleset->ranges);
    free(ruleset);
    return NULL;
}

/* Room for one more, or NULL. */
static void *grow(struct ruleset *ruleset, void *all, size_t count, size_t *size,
                  size_t most, size_t each)
{
    if (!ruleset->has_failed && count < *size)
        return all;
    size_t wanted = *size > 0 ? 2 * *size : 64;
    void *grown =
        !ruleset->has_failed && count < most ? reallocarray(all, wanted, each) : NULL;
    if (grown)
        *size = wanted;
    else
        ruleset->has_failed = true;
    return grown;
}

size_t ruleset_chain(struct ruleset *ruleset, const char *name)
{
    for (size_t i = 0; i < ruleset->chain_count; i++)
        if (strcmp(ruleset->chains[i].name, name) == 0)
            return i;
    struct chain *chains = grow(ruleset, ruleset->chains, ruleset->chain_count,
                                &ruleset->chain_size, CHAINS_MAX, sizeof *chains);
    if (!chains)
        return NONE;

    ruleset->chains = chains;
    struct chain *chain = &chains[ruleset->chain_count];
    *chain = (struct chain){.first = NONE, .last = NONE};
    memcpy(chain->name, name, strnlen(name, sizeof chain->name - 1));
    return ruleset->chain_count++;
}

void ruleset_rule(struct ruleset *ruleset, size_t chain, const struct rule *rule)
{
    struct rule *rules = grow(ruleset, ruleset->rules, ruleset->rule_count,
                              &ruleset->rule_size, RULES_MAX, sizeof *rules);
    if (!rules || chain == NONE)
        return;

    ruleset->rules = rules;
    rules[ruleset->rule_count] = *rule;
    rules[ruleset->rule_count].next = NONE;
    struct chain *to = &ruleset->chains[chain];
    if (to->last == NONE)
        to->first = ruleset->rule_count;
    else
        rules[to->last].next = ruleset->rule_count;
    to->last = ruleset->rule_count++;
}

void ruleset_range(struct ruleset *ruleset, struct rule *rule, unsigned first,
                   unsigned last)
{
    struct port_range *ranges = grow(ruleset, ruleset->ranges, ruleset->range_count,
                                     &ruleset->range_size, RANGES_MAX, sizeof *ranges);
    if (!ranges)
        return;

    ruleset->ranges = ranges;
    ranges[ruleset->range_count] = (struct port_range){(uint16_t)first, (uint16_t)last};
    if (rule->range_count == 0)
        rule->first_range = ruleset->range_count;
    ruleset->range_count++;
    rule->range_count++;
}

/* --- conditions ----------------------------------------------------------------------- */

enum certainty certainty_not(enum certainty certainty)
{
    return CERTAINTY_YES - certainty;
}

void rule_require(struct rule *rule, enum certainty certainty)
{
    if (certainty < rule->match)
        rule->match = certainty;
}

enum certainty view_has_interface(const struct filter_view *view, const char *name,
                                  char wildcard)
{
    size_t len = strlen(name);
    bool is_prefix = len > 0 && name[len - 1] == wildcard;
    if (strcmp(name, "lo") == 0)
        return CERTAINTY_NO;
    if (!view->interface[0])
        return CERTAINTY_MAYBE;
    bool is_it = is_prefix ? strncmp(view->interface, name, len - 1) == 0
                           : strcmp(view->interface, name) == 0;
    return is_it ? CERTAINTY_YES : CERTAINTY_NO;
}

/* First and last address of what a rule names. */
struct address_range {
    int family;
    uint8_t first[16], last[16];
    size_t size;
    bool is_all;
};

/* "24", or of IPv4 "255.255.255.0"; false also for a mask with holes. */
static bool prefix_parse(const char *text, uint64_t most, uint64_t *ret)
{
    struct address mask;
    size_t size;
    if (text_parse_u64(text, strlen(text), most, ret))
        return true;
    if (!address_parse(text, strlen(text), &mask, NULL) || mask.sa.sa_family != AF_INET)
        return false;
    const uint8_t *bytes = address_bytes(&mask, &size);
    for (*ret = 0; *ret < most && (bytes[*ret / 8] >> (7 - *ret % 8)) & 1;)
        ++*ret;
    for (uint64_t i = *ret; i < most; i++)
        if ((bytes[i / 8] >> (7 - i % 8)) & 1)
            return false;
    return true;
}

static bool range_parse(const char *text, struct address_range *ret)
{
    struct address first;
    struct address last;
    const char *end = text + strcspn(text, "/-");
    if (!address_parse(text, (size_t)(end - text), &first, NULL))
        return false;
    last = first;
    if (*end == '-' && !address_parse(end + 1, strlen(end + 1), &last, NULL))
        return false;
    *ret = (struct address_range){.family = first.sa.sa_family};
    const uint8_t *first_bytes = address_bytes(&first, &ret->size);
    const uint8_t *last_bytes = address_bytes(&last, &ret->size);
    uint64_t bits = 8 * ret->size;
    if (last.sa.sa_family != ret->family ||
        (*end == '/' && !prefix_parse(end + 1, bits, &bits)))
        return false;
    memcpy(ret->first, first_bytes, ret->size);
    memcpy(ret->last, last_bytes, ret->size);
    ret->is_all = bits == 0;
    for (size_t i = (size_t)bits; i < 8 * ret->size; i++) {
        ret->first[i / 8] &= (uint8_t)~(0x80u >> i % 8);
        ret->last[i / 8] |= (uint8_t)(0x80u >> i % 8);
    }
    return true;
}

static bool range_has(const struct address_range *range, const struct address *address)
{
    size_t size;
    const uint8_t *bytes = address_bytes(address, &size);
    return size == range->size && memcmp(bytes, range->first, size) >= 0 &&
           memcmp(bytes, range->last, size) <= 0;
}

static enum certainty view_has(const struct filter_view *view,
                               const struct address *addresses, size_t count,
                               const char *text)
{
    struct address_range range;
    size_t inside = 0;
    if (!range_parse(text, &range))
        return CERTAINTY_MAYBE;
    if (range.family != view->family)
        return CERTAINTY_NO;
    if (range.is_all)
        return CERTAINTY_YES;
    for (size_t i = 0; i < count; i++)
        inside += range_has(&range, &addresses[i]);
    if (count == 0 || (inside > 0 && inside < count))
        return CERTAINTY_MAYBE;
    return inside > 0 ? CERTAINTY_YES : CERTAINTY_NO;
}

enum certainty view_has_address(const struct filter_view *view, const char *text)
{
    return view_has(view, &view->address, view->has_address, text);
}

enum certainty view_has_source(const struct filter_view *view, const char *text)
{
    return view_has(view, view->sources, view->source_count, text);
}

enum certainty source_port_is_in(unsigned first, unsigned last)
{
    if (last < 1024)
        return CERTAINTY_NO;
    return first <= 1024 && last == UINT16_MAX ? CERTAINTY_YES : CERTAINTY_MAYBE;
}

unsigned tcp_flag_of(const char *name, size_t len)
{
    static const struct {
        const char *name;
        unsigned bit;
    } rows[] = {{"fin", 0x01}, {"syn", TCP_FLAG_SYN}, {"rst", 0x04}, {"psh", 0x08},
                {"ack", 0x10}, {"urg", 0x20},         {"ecn", 0x40}, {"cwr", 0x80}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strlen(rows[i].name) == len && strncasecmp(rows[i].name, name, len) == 0)
            return rows[i].bit;
    return 0;
}

/* --- the way of one connection -------------------------------------------------------- */

/* `states` is the set of those that the connection may have. */
static enum certainty rule_matches(const struct ruleset *ruleset, const struct rule *rule,
                                   uint16_t port, unsigned states)
{
    bool is_inside = false;
    for (size_t i = 0; i < rule->range_count; i++) {
        const struct port_range *range = &ruleset->ranges[rule->first_range + i];
        is_inside = is_inside || (port >= range->first && port <= range->last);
    }
    if ((rule->has_ports && is_inside == rule->is_outside) || !(states & rule->states))
        return CERTAINTY_NO;
    bool is_unsure = (states & ~rule->states) != 0 && rule->match == CERTAINTY_YES;
    return is_unsure ? CERTAINTY_MAYBE : rule->match;
}

/* Where a walk is: in which chains, at which rule of each, and whether it is certain that
 * it gets there. */
struct place {
    size_t chain;
    size_t rule;
    bool is_unsure;
};

struct walk {
    const struct ruleset *ruleset;
    unsigned states; /* TRACKED_*: that the connection may have */
    struct place places[DEPTH_MAX];
    size_t depth;
    bool may_accept, may_drop;
    size_t may_drop_in;

    unsigned
        later_states; /* what it may have afterwards, if a rule kept it from tracking */
    bool is_led;
    bool is_other; /* it may be led elsewhere, or to another port: then filters see that */
    const char *to;
    enum filter_drop drop;
    size_t drop_in; /* a chain */
};

static void walk_end(struct walk *walk, bool is_dropped, size_t chain)
{
    walk->depth = 0;
    if (is_dropped) {
        walk->drop = walk->may_accept ? FILTER_DROP_MAYBE : FILTER_DROP_CERTAIN;
        walk->drop_in = chain;
    } else if (walk->may_drop) {
        walk->drop = FILTER_DROP_MAYBE;
        walk->drop_in = walk->may_drop_in;
    }
}

static void walk_enter(struct walk *walk, size_t chain, bool is_unsure, bool is_goto)
{
    bool is_unknown = walk->depth == DEPTH_MAX || chain == NONE;
    if (is_unknown) {
        walk->may_accept = walk->may_drop = true;
        return;
    }
    if (is_goto)
        walk->depth--;
    walk->places[walk->depth++] =
        (struct place){chain, walk->ruleset->chains[chain].first, is_unsure};
}

static void walk_maybe_drop(struct walk *walk, size_t chain)
{
    if (!walk->may_drop)
        walk->may_drop_in = chain;
    walk->may_drop = true;
}

static void rule_apply(struct walk *walk, struct place *place, const struct rule *rule,
                       bool is_unsure)
{
    const size_t chain = place->chain;
    switch (rule->verdict) {
    case RULE_GOES_ON:
        return;
    case RULE_UNTRACKS:
        walk->later_states = TRACKED_NOT | (is_unsure ? TRACKED_NEW : 0);
        return;
    case RULE_ACCEPTS:
        walk->may_accept = true;
        if (!is_unsure)
            walk_end(walk, false, chain);
        return;
    case RULE_DROPS:
        if (is_unsure)
            walk_maybe_drop(walk, chain);
        else
            walk_end(walk, true, chain);
        return;
    case RULE_LEADS:
        walk->is_other = true;
        if (is_unsure) {
            walk->may_accept = true;
            return;
        }
        walk->is_led = !walk->may_accept;
        walk->to = rule->to;
        walk->depth = 0;
        return;
    case RULE_REDIRECTS:
        walk->is_other = walk->may_accept = true;
        if (!is_unsure)
            walk->depth = 0;
        return;
    case RULE_RETURNS:
        if (is_unsure)
            place->is_unsure = true; /* the rest of this chain may be left out */
        else
            walk->depth--;
        return;
    case RULE_JUMPS:
        walk_enter(walk, rule->target, is_unsure, false);
        return;
    case RULE_GOES_TO:
        /* One that may not be taken leaves the rest of this chain unsure. */
        place->is_unsure = is_unsure;
        walk_enter(walk, rule->target, is_unsure, !is_unsure);
        return;
    case RULE_UNSURE:
        walk->may_accept = true;
        walk_maybe_drop(walk, chain);
        return;
    }
}

static void walk_end_by_policy(struct walk *walk, size_t base)
{
    const struct chain *chain = &walk->ruleset->chains[base];
    walk->may_accept = walk->may_accept || chain->is_unsure;
    walk_end(walk, chain->drops_by_policy, base);
}

/* Through one base chain. */
static void walk_chain(struct walk *walk, size_t base, uint16_t port)
{
    const struct ruleset *ruleset = walk->ruleset;
    walk->may_accept = walk->may_drop = false;
    walk_enter(walk, base, ruleset->chains[base].is_unsure, false);
    for (size_t steps = 0; walk->depth > 0; steps++) {
        struct place *place = &walk->places[walk->depth - 1];
        if (steps == STEPS_MAX) {
            walk_maybe_drop(walk, base);
            walk_end(walk, false, base);
            return;
        }
        if (place->rule == NONE) {
            if (--walk->depth == 0)
                walk_end_by_policy(walk, base);
            continue;
        }
        const struct rule *rule = &ruleset->rules[place->rule];
        enum certainty match = rule_matches(ruleset, rule, port, walk->states);
        place->rule = rule->next;
        size_t depth = walk->depth;
        if (match == CERTAINTY_NO)
            continue;
        rule_apply(walk, place, rule, match == CERTAINTY_MAYBE || place->is_unsure);
        bool is_base_left = depth == 1 && rule->verdict == RULE_RETURNS && walk->depth == 0;
        if (is_base_left)
            walk_end_by_policy(walk, base);
    }
}

/* Through the filters before or after connection tracking. `is_other`: the ports may be
 * others by then. Returns the states that the connection may have afterwards. */
static unsigned filters_walk(const struct ruleset *ruleset, uint16_t port, bool is_early,
                             unsigned states, bool is_other, struct port_filter *found)
{
    unsigned later_states = TRACKED_NEW;
    for (size_t i = 0; i < ruleset->chain_count; i++) {
        const struct chain *chain = &ruleset->chains[i];
        struct walk walk = {.ruleset = ruleset, .states = states};
        if (chain->hook != HOOK_FILTERS || chain->is_early != is_early)
            continue;
        walk_chain(&walk, i, port);
        if (walk.later_states != 0)
            later_states = walk.later_states;
        if (walk.drop <= found->drop)
            continue;
        found->drop = is_other ? FILTER_DROP_MAYBE : walk.drop;
        memcpy(found->where, ruleset->chains[walk.drop_in].name, sizeof found->where);
    }
    return later_states;
}

/* Through the translation of destinations; connections that are not tracked pass it by.
 * Returns whether they may go elsewhere. */
static bool leads_walk(const struct ruleset *ruleset, uint16_t port, unsigned states,
                       struct port_filter *found)
{
    bool is_other = false;
    for (size_t i = 0; i < ruleset->chain_count && !found->is_led; i++) {
        struct walk walk = {.ruleset = ruleset, .states = TRACKED_NEW};
        if (ruleset->chains[i].hook != HOOK_LEADS || !(states & TRACKED_NEW))
            continue;
        walk_chain(&walk, i, port);
        found->is_led = walk.is_led && states == TRACKED_NEW;
        is_other = is_other || walk.is_other;
        memcpy(found->to, found->is_led ? walk.to : "",
               found->is_led ? sizeof found->to : 1);
    }
    return is_other;
}

struct port_filter ruleset_judge(const struct ruleset *ruleset, uint16_t port)
{
    struct port_filter found = {.is_known = true};
    unsigned states = filters_walk(ruleset, port, true, TRACKED_INVALID, false, &found);
    if (found.drop == FILTER_DROP_CERTAIN)
        return found;

    bool is_other = leads_walk(ruleset, port, states, &found);
    if (found.is_led) {
        found.drop = FILTER_DROP_NO;
        found.where[0] = '\0';
        return found;
    }
    found.is_redirected = is_other;
    filters_walk(ruleset, port, false, states, is_other, &found);
    return found;
}
