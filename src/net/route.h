/* SPDX-License-Identifier: MIT
 *
 * Queries to this machine's kernel about an address. Each costs a few microseconds and
 * sends no packet.
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>

struct err;

/* Whether packets to `to` go through a gateway (rather than to a neighbour on the link or
 * to this machine itself). ERR_SYSTEM if the kernel has no route. */
bool route_has_gateway(const struct address *to, bool *ret_has_gateway, struct err *err);

/* The gateway for packets to `to`, with its zone if its address is link-local. False if
 * there is none, if its address is of the other family, or if the kernel has no route. */
bool route_gateway(const struct address *to, struct address *ret);

/* The gateway for packets to the internet over `family`, 4 or 6: usually the home's router.
 * They leave from `source`, an address of this machine, and through `interface`, each NULL
 * for what the kernel chooses; `ret_source` is the address from which they leave. False as
 * above. */
bool route_default_gateway(int family, const struct address *source, const char *interface,
                           struct address *ret, struct address *ret_source);

/* Whether the neighbour that receives packets for `to` answers (ARP, neighbour
 * discovery). The kernel reports a failure only occasionally, and drops the packets that
 * were waiting. */
enum route_hop {
    ROUTE_HOP_UNKNOWN,      /* it does, or the kernel does not know */
    ROUTE_HOP_TARGET_DEAD,  /* the target is a neighbour and does not */
    ROUTE_HOP_GATEWAY_DEAD, /* the gateway does not; the target's state is unknown */
};
enum route_hop route_next_hop(const struct address *to);

/* Whether `to`, an IPv4 address, is the broadcast address of a network of this machine, as
 * its routes say at this moment. False if this cannot be determined. */
bool route_is_broadcast(const struct address *to);

/* Whether this machine has a source address for `to`. If IPv6 is disabled it has none, and
 * connect(2) fails with EADDRNOTAVAIL, as it does when all source ports are in use. True if
 * this cannot be determined. */
bool route_has_source(const struct address *to);

/* Whether this machine has an address: on an interface, in 127.0.0.0/8, by a route of type
 * local, or as the anycast address of the routers of an IPv6 subnet. If the machine
 * may bind foreign addresses (ip_nonlocal_bind), every address counts as its own, which is
 * the safe answer for the callers. */
bool route_is_ours(const struct address *address);
