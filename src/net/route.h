/* SPDX-License-Identifier: MIT
 *
 * Questions to this machine's kernel about an address. Each costs a few microseconds
 * and no packet.
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>

struct err;

/* Whether packets to `to` go through a gateway (rather than to a neighbour on the link or
 * to this machine itself). ERR_SYSTEM when the kernel knows no route. */
bool route_has_gateway(const struct address *to, bool *ret_has_gateway, struct err *err);

/* Does the neighbour answer (ARP, neighbour discovery) to which packets for `to` go? The
 * kernel reports its failure only now and then, and drops what waits for it. */
enum route_hop {
    ROUTE_HOP_UNKNOWN,      /* it does, or there is nothing to say */
    ROUTE_HOP_TARGET_DEAD,  /* the target is a neighbour, and does not */
    ROUTE_HOP_GATEWAY_DEAD, /* the gateway does not: nothing is known of the target */
};
enum route_hop route_next_hop(const struct address *to);

/* Whether this machine has an address of its own from which to reach `to`; where IPv6 is
 * switched off, it has none, and connect(2) says EADDRNOTAVAIL as it does when all source
 * ports are taken. True when that cannot be found out. */
bool route_has_source(const struct address *to);

/* Whether an address is one of this machine's own: of an interface, or 127.0.0.0/8. Where
 * the machine is told to bind foreign addresses (ip_nonlocal_bind), every address counts as
 * its own: the safe side for who asks. */
bool route_is_ours(const struct address *address);
