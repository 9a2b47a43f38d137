/* SPDX-License-Identifier: MIT
 *
 * Takes connections from the listeners. One that may not stay is told why, in plain HTTP,
 * and closed; one spare descriptor keeps that possible when the process has no other left.
 */
#include "base/err.h"
#include "base/fd.h"
#include "http/admission.h"
#include "http/private.h"
#include "metrics/metrics.h"
#include "settings/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of one listener. Clients that come again at once must not be counted many times before
 * their leaving is seen. */
#define ACCEPTS_PER_TURN 8

#define PAUSE_MS         100

static void listeners_watch(struct server *server, uint32_t events)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        struct listener *listener = &server->listeners[i];
        loop_watch_change(server->loop, listener->fd, listener->watch, events, NULL);
    }
}

/* Accepting fails and will fail again: the listeners are level-triggered, so that looking
 * away is the only alternative to spinning. */
static void accept_pause(struct server *server)
{
    if (!loop_timer_set(server->loop, &server->accept_timer,
                        instant_add(loop_now(server->loop), span_ms(PAUSE_MS))))
        return;
    listeners_watch(server, 0);
}

static void accept_on_time(struct timer *timer)
{
    struct server *server =
        (struct server *)(void *)((char *)timer - offsetof(struct server, accept_timer));
    if (server->spare_fd < 0)
        server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    listeners_watch(server, EPOLLIN);
}

static void refuse(struct server *server, int fd, enum http_fault fault)
{
    metrics_add(server->config.metrics,
                fault == HTTP_FAULT_CONNECTIONS ? METRIC_CONNECTIONS_REFUSED_FULL
                                                : METRIC_CONNECTIONS_REFUSED_CALLER,
                1);
    if (server->config.tls_cert) {
        close(fd);
        return;
    }
    reply_write_fault(server, fd, fault, "");
    linger_begin(server, fd);
}

/* With the spare descriptor, and without lingering: the next one may be waiting. */
static bool refuse_with_spare(struct server *server, int listener_fd)
{
    if (server->spare_fd < 0)
        return false;

    fd_close(&server->spare_fd);
    int fd = accept4(listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        metrics_add(server->config.metrics, METRIC_CONNECTIONS_REFUSED_FULL, 1);
        if (!server->config.tls_cert)
            reply_write_fault(server, fd, HTTP_FAULT_CONNECTIONS, "");
        shutdown(fd, SHUT_WR);
        for (int i = 0; i < 8; i++) /* what has come already, so that no reset follows */
            if (recv(fd, server->scratch, sizeof server->scratch, 0) <= 0)
                break;
        close(fd);
    }
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0;
}

static bool is_unlimited(const struct server *server, const struct address *peer)
{
    const struct cidr_list *list = server->config.unlimited;
    for (size_t i = 0; list && i < list->count; i++)
        if (cidr_contains(&list->items[i], peer))
            return true;
    return false;
}

static void admit(struct server *server, int fd, const struct address *peer)
{
    bool unlimited = is_unlimited(server, peer);
    switch (admission_enter(server->config.admission, peer, unlimited)) {
    case ADMISSION_GRANTED:
        connection_begin(server, fd, peer, unlimited);
        return;
    case ADMISSION_FULL:
        refuse(server, fd, HTTP_FAULT_CONNECTIONS);
        return;
    case ADMISSION_CALLER_FULL:
        refuse(server, fd, HTTP_FAULT_CALLER_CONNECTIONS);
        return;
    }
}

/* False when there is nothing more to accept now. */
static bool accept_failed(struct server *server, int listener_fd, int errnum)
{
    switch (errnum) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
        /* Those who only wait to have read a refusal give way first. */
        if (linger_drop(server) > 0 || refuse_with_spare(server, listener_fd))
            return true;
        break;
    case ENOBUFS:
    case ENOMEM:
        break;
    default: /* of this one connection: it was reset meanwhile, or a firewall objects */
        return true;
    }
    accept_pause(server);
    return false;
}

static void accept_on_event(void *ctx, uint32_t events)
{
    (void)events;
    struct listener *listener = ctx;
    struct server *server = listener->server;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage storage;
        socklen_t len = sizeof storage;
        int fd = accept4(listener->fd, (struct sockaddr *)&storage, &len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (!accept_failed(server, listener->fd, errno))
                return;
            continue;
        }

        struct address peer;
        if (address_from_sockaddr((struct sockaddr *)&storage, len, &peer))
            admit(server, fd, &peer);
        else
            close(fd);
    }
}

bool accept_start(struct server *server, const int *fds, size_t count, struct err *err)
{
    timer_init(&server->accept_timer, accept_on_time);
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (server->spare_fd < 0)
        return err_sys(err, errno, "/dev/null");

    server->listeners = calloc(count > 0 ? count : 1, sizeof *server->listeners);
    if (!server->listeners)
        return err_sys(err, ENOMEM, "listeners");

    server->is_accepting = true;
    for (size_t i = 0; i < count; i++) {
        struct listener *listener = &server->listeners[i];
        *listener = (struct listener){.server = server, .fd = fds[i]};
        /* Inherited by what is accepted: no call per connection. */
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        if (!loop_watch_add(server->loop, fds[i], EPOLLIN, accept_on_event, listener,
                            &listener->watch, err))
            return false;
        server->listener_count++;
    }
    return true;
}

void accept_stop(struct server *server)
{
    server->is_accepting = false;
    loop_timer_stop(server->loop, &server->accept_timer);
    for (size_t i = 0; i < server->listener_count; i++)
        loop_watch_drop(server->loop, server->listeners[i].fd, &server->listeners[i].watch);
}

void accept_done(struct server *server)
{
    accept_stop(server);
    fd_close(&server->spare_fd);
    free(server->listeners);
    server->listeners = NULL;
    server->listener_count = 0;
}
