/* SPDX-License-Identifier: MIT */
#include "router/call.h"

#include "base/container.h"
#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/socket.h>

#define DATAGRAMS_MAX 16 /* of one event: a flood must not keep the loop */

static void finish(struct call *call, enum call_end end)
{
    call_close(call);
    call->end(call->ctx, end);
}

/* Within a tenth of twice as long. */
static struct span wait_double(struct span wait)
{
    uint8_t random = 0;
    ssize_t got = getrandom(&random, sizeof random, GRND_NONBLOCK);
    (void)got; /* without any, the wait is at its lower end */
    return (struct span){wait.ns * 9 / 5 + wait.ns * 2 / 5 * random / UINT8_MAX};
}

/* Whether the router's port is closed. */
static bool request_send(struct call *call)
{
    call->sent++;
    return send(call->fd, call->bytes, call->len, MSG_NOSIGNAL) < 0 &&
           errno == ECONNREFUSED;
}

static void timer_fire(struct timer *timer)
{
    struct call *call = CONTAINER_OF(timer, struct call, timer);
    struct instant now = loop_now(call->loop);
    if (!instant_before(now, call->deadline)) {
        finish(call, CALL_SILENT);
        return;
    }
    if (request_send(call)) {
        finish(call, CALL_CLOSED);
        return;
    }
    call->wait = wait_double(call->wait);
    struct instant next = instant_min(call->deadline, instant_add(now, call->wait));
    if (!loop_timer_set(call->loop, timer, next))
        finish(call, CALL_SILENT);
}

static void datagram_come(void *ctx, uint32_t events)
{
    struct call *call = ctx;
    uint8_t bytes[PCP_REPLY_MAX + 1]; /* one byte more shows that it is too long */
    (void)events;
    for (int i = 0; i < DATAGRAMS_MAX; i++) {
        ssize_t len = recv(call->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (len < 0 && errno == ECONNREFUSED) {
            finish(call, CALL_CLOSED);
            return;
        }
        if (len < 0)
            return;
        if (call->read(call->ctx, bytes, (size_t)len)) {
            finish(call, CALL_ANSWERED);
            return;
        }
    }
}

void call_init(struct call *call, struct loop *loop, call_read_fn *read, call_end_fn *end,
               void *ctx)
{
    *call = (struct call){.loop = loop, .read = read, .end = end, .ctx = ctx, .fd = -1};
    timer_init(&call->timer, timer_fire);
}

void call_close(struct call *call)
{
    if (!call_is_open(call))
        return;
    loop_timer_stop(call->loop, &call->timer);
    loop_watch_drop(call->loop, -1, &call->watch);
    fd_close(&call->fd);
}

bool call_open(struct call *call, const struct address *router, const struct address *local,
               struct err *err)
{
    socklen_t len = sizeof call->local.in6;
    AUTO_FD fd = socket(router->sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(err, errno, "socket");
    if (local && bind(fd, &local->sa, local->len) != 0)
        return err_sys(err, errno, "bind");
    if (connect(fd, &router->sa, router->len) != 0)
        return err_sys(err, errno, "connect");

    struct sockaddr_in6 name;
    if (getsockname(fd, (struct sockaddr *)&name, &len) != 0 ||
        !address_from_sockaddr((struct sockaddr *)&name, len, &call->local))
        return err_sys(err, errno, "getsockname");
    if (!loop_watch_add(call->loop, fd, EPOLLIN, datagram_come, call, &call->watch, err))
        return false;
    call->fd = fd_take(&fd);
    return true;
}

bool call_start(struct call *call, struct span wait, struct instant deadline)
{
    call->begun = clock_now();
    call->deadline = deadline;
    call->wait = wait;
    call->sent = 0;
    struct instant next = instant_min(deadline, instant_add(call->begun, call->wait));
    if (!loop_timer_set(call->loop, &call->timer, next)) {
        call_close(call);
        return false;
    }
    /* That the port is closed shows when the reply is read, at the earliest. */
    request_send(call);
    return true;
}
