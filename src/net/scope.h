/* SPDX-License-Identifier: MIT
 *
 * What an address is for, by the most specific row of the IANA special-purpose registries
 * and of our own additions (special_ranges.txt). An address that embeds an IPv4 address
 * (address_unembed) is treated as that address.
 */
#pragma once

#include "net/address.h"

enum address_scope {
    SCOPE_GLOBAL,    /* reachable from anywhere on the internet: ordinary IPv4, 2000::/3 */
    SCOPE_PRIVATE,   /* of a local network: RFC 1918, fc00::/7 */
    SCOPE_CARRIER,   /* of a provider's inner network: 100.64.0.0/10 */
    SCOPE_LINK,      /* of one link: 169.254.0.0/16 */
    SCOPE_ZONE,      /* of one link, useless without its zone: fe80::/10 */
    SCOPE_LOOPBACK,  /* of this machine: 127.0.0.0/8, ::1 */
    SCOPE_MULTICAST, /* a group: 224.0.0.0/4, ff00::/8 */
    SCOPE_RESERVED,  /* never a host: 0.0.0.0/8, 240.0.0.0/4, ::, IPv4-compatible ::/96 */
    SCOPE_SPECIAL,   /* anything else that is not global: documentation, benchmarks, ... */
};

enum address_scope address_scope(const struct address *address);
