/* SPDX-License-Identifier: MIT */
#include "verifier/origin.h"

#include "net/scope.h"
#include "verifier/signs.h"

#include <ifaddrs.h>
#include <stddef.h>

static const char *const vantage_texts[] = {
#define X(NAME, text) [VANTAGE_##NAME] = (text),
    VANTAGE_MAP(X)
#undef X
};

const char *vantage_text(enum vantage vantage)
{
    return vantage_texts[vantage];
}

/* How far an address is valid. */
enum reach {
    REACH_PUBLIC,
    REACH_CARRIER,
    REACH_NETWORK,
    REACH_MACHINE,
    REACH_NONE, /* never the address of a caller */
};

static enum reach reach_of(const struct address *address)
{
    switch (address_scope(address)) {
    case SCOPE_GLOBAL:
    case SCOPE_SPECIAL:
        return REACH_PUBLIC;
    case SCOPE_CARRIER:
        return REACH_CARRIER;
    case SCOPE_PRIVATE:
    case SCOPE_LINK:
    case SCOPE_ZONE:
        return REACH_NETWORK;
    case SCOPE_LOOPBACK:
        return REACH_MACHINE;
    case SCOPE_MULTICAST:
    case SCOPE_RESERVED:
        return REACH_NONE;
    }
    return REACH_NONE;
}

enum vantage vantage_of(const struct address *peer, bool is_own)
{
    enum reach reach = reach_of(peer);
    if (is_own || reach == REACH_MACHINE)
        return VANTAGE_MACHINE;
    return reach == REACH_PUBLIC ? VANTAGE_INTERNET : VANTAGE_NETWORK;
}

enum vantage vantage_told(enum vantage vantage, const struct address *told)
{
    bool is_inside = vantage == VANTAGE_INTERNET && reach_of(told) != REACH_PUBLIC;
    return is_inside ? VANTAGE_NETWORK : vantage;
}

bool origin_is_plausible(const struct address *local, const struct address *peer,
                         const struct address *told)
{
    enum reach here = reach_of(local);
    if (address_equals(told, local))
        return true;
    if (address_equals(told, peer))
        return false;
    switch (reach_of(told)) {
    case REACH_PUBLIC:
        return true;
    case REACH_CARRIER:
        return here != REACH_PUBLIC;
    case REACH_NETWORK:
        return here != REACH_PUBLIC && reach_of(peer) != REACH_PUBLIC;
    case REACH_MACHINE:
        return here == REACH_MACHINE;
    case REACH_NONE:
        return false;
    }
    return false;
}

bool origin_is_seen(const struct address *local, const struct address *peer)
{
    return (reach_of(local) == REACH_PUBLIC && !signs_is_clat(local)) ||
           reach_of(peer) != REACH_PUBLIC;
}

bool origin_is_doubtful(const struct address *local, const struct address *told)
{
    return !address_equals(local, told) && reach_of(local) == REACH_PUBLIC &&
           reach_of(told) == REACH_PUBLIC && !signs_is_clat(local) && !origin_is_own(told);
}

bool origin_is_own(const struct address *address)
{
    struct ifaddrs *all;
    bool is_own = false;
    if (getifaddrs(&all) != 0)
        return false;
    for (const struct ifaddrs *row = all; row && !is_own; row = row->ifa_next) {
        struct address own;
        socklen_t len = row->ifa_addr && row->ifa_addr->sa_family == AF_INET6
                            ? sizeof(struct sockaddr_in6)
                            : sizeof(struct sockaddr_in);
        is_own = row->ifa_addr && address_from_sockaddr(row->ifa_addr, len, &own) &&
                 address_equals(&own, address);
    }
    freeifaddrs(all);
    return is_own;
}
