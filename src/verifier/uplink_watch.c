/* SPDX-License-Identifier: MIT */
#include "verifier/uplink_watch.h"

#include "base/container.h"
#include "base/err.h"
#include "base/fd.h"
#include "loop/loop.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#define MESSAGES_MAX   64 /* of one event: a flood must not keep the loop */
#define INTERFACES_MAX 16 /* that lose their connection at a time; others are not noted */

struct interface {
    int index;
    bool is_out;  /* it has no connection */
    bool is_back; /* it had none, and then one, since that was last told */
};

struct uplink_watch {
    struct loop *loop; /* borrowed */
    uplink_changed_fn *changed;
    void *ctx;
    int fd; /* owned */
    struct loop_watch watch;
    struct timer timer;
    bool is_due;
    struct instant told_at;
    struct interface lost[INTERFACES_MAX]; /* those that are out or back */
    size_t lost_count;
};

static void back_forget(struct uplink_watch *watch)
{
    size_t count = 0;
    for (size_t i = 0; i < watch->lost_count; i++) {
        watch->lost[i].is_back = false;
        if (watch->lost[i].is_out)
            watch->lost[count++] = watch->lost[i];
    }
    watch->lost_count = count;
}

static void interface_note(struct uplink_watch *watch, int index, uint16_t type,
                           bool has_connection)
{
    size_t at = 0;
    while (at < watch->lost_count && watch->lost[at].index != index)
        at++;
    if (at == watch->lost_count && (has_connection || at == INTERFACES_MAX))
        return;
    if (at == watch->lost_count)
        watch->lost[watch->lost_count++] = (struct interface){.index = index};
    struct interface *interface = &watch->lost[at];
    interface->is_back = interface->is_back || (interface->is_out && has_connection);
    interface->is_out = !has_connection;
    if (type == RTM_DELLINK)
        *interface = watch->lost[--watch->lost_count];
}

static void timer_fire(struct timer *timer)
{
    struct uplink_watch *watch = CONTAINER_OF(timer, struct uplink_watch, timer);
    if (!watch->is_due)
        return;
    watch->is_due = false;
    watch->told_at = loop_now(watch->loop);
    watch->changed(watch->ctx);
    back_forget(watch);
}

/* What has changed otherwise does not matter, nor that messages were lost (ENOBUFS). Each
 * comes in a datagram of its own, whose end is not read. */
static void messages_come(void *ctx, uint32_t events)
{
    struct uplink_watch *watch = ctx;
    (void)events;
    for (int i = 0; i < MESSAGES_MAX; i++) {
        struct {
            struct nlmsghdr header;
            struct ifinfomsg link;
        } message = {0};
        ssize_t len = recv(watch->fd, &message, sizeof message, MSG_DONTWAIT);
        if (len < 0 && errno != ENOBUFS)
            break;
        uint16_t type = message.header.nlmsg_type;
        if (len == sizeof message && (type == RTM_NEWLINK || type == RTM_DELLINK))
            interface_note(watch, message.link.ifi_index, type,
                           message.link.ifi_flags & IFF_RUNNING);
    }
    if (watch->is_due)
        return;

    struct instant due = instant_add(loop_now(watch->loop), span_ms(UPLINK_WATCH_MS));
    struct instant next = instant_add(watch->told_at, span_ms(UPLINK_WATCH_PAUSE_MS));
    watch->is_due = true;
    /* The timer has room: it was set before. */
    loop_timer_set(watch->loop, &watch->timer, instant_before(due, next) ? next : due);
}

static bool socket_open(int *ret_fd, struct err *err)
{
    const struct sockaddr_nl name = {
        .nl_family = AF_NETLINK,
        .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE |
                     RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE,
    };
    AUTO_FD fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&name, sizeof name) != 0)
        return err_sys(err, errno, "netlink socket");
    *ret_fd = fd_take(&fd);
    return true;
}

bool uplink_watch_new(struct loop *loop, uplink_changed_fn *changed, void *ctx,
                      struct uplink_watch **ret, struct err *err)
{
    struct uplink_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return err_sys(err, ENOMEM, "watching the addresses of this machine");

    watch->loop = loop;
    watch->changed = changed;
    watch->ctx = ctx;
    watch->fd = -1;
    watch->told_at = instant_back(clock_now(), span_ms(UPLINK_WATCH_PAUSE_MS));
    timer_init(&watch->timer, timer_fire);
    if (!socket_open(&watch->fd, err) ||
        !loop_watch_add(loop, watch->fd, EPOLLIN, messages_come, watch, &watch->watch,
                        err) ||
        !loop_timer_set(loop, &watch->timer, clock_now())) {
        uplink_watch_free(watch);
        return err_prefix(err, "watching the addresses of this machine");
    }
    *ret = watch;
    return true;
}

bool uplink_watch_is_back(const struct uplink_watch *watch, unsigned interface)
{
    for (size_t i = 0; i < watch->lost_count; i++)
        if (watch->lost[i].is_back && (unsigned)watch->lost[i].index == interface)
            return true;
    return false;
}

struct uplink_watch *uplink_watch_free(struct uplink_watch *watch)
{
    if (!watch)
        return NULL;

    loop_watch_drop(watch->loop, -1, &watch->watch);
    loop_timer_stop(watch->loop, &watch->timer);
    fd_close(&watch->fd);
    free(watch);
    return NULL;
}
