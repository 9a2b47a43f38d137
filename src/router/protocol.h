/* SPDX-License-Identifier: MIT
 *
 * The protocols in which a program asks its router to forward ports, and what their result
 * codes mean: NAT-PMP (RFC 6886) and its successor PCP (RFC 6887), which use UDP between
 * the router's port 5351 and any port of ours; and UPnP IGD, which a separate program
 * speaks (verifier/upnp_mapper.h). Pure.
 */
#pragma once

#include <stdint.h>

#define ROUTER_PORT          5351 /* of the router: requests go to it, replies come from it */
#define ROUTER_ANNOUNCE_PORT 5350 /* of ours: for announcements to all on the link */

enum router_protocol {
    ROUTER_NATPMP, /* IPv4 only */
    ROUTER_PCP,    /* IPv4, and pinholes in the packet filter for IPv6 */
    ROUTER_UPNP,   /* the same */
    ROUTER_PROTOCOL_COUNT,
    ROUTER_DATAGRAM_COUNT =
        ROUTER_UPNP, /* those before it, with requests of one datagram */
};

/* "NAT-PMP", "PCP", "UPnP". */
const char *router_protocol_text(enum router_protocol protocol);

/* What a result code means for a program that asks for a mapping. */
enum router_meaning {
    ROUTER_GRANTED,
    ROUTER_REFUSES,       /* its configuration forbids it */
    ROUTER_FULL,          /* its table, or our share of it; or it has no public address */
    ROUTER_TAKEN,         /* not with that outer port or address */
    ROUTER_OFFLINE,       /* it has no connection, or no usable outer address */
    ROUTER_FAR,           /* a NAT lies between it and us */
    ROUTER_LACKS,         /* it does not support what was asked for */
    ROUTER_MISUNDERSTOOD, /* it says that our request is wrong, or uses an unknown code */
};

/* `name` is static, and that of the protocol's specification. */
struct router_result {
    enum router_meaning meaning;
    const char *name;
};
struct router_result router_result_of(enum router_protocol protocol, uint16_t code);
