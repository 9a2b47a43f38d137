/* SPDX-License-Identifier: MIT
 *
 * Is it us? connect(2) hides that a SYN never left: a firewall rule on our output, a full
 * connection tracking table and a full queue all look like a target that is silent. They
 * show in counters only. This module reads the counters and compares; while they move, no
 * silence counts.
 *
 * Signs:
 * - TCPRetransFail (/proc/net/netstat) rises: a repetition of a SYN, or of other data, was
 *   refused by this machine itself. One is enough.
 * - OutDiscards or OutNoRoutes (/proc/net/snmp, IPv4) rise by more than a tenth of the
 *   attempts that are silent: a machine whose other programs lack a route has some always.
 * - The connection tracking table has less than one in a hundred entries free.
 *
 * Reading takes some 30 microseconds. One thread each.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct suspicion_counts {
    uint64_t retrans_fail;
    uint64_t out_discards;
    uint64_t out_no_routes;
};

/* Takes one value out of the text of /proc/net/netstat or snmp: pairs of lines, the first
 * with names, the second with values, both beginning with `group` ("TcpExt:"). False when
 * it is not there. Pure. */
bool suspicion_counter_find(const char *text, size_t len, const char *group,
                            const char *name, uint64_t *ret);

/* The signs between two readings; `silent`: attempts that wait for an answer. Pure. */
bool suspicion_is_raised(const struct suspicion_counts *before,
                         const struct suspicion_counts *now, size_t silent);

/* Reads the counters of now; one that cannot be read stays 0. */
struct suspicion_counts suspicion_read(void);

/* Whether connection tracking is about to drop what we send. */
bool suspicion_of_tracking(void);
