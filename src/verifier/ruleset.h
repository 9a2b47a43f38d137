/* SPDX-License-Identifier: MIT
 *
 * For packet_filter.c, nft_rules.c and iptables_rules.c: rules in the one form in which
 * they are judged. Each has already been compared with the view, all but for its ports.
 */
#pragma once

#include "verifier/packet_filter.h"

#define CHAINS_MAX 2048
#define RULES_MAX  16384
#define RANGES_MAX 262144

enum certainty { CERTAINTY_NO, CERTAINTY_MAYBE, CERTAINTY_YES };

enum rule_verdict {
    RULE_GOES_ON,  /* counts, logs, marks */
    RULE_UNTRACKS, /* goes on, and keeps it from connection tracking */
    RULE_ACCEPTS,
    RULE_DROPS, /* or rejects */
    RULE_RETURNS,
    RULE_JUMPS,
    RULE_GOES_TO,
    RULE_LEADS,     /* to another address */
    RULE_REDIRECTS, /* to another port of this machine */
    RULE_UNSURE,    /* does something that is not known here */
};

/* What connection tracking says of a new connection, as a set. Before it has seen the
 * packet, that counts as invalid. */
#define TRACKED_NEW     1u
#define TRACKED_NOT     2u
#define TRACKED_INVALID 4u
#define TRACKED_ANY     (TRACKED_NEW | TRACKED_NOT | TRACKED_INVALID)

struct port_range {
    uint16_t first, last;
};

struct rule {
    enum certainty match; /* without its ports and its states */
    unsigned states;      /* TRACKED_*: of these only */
    bool has_ports;       /* and its port must be in the ranges, or outside of them */
    bool is_outside;
    size_t first_range;
    size_t range_count;
    enum rule_verdict verdict;
    size_t target; /* RULE_JUMPS, RULE_GOES_TO: a chain */
    char to[ADDRESS_TEXT_SIZE];
    size_t next; /* in the same chain, or NONE */
};

#define NONE ((size_t)-1)

enum chain_hook {
    HOOK_NONE,
    HOOK_LEADS,  /* destinations are translated here */
    HOOK_FILTERS /* what comes in from outside passes it on its way to this machine */
};

struct chain {
    char name[FILTER_NAME_SIZE]; /* "table inet filter, chain input" */
    enum chain_hook hook;
    bool is_early;  /* HOOK_FILTERS: before connection tracking */
    bool is_unsure; /* whether what comes in passes it */
    bool drops_by_policy;
    bool is_declared;
    size_t first, last; /* rules, or NONE */
};

struct ruleset {
    struct filter_view view;
    struct chain *chains; /* owned, as are the next two */
    size_t chain_count, chain_size;
    struct rule *rules;
    size_t rule_count, rule_size;
    struct port_range *ranges;
    size_t range_count, range_size;
    bool has_failed; /* without memory, or beyond a limit */
};

enum certainty certainty_not(enum certainty certainty);

/* The chain of that name, which is added if it is not there. NONE: failed. */
size_t ruleset_chain(struct ruleset *ruleset, const char *name);

/* Appends a copy to a chain. */
void ruleset_rule(struct ruleset *ruleset, size_t chain, const struct rule *rule);

/* Appends a range to a rule that is about to be appended itself. */
void ruleset_range(struct ruleset *ruleset, struct rule *rule, unsigned first,
                   unsigned last);

/* Notes one more condition of a rule. */
void rule_require(struct rule *rule, enum certainty certainty);

/* Whether the connection arrives by an interface of that name; `wildcard` is the character
 * that stands at the end of a prefix. */
enum certainty view_has_interface(const struct filter_view *view, const char *name,
                                  char wildcard);

/* Whether it goes to an address of "192.0.2.0/24", "192.0.2.0/255.255.255.0" or
 * "192.0.2.1-192.0.2.9", or to that one address; whether it comes from one. */
enum certainty view_has_address(const struct filter_view *view, const char *text);
enum certainty view_has_source(const struct filter_view *view, const char *text);

/* Whether its source port is in a range. Which one it is, is not known: one from 1024 on.
 */
enum certainty source_port_is_in(unsigned first, unsigned last);

/* The bit of a flag in the header of TCP, in capitals or not; 0: there is no such flag. All
 * connections begin with SYN alone. */
#define TCP_FLAG_SYN 0x02u
unsigned tcp_flag_of(const char *name, size_t len);
