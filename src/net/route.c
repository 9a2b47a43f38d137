/* SPDX-License-Identifier: MIT */
#include "net/route.h"

#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct route_query {
    struct nlmsghdr header;
    struct rtmsg route;
    struct rtattr attribute;
    uint8_t address[16];
};

static struct route_query query_make(const struct address *to)
{
    size_t len;
    const uint8_t *bytes = address_bytes(to, &len);
    struct route_query query = {
        .header.nlmsg_len =
            (uint32_t)(NLMSG_LENGTH(sizeof(struct rtmsg)) + RTA_LENGTH(len)),
        .header.nlmsg_type = RTM_GETROUTE,
        .header.nlmsg_flags = NLM_F_REQUEST,
        .route.rtm_family = (unsigned char)to->sa.sa_family,
        .route.rtm_dst_len = (unsigned char)(len * 8),
        .attribute.rta_type = RTA_DST,
        .attribute.rta_len = (unsigned short)RTA_LENGTH(len),
    };
    memcpy(query.address, bytes, len);
    return query;
}

static bool reply_has_gateway(struct nlmsghdr *header)
{
    unsigned len = (unsigned)RTM_PAYLOAD(header);
    for (struct rtattr *attribute = RTM_RTA(NLMSG_DATA(header)); RTA_OK(attribute, len);
         attribute = RTA_NEXT(attribute, len))
        if (attribute->rta_type == RTA_GATEWAY || attribute->rta_type == RTA_VIA)
            return true;
    return false;
}

bool route_has_gateway(const struct address *to, bool *ret_has_gateway, struct err *err)
{
    AUTO_FD fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return err_sys(err, errno, "netlink socket");

    struct route_query query = query_make(to);
    if (send(fd, &query, query.header.nlmsg_len, 0) < 0)
        return err_sys(err, errno, "asking for a route");

    /* The kernel answers a route query before send() returns. */
    union {
        struct nlmsghdr header;
        char bytes[4096];
    } reply;
    ssize_t got = recv(fd, &reply, sizeof reply, MSG_DONTWAIT);
    if (got < 0)
        return err_sys(err, errno, "asking for a route");
    if (!NLMSG_OK(&reply.header, (size_t)got))
        return err_sys(err, EPROTO, "asking for a route");

    if (reply.header.nlmsg_type == NLMSG_ERROR) {
        const struct nlmsgerr *failure = NLMSG_DATA(&reply.header);
        return err_sys(err, failure->error < 0 ? -failure->error : EPROTO,
                       "asking for a route");
    }
    *ret_has_gateway = reply_has_gateway(&reply.header);
    return true;
}

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
    return fd >= 0 && bind(fd, &own.sa, own.len) == 0;
}
