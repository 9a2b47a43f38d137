/* SPDX-License-Identifier: MIT
 *
 * The network interface that has an address, and what it is.
 */
#pragma once

#include "net/address.h"

#include <net/if.h>

enum link_kind {
    LINK_PLAIN,     /* anything that is not one of these, or not known */
    LINK_TUNNEL,    /* a VPN: what arrives in it was sent by its other end */
    LINK_DIALED,    /* PPP: the line of an internet provider, or a VPN */
    LINK_CELLULAR,  /* the modem of a mobile network */
    LINK_CONTAINER, /* the inner network of containers or virtual machines */
};

struct link {
    char name[IF_NAMESIZE]; /* "" if no interface has the address */
    enum link_kind kind;
};

/* Pure. `driver` is that of ethtool, "" if unknown; `hardware` is ARPHRD_*, of which only
 * some say more than the name. */
enum link_kind link_kind_of(const char *name, const char *driver, unsigned hardware);

/* NULL: none. */
struct link link_find(const struct address *address);
