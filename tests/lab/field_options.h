/* SPDX-License-Identifier: MIT
 *
 * What lab_field_host is told: words of the form NAME=FIELD,FIELD... All times are
 * milliseconds and all shares millionths unless the name says otherwise. An ACTION is
 * "drop", "reset", or TYPE/CODE for an ICMP error of this type and code.
 *
 *     seed=N                     of the generator; each host derives its own from it
 *     rtt_us=N                   half of it each way
 *     loss=SHARE                 of all packets, each way
 *     outages=GOOD,MIN,MAX       good times of 0 to 2 GOOD alternate with outages of MIN to
 *                                MAX, in which all packets are lost
 *     outage=N,MS                one outage, which begins after N SYN-ACKs
 *     path=low|xor|hash,M,DEAD   of M paths towards the host, number DEAD loses everything.
 *                                The number is the source port modulo M, the layer 3+4 hash
 *                                of Linux's bonding, or a good hash of the 4-tuple
 *     flap=MS,ACTION             what happens to all SYNs up to MS after the first
 *     scan=N,BAN,WINDOW,ACTION[,renew]   bans the source for BAN when it has touched more
 *                                than N ports within WINDOW; renew: each SYN prolongs it
 *     scan_closed=...            the same, but only ports that are not open count
 *     recent=HITS,SECONDS,ACTION xt_recent as `ufw limit` uses it, for new connections
 *     limit=PER_MINUTE,BURST,ACTION      netfilter's limit over all SYNs, repeated ones too
 *     connections=N,ACTION       connlimit: half-open and established ones
 *     resets=N                   resets of closed ports in a second, as in FreeBSD
 *     icmps=PER_MINUTE,BURST     ICMP errors
 *     icmp_from=router|target    who sends the ICMP errors
 *     ports=RANGES:KIND[:N]      what ports are; the others are closed. KIND is one of
 *                                open, closed, silent,
 *                                icmp:TYPE/CODE,
 *                                slow:MS (the SYN-ACK comes late),
 *                                queue:MS (SYNs are lost up to MS after the port's first),
 *                                skip:N (the port's first N SYNs are lost)
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define PORT_COUNT 65536

enum action_kind { ACTION_NONE, ACTION_DROP, ACTION_RESET, ACTION_ICMP };

struct action {
    enum action_kind kind; /* ACTION_NONE: the option was not given */
    uint8_t type, code;
};

enum port_kind {
    PORT_CLOSED,
    PORT_OPEN,
    PORT_SILENT,
    PORT_ICMP,
    PORT_SLOW,
    PORT_QUEUE,
    PORT_SKIP,
};

struct port_rule {
    enum port_kind kind;
    uint32_t number;
    struct action icmp;
};

enum path_kind { PATH_ANY, PATH_LOW, PATH_XOR, PATH_HASH };

struct scan_rule {
    uint64_t ports;
    struct span ban, window;
    struct action action;
    bool renews, counts_closed_only;
};

struct rate {
    uint64_t per_minute, burst; /* per_minute 0: no limit */
};

struct field_options {
    uint64_t seed, loss, outage_after, path_count, path_dead, recent_hits, connections,
        resets;
    struct span one_way, outages_good, outages_min, outages_max, outage, flap, recent;
    enum path_kind path;
    struct scan_rule scan;
    struct action flap_action, recent_action, limit_action, connections_action;
    struct rate limit, icmps;
    bool is_icmp_from_target;
    struct port_rule ports[PORT_COUNT];
};

/* Reads one word, which it cuts into pieces. False when it is not one of those above. */
bool field_options_read(struct field_options *options, char *word);
