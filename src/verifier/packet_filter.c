/* SPDX-License-Identifier: MIT */
#include "verifier/ruleset.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define DEPTH_MAX 16     /* of chains that jump to chains: the limit of nftables */
#define STEPS_MAX 200000 /* rules looked at for one port */

bool port_filter_equals(const struct port_filter *a, const struct port_filter *b)
{
    return a->is_known == b->is_known && a->is_led == b->is_led && a->drop == b->drop &&
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

enum certainty view_has_address(const struct filter_view *view, const char *text)
{
    struct address address;
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (!address_parse(text, len, &address, NULL))
        return CERTAINTY_MAYBE;
    uint64_t bits = address.sa.sa_family == AF_INET ? 32 : 128;
    if (slash && !text_parse_u64(slash + 1, strlen(slash + 1), bits, &bits))
        return CERTAINTY_MAYBE; /* a netmask in dotted form */
    if (address.sa.sa_family != view->family)
        return CERTAINTY_NO;
    if (bits == 0)
        return CERTAINTY_YES;
    if (!view->has_address)
        return CERTAINTY_MAYBE;
    size_t size;
    return address_has_prefix(&view->address, view->family, address_bytes(&address, &size),
                              (unsigned)bits)
               ? CERTAINTY_YES
               : CERTAINTY_NO;
}

/* --- the way of one connection -------------------------------------------------------- */

static enum certainty rule_matches(const struct ruleset *ruleset, const struct rule *rule,
                                   uint16_t port)
{
    bool is_inside = false;
    for (size_t i = 0; i < rule->range_count; i++) {
        const struct port_range *range = &ruleset->ranges[rule->first_range + i];
        is_inside = is_inside || (port >= range->first && port <= range->last);
    }
    if (rule->has_ports && is_inside == rule->is_outside)
        return CERTAINTY_NO;
    return rule->match;
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
    struct place places[DEPTH_MAX];
    size_t depth;
    bool may_accept, may_drop;
    size_t may_drop_in;

    bool is_led;
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
        if (is_unsure) {
            walk->may_accept = true;
            return;
        }
        walk->is_led = !walk->may_accept;
        walk->to = rule->to;
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

/* Through one base chain. */
static void walk_chain(struct walk *walk, size_t base, uint16_t port)
{
    const struct ruleset *ruleset = walk->ruleset;
    walk->may_accept = walk->may_drop = false;
    walk_enter(walk, base, false, false);
    for (size_t steps = 0; walk->depth > 0; steps++) {
        struct place *place = &walk->places[walk->depth - 1];
        if (steps == STEPS_MAX) {
            walk_maybe_drop(walk, base);
            walk_end(walk, false, base);
            return;
        }
        if (place->rule == NONE) {
            if (--walk->depth == 0)
                walk_end(walk, ruleset->chains[base].drops_by_policy, base);
            continue;
        }
        const struct rule *rule = &ruleset->rules[place->rule];
        enum certainty match = rule_matches(ruleset, rule, port);
        place->rule = rule->next;
        size_t depth = walk->depth;
        if (match == CERTAINTY_NO)
            continue;
        rule_apply(walk, place, rule, match == CERTAINTY_MAYBE || place->is_unsure);
        bool is_base_left = depth == 1 && rule->verdict == RULE_RETURNS && walk->depth == 0;
        if (is_base_left)
            walk_end(walk, ruleset->chains[base].drops_by_policy, base);
    }
}

struct port_filter ruleset_judge(const struct ruleset *ruleset, uint16_t port)
{
    struct port_filter found = {.is_known = true};
    for (size_t i = 0; i < ruleset->chain_count && !found.is_led; i++) {
        struct walk walk = {.ruleset = ruleset};
        if (ruleset->chains[i].hook != HOOK_LEADS)
            continue;
        walk_chain(&walk, i, port);
        found.is_led = walk.is_led;
        memcpy(found.to, walk.is_led ? walk.to : "", walk.is_led ? sizeof found.to : 1);
    }
    for (size_t i = 0; i < ruleset->chain_count && !found.is_led; i++) {
        struct walk walk = {.ruleset = ruleset};
        if (ruleset->chains[i].hook != HOOK_FILTERS)
            continue;
        walk_chain(&walk, i, port);
        if (walk.drop <= found.drop)
            continue;
        found.drop = walk.drop;
        memcpy(found.where, ruleset->chains[walk.drop_in].name, sizeof found.where);
    }
    return found;
}
