/* SPDX-License-Identifier: MIT */
#include "router/announce.h"

#include "base/err.h"
#include "base/fd.h"
#include "loop/loop.h"
#include "router/natpmp.h"
#include "router/pcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define DATAGRAMS_MAX 16 /* of one event: a flood must not keep the loop */

struct announcements {
    struct loop *loop; /* borrowed */
    announced_fn *announced;
    void *ctx;
    struct address router;
    int fd; /* owned */
    struct loop_watch watch;
};

/* --- reading -------------------------------------------------------------------------- */

static bool is_of_router(const struct address *from, const struct address *router)
{
    return address_equals(from, router) && address_port(from) == address_port(router) &&
           (from->sa.sa_family != AF_INET6 ||
            from->in6.sin6_scope_id == router->in6.sin6_scope_id);
}

static void datagram_read(struct announcements *announcements, const uint8_t *bytes,
                          size_t len)
{
    const struct natpmp_request natpmp = {.opcode = NATPMP_ADDRESS};
    const struct pcp_request pcp = {.opcode = PCP_ANNOUNCE};
    struct natpmp_reply natpmp_reply;
    struct pcp_reply pcp_reply;
    if (natpmp_read(bytes, len, &natpmp, &natpmp_reply))
        announcements->announced(announcements->ctx, ROUTER_NATPMP, natpmp_reply.epoch,
                                 natpmp_reply.result == 0 ? &natpmp_reply.outer_address
                                                          : NULL);
    else if (pcp_read(bytes, len, &pcp, &pcp_reply) == PCP_FORM_REPLY)
        announcements->announced(announcements->ctx, ROUTER_PCP, pcp_reply.epoch, NULL);
}

static void datagram_come(void *ctx, uint32_t events)
{
    struct announcements *announcements = ctx;
    (void)events;
    for (int i = 0; i < DATAGRAMS_MAX; i++) {
        uint8_t bytes[PCP_REPLY_MAX + 1]; /* one byte more shows that it is too long */
        struct sockaddr_in6 name;
        struct address from;
        socklen_t name_len = sizeof name;
        ssize_t len = recvfrom(announcements->fd, bytes, sizeof bytes, MSG_DONTWAIT,
                               (struct sockaddr *)&name, &name_len);
        if (len < 0)
            return;
        if (address_from_sockaddr((struct sockaddr *)&name, name_len, &from) &&
            is_of_router(&from, &announcements->router))
            datagram_read(announcements, bytes, (size_t)len);
    }
}

/* --- life ----------------------------------------------------------------------------- */

/* Each machine is a member of both groups, and a socket that has joined none gets what its
 * machine gets (IP_MULTICAST_ALL). */
static bool socket_open(const struct address *router, uint16_t port, int *ret_fd,
                        struct err *err)
{
    const int on = 1;
    struct address any = {.len = router->len, .sa.sa_family = router->sa.sa_family};
    address_set_port(&any, port);
    AUTO_FD fd = socket(router->sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(err, errno, "socket");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (router->sa.sa_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0))
        return err_sys(err, errno, "setsockopt");
    if (bind(fd, &any.sa, any.len) != 0)
        return err_sys(err, errno, "port %u", port);
    *ret_fd = fd_take(&fd);
    return true;
}

bool announcements_new(struct loop *loop, const struct address *router, uint16_t port,
                       announced_fn *announced, void *ctx, struct announcements **ret,
                       struct err *err)
{
    struct announcements *announcements = calloc(1, sizeof *announcements);
    if (!announcements)
        return err_sys(err, ENOMEM, "announcements of the router");

    *announcements = (struct announcements){
        .loop = loop,
        .announced = announced,
        .ctx = ctx,
        .router = *router,
        .fd = -1,
    };
    if (!socket_open(router, port, &announcements->fd, err) ||
        !loop_watch_add(loop, announcements->fd, EPOLLIN, datagram_come, announcements,
                        &announcements->watch, err)) {
        announcements_free(announcements);
        return err_prefix(err, "announcements of the router");
    }
    *ret = announcements;
    return true;
}

struct announcements *announcements_free(struct announcements *announcements)
{
    if (!announcements)
        return NULL;

    loop_watch_drop(announcements->loop, -1, &announcements->watch);
    fd_close(&announcements->fd);
    free(announcements);
    return NULL;
}
