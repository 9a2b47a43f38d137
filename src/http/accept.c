/* SPDX-License-Identifier: MIT */
#include "http/accept.h"

#include "base/container.h"
#include "base/err.h"
#include "base/fd.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "net/cidr.h"
#include "policy/admission.h"

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
#define TLS_REFUSALS     50 /* a second: each costs a handshake */

struct listener {
    struct acceptor *acceptor; /* borrowed */
    int fd;                    /* borrowed */
    struct loop_watch watch;
};

struct acceptor {
    struct loop *loop;                /* borrowed */
    const struct http_config *config; /* borrowed */
    struct connections *connections;  /* borrowed */
    struct timer pause;               /* set while accepting pauses */
    int spare_fd;                     /* given up for a refusal when there is no other */
    struct instant refusals_since;
    unsigned refusals; /* over TLS, in the second that began then */
    size_t count;
    struct listener listeners[];
};

static void listeners_watch(struct acceptor *acceptor, uint32_t events)
{
    for (size_t i = 0; i < acceptor->count; i++) {
        struct listener *listener = &acceptor->listeners[i];
        loop_watch_change(acceptor->loop, listener->fd, listener->watch, events, NULL);
    }
}

static void spare_open(struct acceptor *acceptor)
{
    if (acceptor->spare_fd < 0)
        acceptor->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Accepting fails and will fail again: the listeners are level-triggered, so that looking
 * away is the only alternative to spinning. */
static void pause_accepting(struct acceptor *acceptor)
{
    if (loop_timer_set(acceptor->loop, &acceptor->pause,
                       instant_add(loop_now(acceptor->loop), span_ms(PAUSE_MS))))
        listeners_watch(acceptor, 0);
}

static void on_pause_over(struct timer *timer)
{
    struct acceptor *acceptor = CONTAINER_OF(timer, struct acceptor, pause);
    spare_open(acceptor);
    listeners_watch(acceptor, EPOLLIN);
}

static bool may_refuse(struct acceptor *acceptor)
{
    struct instant now = loop_now(acceptor->loop);
    if (!acceptor->config->tls)
        return true;
    if (instant_since(now, acceptor->refusals_since).ns >= NS_PER_SECOND) {
        acceptor->refusals_since = now;
        acceptor->refusals = 0;
    }
    return acceptor->refusals++ < TLS_REFUSALS;
}

static void refuse(struct acceptor *acceptor, int fd, const struct address *peer,
                   enum http_fault fault)
{
    bool is_full = fault == HTTP_FAULT_CONNECTIONS;
    metrics_add(
        acceptor->config->metrics,
        is_full ? METRIC_CONNECTIONS_REFUSED_FULL : METRIC_CONNECTIONS_REFUSED_CALLER, 1);
    if (may_refuse(acceptor))
        connection_turn_away(acceptor->connections, fd, peer, fault);
    else
        close(fd);
}

static void admit(struct acceptor *acceptor, int fd, const struct address *peer)
{
    const struct cidr_list *list = acceptor->config->unlimited;
    bool is_unlimited = list && cidr_list_contains(list, peer);

    switch (admission_enter(acceptor->config->admission, peer, is_unlimited)) {
    case ADMISSION_GRANTED:
        connection_begin(acceptor->connections, fd, peer,
                         is_unlimited ? SEAT_UNLIMITED : SEAT_COUNTED);
        return;
    case ADMISSION_FULL:
        refuse(acceptor, fd, peer, HTTP_FAULT_CONNECTIONS);
        return;
    case ADMISSION_CALLER_FULL:
        refuse(acceptor, fd, peer, HTTP_FAULT_CALLER_CONNECTIONS);
        return;
    }
}

static int accept_one(const struct listener *listener, struct address *ret_peer)
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof storage;
    struct sockaddr *sa = (struct sockaddr *)&storage;
    AUTO_FD fd = accept4(listener->fd, sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return -1;
    if (!address_from_sockaddr(sa, len, ret_peer)) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    return fd_take(&fd);
}

/* Those that only wait for a client to read a refusal give way first. Then one is told with
 * the spare descriptor, and not waited for: the next one may be waiting. Over TLS that
 * would take a handshake. */
static bool make_way(struct listener *listener)
{
    struct acceptor *acceptor = listener->acceptor;
    struct connections *connections = acceptor->connections;
    if (connections_drop_lingering(connections) > 0)
        return true;
    if (acceptor->spare_fd < 0)
        return false;

    struct address peer;
    fd_close(&acceptor->spare_fd);
    int fd = accept_one(listener, &peer);
    /* Without descriptors the kernel does not look whether there is one to accept. */
    bool is_done = fd >= 0 || errno == EAGAIN;
    if (fd >= 0 && acceptor->config->tls)
        close(fd);
    else if (fd >= 0)
        refuse(acceptor, fd, &peer, HTTP_FAULT_CONNECTIONS);
    connections_drop_lingering(connections);
    spare_open(acceptor);
    return is_done;
}

/* Whether there may be more to accept now. */
static bool go_on(struct listener *listener, int errnum)
{
    switch (errnum) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
        if (make_way(listener))
            return true;
        break;
    case ENOBUFS:
    case ENOMEM:
        break;
    default: /* of this one connection: it was reset meanwhile, or a firewall objects */
        return true;
    }
    pause_accepting(listener->acceptor);
    return false;
}

static void on_event(void *ctx, uint32_t events)
{
    (void)events;
    struct listener *listener = ctx;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct address peer;
        int fd = accept_one(listener, &peer);
        if (fd >= 0)
            admit(listener->acceptor, fd, &peer);
        else if (!go_on(listener, errno))
            return;
    }
}

static bool listeners_add(struct acceptor *acceptor, const int *fds, size_t count,
                          struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct listener *listener = &acceptor->listeners[i];
        *listener = (struct listener){.acceptor = acceptor, .fd = fds[i]};
        /* Inherited by what is accepted: no call per connection. */
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        if (!loop_watch_add(acceptor->loop, fds[i], EPOLLIN, on_event, listener,
                            &listener->watch, err))
            return false;
        acceptor->count++;
    }
    return true;
}

bool acceptor_new(struct loop *loop, const struct http_config *config,
                  struct connections *connections, const int *fds, size_t count,
                  struct acceptor **ret, struct err *err)
{
    struct acceptor *acceptor =
        calloc(1, sizeof *acceptor + count * sizeof acceptor->listeners[0]);
    if (!acceptor)
        return err_sys(err, ENOMEM, "listeners");

    acceptor->loop = loop;
    acceptor->config = config;
    acceptor->connections = connections;
    acceptor->spare_fd = -1;
    timer_init(&acceptor->pause, on_pause_over);
    spare_open(acceptor);
    if (acceptor->spare_fd < 0) {
        err_sys(err, errno, "/dev/null");
        acceptor_free(acceptor);
        return false;
    }
    if (!listeners_add(acceptor, fds, count, err)) {
        acceptor_free(acceptor);
        return false;
    }
    *ret = acceptor;
    return true;
}

void acceptor_stop(struct acceptor *acceptor)
{
    loop_timer_stop(acceptor->loop, &acceptor->pause);
    for (size_t i = 0; i < acceptor->count; i++) {
        struct listener *listener = &acceptor->listeners[i];
        loop_watch_drop(acceptor->loop, listener->fd, &listener->watch);
    }
}

struct acceptor *acceptor_free(struct acceptor *acceptor)
{
    if (!acceptor)
        return NULL;

    acceptor_stop(acceptor);
    fd_close(&acceptor->spare_fd);
    free(acceptor);
    return NULL;
}
