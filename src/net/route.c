/* SPDX-License-Identifier: MIT */
#include "net/route.h"

#include "base/err.h"
#include "base/fd.h"
#include "net/scope.h"

#include <assert.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A query to the kernel: a header, the fixed part of its type, up to two addresses and an
 * interface. */
struct query {
    struct nlmsghdr header;
    union {
        struct rtmsg route;
        struct ndmsg neighbour; /* of the same size */
    };
    uint8_t attributes[2 * RTA_SPACE(16) + RTA_SPACE(sizeof(int))];
};
_Static_assert(sizeof(struct rtmsg) == sizeof(struct ndmsg), "one layout for both");

union reply {
    struct nlmsghdr header;
    char bytes[4096];
};

static void query_add(struct query *query, unsigned short type, const void *data,
                      size_t len)
{
    if (query->header.nlmsg_len == 0)
        query->header.nlmsg_len = NLMSG_LENGTH(sizeof query->route);
    query->header.nlmsg_flags = NLM_F_REQUEST;
    const struct rtattr attribute = {(unsigned short)RTA_LENGTH(len), type};
    uint8_t *at = (uint8_t *)query + query->header.nlmsg_len;
    memcpy(at, &attribute, sizeof attribute);
    memcpy(at + RTA_LENGTH(0), data, len);
    query->header.nlmsg_len += (uint32_t)RTA_SPACE(len);
}

static void query_add_address(struct query *query, unsigned short type,
                              const struct address *address)
{
    size_t len;
    const uint8_t *bytes = address_bytes(address, &len);
    query_add(query, type, bytes, len);
}

/* The kernel has answered when send(2) returns. */
static bool query_ask(const struct query *query, union reply *ret, struct err *err)
{
    AUTO_FD fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return err_sys(err, errno, "netlink socket");
    if (send(fd, query, query->header.nlmsg_len, 0) < 0)
        return err_sys(err, errno, "asking the kernel for a route");

    ssize_t got = recv(fd, ret, sizeof *ret, MSG_DONTWAIT);
    if (got < 0)
        return err_sys(err, errno, "asking the kernel for a route");
    if (!NLMSG_OK(&ret->header, (size_t)got))
        return err_sys(err, EPROTO, "asking the kernel for a route");
    if (ret->header.nlmsg_type != NLMSG_ERROR)
        return true;

    const struct nlmsgerr *failure = NLMSG_DATA(&ret->header);
    return err_sys(err, failure->error < 0 ? -failure->error : EPROTO,
                   "asking the kernel for a route");
}

/* --- routes --------------------------------------------------------------------------- */

/* Where packets to an address go next. */
struct hop {
    bool is_local; /* to this machine itself, or dropped */
    bool is_ours;  /* to this machine itself */
    bool is_broadcast;
    bool has_gateway;
    bool is_neighbour_known;  /* not if the gateway is of the other family (RFC 5549) */
    struct address neighbour; /* the gateway, or the address itself */
    bool has_source;
    struct address source; /* that the kernel chooses */
    int interface;
};

static bool address_read(struct rtattr *attribute, int family, struct address *ret)
{
    size_t len = RTA_PAYLOAD(attribute);
    if (family == AF_INET && len == sizeof ret->in.sin_addr) {
        *ret = (struct address){.len = sizeof ret->in, .in.sin_family = AF_INET};
        memcpy(&ret->in.sin_addr, RTA_DATA(attribute), len);
        return true;
    }
    if (family == AF_INET6 && len == sizeof ret->in6.sin6_addr) {
        *ret = (struct address){.len = sizeof ret->in6, .in6.sin6_family = AF_INET6};
        memcpy(&ret->in6.sin6_addr, RTA_DATA(attribute), len);
        return true;
    }
    return false;
}

static void hop_read(union reply *reply, struct hop *hop)
{
    const struct rtmsg *route = NLMSG_DATA(&reply->header);
    unsigned len = (unsigned)RTM_PAYLOAD(&reply->header);
    bool has_read = false;
    hop->is_local = route->rtm_type != RTN_UNICAST;
    hop->is_ours = route->rtm_type == RTN_LOCAL || route->rtm_type == RTN_ANYCAST;
    hop->is_broadcast = route->rtm_type == RTN_BROADCAST;
    for (struct rtattr *attribute = RTM_RTA(NLMSG_DATA(&reply->header));
         RTA_OK(attribute, len); attribute = RTA_NEXT(attribute, len)) {
        if (attribute->rta_type == RTA_OIF && RTA_PAYLOAD(attribute) == sizeof(int))
            memcpy(&hop->interface, RTA_DATA(attribute), sizeof hop->interface);
        if (attribute->rta_type == RTA_GATEWAY || attribute->rta_type == RTA_VIA)
            hop->has_gateway = true;
        if (attribute->rta_type == RTA_GATEWAY)
            has_read = address_read(attribute, route->rtm_family, &hop->neighbour);
        if (attribute->rta_type == RTA_PREFSRC)
            hop->has_source = address_read(attribute, route->rtm_family, &hop->source);
    }
    hop->is_neighbour_known = !hop->has_gateway || has_read;
    if (address_scope(&hop->neighbour) == SCOPE_ZONE)
        hop->neighbour.in6.sin6_scope_id = (uint32_t)hop->interface;
}

/* `source` and `interface` as in route_default_gateway(); 0: no interface. */
static bool hop_find_from(const struct address *to, const struct address *source,
                          unsigned interface, struct hop *ret, struct err *err)
{
    struct query query = {
        .header.nlmsg_type = RTM_GETROUTE,
        .route.rtm_family = (unsigned char)to->sa.sa_family,
        .route.rtm_dst_len = address_family_number(to) == 4 ? 32 : 128,
    };
    union reply reply;
    query_add_address(&query, RTA_DST, to);
    if (source)
        query_add_address(&query, RTA_SRC, source);
    if (interface != 0)
        query_add(&query, RTA_OIF, &interface, sizeof interface);
    if (!query_ask(&query, &reply, err))
        return false;

    struct hop hop = {.neighbour = *to};
    hop_read(&reply, &hop);
    *ret = hop;
    return true;
}

static bool hop_find(const struct address *to, struct hop *ret, struct err *err)
{
    return hop_find_from(to, NULL, 0, ret, err);
}

bool route_has_gateway(const struct address *to, bool *ret_has_gateway, struct err *err)
{
    struct hop hop;
    if (!hop_find(to, &hop, err))
        return false;

    *ret_has_gateway = hop.has_gateway;
    return true;
}

bool route_is_broadcast(const struct address *to)
{
    struct hop hop;
    return hop_find(to, &hop, NULL) && hop.is_broadcast;
}

bool route_gateway(const struct address *to, struct address *ret)
{
    struct hop hop;
    if (!hop_find(to, &hop, NULL) || !hop.has_gateway || !hop.is_neighbour_known)
        return false;

    *ret = hop.neighbour;
    return true;
}

/* The first root server: only a default route leads to it, or the halves that VPNs split
 * one into. No packet is sent. */
static struct address internet(int family)
{
    const char *text = family == 4 ? "198.41.0.4" : "2001:503:ba3e::2:30";
    struct address root;
    bool is_parsed = address_parse(text, strlen(text), &root, NULL);
    assert(is_parsed);
    (void)is_parsed;
    return root;
}

bool route_default_gateway(int family, const struct address *source, const char *interface,
                           struct address *ret, struct address *ret_source)
{
    struct hop hop;
    const struct address to = internet(family);
    unsigned index = interface ? if_nametoindex(interface) : 0;
    if ((interface && index == 0) || !hop_find_from(&to, source, index, &hop, NULL) ||
        !hop.has_gateway || !hop.is_neighbour_known || (!source && !hop.has_source))
        return false;

    *ret = hop.neighbour;
    *ret_source = source ? *source : hop.source;
    return true;
}

enum route_hop route_next_hop(const struct address *to)
{
    struct hop hop;
    if (!hop_find(to, &hop, NULL) || hop.is_local)
        return ROUTE_HOP_UNKNOWN;

    struct query query = {
        .header.nlmsg_type = RTM_GETNEIGH,
        .neighbour.ndm_family = (unsigned char)hop.neighbour.sa.sa_family,
        .neighbour.ndm_ifindex = hop.interface,
    };
    union reply reply;
    query_add_address(&query, NDA_DST, &hop.neighbour);
    if (!query_ask(&query, &reply, NULL))
        return ROUTE_HOP_UNKNOWN;

    const struct ndmsg *neighbour = NLMSG_DATA(&reply.header);
    if (!(neighbour->ndm_state & (NUD_INCOMPLETE | NUD_FAILED)))
        return ROUTE_HOP_UNKNOWN;
    return hop.has_gateway ? ROUTE_HOP_GATEWAY_DEAD : ROUTE_HOP_TARGET_DEAD;
}

/* --- addresses ------------------------------------------------------------------------ */

bool route_has_source(const struct address *to)
{
    AUTO_FD fd = socket(to->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, &to->sa, to->len) == 0)
        return true;
    return errno != EADDRNOTAVAIL && errno != ENETUNREACH;
}

bool route_is_ours(const struct address *address)
{
    struct address own = *address;
    address_set_port(&own, 0);

    AUTO_FD fd = socket(own.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, &own.sa, own.len) == 0)
        return true;

    struct hop hop;
    return hop_find(&own, &hop, NULL) && hop.is_ours;
}
