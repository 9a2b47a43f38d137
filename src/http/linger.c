/* SPDX-License-Identifier: MIT
 *
 * A close with unread bytes in the receive buffer sends a reset, and a reset makes the
 * client's kernel throw away what it has not read yet: our refusal. So such connections
 * are kept for a moment, in a bounded list, and what they send is thrown away.
 */
#include "http/private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct lingerer {
    struct server *server; /* borrowed */
    struct lingerer *next, *prev;
    struct timer timer;
    struct loop_watch watch;
    size_t bytes; /* thrown away */
    int fd;       /* owned */
};

static void lingerer_free(struct lingerer *lingerer)
{
    struct server *server = lingerer->server;
    loop_timer_stop(server->loop, &lingerer->timer);
    loop_watch_drop(server->loop, lingerer->fd, &lingerer->watch);
    close(lingerer->fd);

    if (lingerer->next)
        lingerer->next->prev = lingerer->prev;
    if (lingerer->prev)
        lingerer->prev->next = lingerer->next;
    else
        server->lingerers = lingerer->next;
    server->lingerer_count--;
    free(lingerer);
}

/* False when the client has ended, or has sent too much. */
static bool lingerer_drain(struct lingerer *lingerer)
{
    struct server *server = lingerer->server;
    for (;;) {
        ssize_t n = recv(lingerer->fd, server->scratch, sizeof server->scratch, 0);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        if (n == 0)
            return false;

        lingerer->bytes += (size_t)n;
        if (lingerer->bytes > LINGER_BYTES)
            return false;
    }
}

static void lingerer_on_event(void *ctx, uint32_t events)
{
    struct lingerer *lingerer = ctx;
    if ((events & (EPOLLHUP | EPOLLERR)) || !lingerer_drain(lingerer))
        lingerer_free(lingerer);
}

static void lingerer_on_time(struct timer *timer)
{
    lingerer_free(
        (struct lingerer *)(void *)((char *)timer - offsetof(struct lingerer, timer)));
}

static bool lingerer_start(struct lingerer *lingerer)
{
    struct server *server = lingerer->server;
    if (!loop_watch_add(server->loop, lingerer->fd, EPOLLIN, lingerer_on_event, lingerer,
                        &lingerer->watch, NULL))
        return false;

    return loop_timer_set(server->loop, &lingerer->timer,
                          instant_add(loop_now(server->loop), server->limits.linger));
}

void linger_begin(struct server *server, int fd)
{
    shutdown(fd, SHUT_WR);
    struct lingerer *lingerer =
        server->lingerer_count < LINGER_MAX ? calloc(1, sizeof *lingerer) : NULL;
    if (!lingerer) {
        close(fd);
        return;
    }

    *lingerer = (struct lingerer){.server = server, .next = server->lingerers, .fd = fd};
    timer_init(&lingerer->timer, lingerer_on_time);
    if (lingerer->next)
        lingerer->next->prev = lingerer;
    server->lingerers = lingerer;
    server->lingerer_count++;
    if (!lingerer_drain(lingerer) || !lingerer_start(lingerer))
        lingerer_free(lingerer);
}

size_t linger_drop(struct server *server)
{
    size_t count = server->lingerer_count;
    while (server->lingerers)
        lingerer_free(server->lingerers);
    return count;
}
