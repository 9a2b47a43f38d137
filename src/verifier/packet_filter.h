/* SPDX-License-Identifier: MIT
 *
 * What the packet filter of this machine does with a new TCP connection that arrives from
 * outside: whether a rule redirects it elsewhere (DNAT: containers, virtual machines),
 * and whether one drops or rejects it. Rules are read as nft and iptables-save write them.
 * Pure; packet_filter_look.h runs the programs.
 *
 * Rules may depend on what is not known here (marks, rates, other modules).
 * Such a condition counts as "maybe", and nothing that depends on it is certain.
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILTER_NAME_SIZE 160

enum filter_drop {
    FILTER_DROP_NO,
    FILTER_DROP_MAYBE,
    FILTER_DROP_CERTAIN,
};

/* What was found for one port. All zero: nothing is known. */
struct port_filter {
    bool is_known;      /* the rules could be read */
    bool is_led;        /* certainly; then `drop` is NO */
    bool is_redirected; /* perhaps: to another port, or elsewhere */
    enum filter_drop drop;
    char to[ADDRESS_TEXT_SIZE];   /* is_led: the address, as the rule writes it */
    char where[FILTER_NAME_SIZE]; /* of `drop`: "table inet filter, chain input" */
};

bool port_filter_equals(const struct port_filter *a, const struct port_filter *b);

#define FILTER_SOURCES_MAX 8

/* What is known of the connections, besides their ports. */
struct filter_view {
    int family; /* AF_INET or AF_INET6 */
    bool has_address;
    struct address address; /* to which it goes */
    const char *interface;  /* by which it arrives; "" if unknown */
    /* Their senders: a condition that holds for some of them holds perhaps. 0: unknown. */
    struct address sources[FILTER_SOURCES_MAX];
    size_t source_count;
};

struct ruleset;

/* NULL without memory. The view is copied, but for its `interface`, which is borrowed. */
struct ruleset *ruleset_new(const struct filter_view *view);
struct ruleset *ruleset_free(struct ruleset *ruleset);

/* What `nft -j list ruleset` writes. Tables that iptables keeps in nftables are left out:
 * nft cannot show their rules whole. *ret_has_foreign: there are such. False: it cannot be
 * read, or is too large; then nothing that follows means anything. */
bool ruleset_add_nft(struct ruleset *ruleset, const char *json, size_t len,
                     bool *ret_has_foreign);

/* What iptables-save or ip6tables-save writes. */
bool ruleset_add_iptables(struct ruleset *ruleset, const char *text, size_t len);

/* With `is_known` set. */
struct port_filter ruleset_judge(const struct ruleset *ruleset, uint16_t port);
