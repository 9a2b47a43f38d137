/* SPDX-License-Identifier: MIT */
#include "http/server.h"

#include "base/container.h"
#include "base/err.h"
#include "base/fd.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "net/cidr.h"
#include "policy/admission.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Per acceptor. Otherwise a client that reconnects at once would be counted several times
 * before the end of its last connection is noticed. */
#define ACCEPTS_PER_TURN 8

/* Bytes of replies that the kernel keeps for a client that does not read them, beyond those
 * on their way; it would keep up to 4 MB. Its memory for TCP is shared by all programs of
 * the machine, and a socket buffer takes about twice its bytes. */
#define UNSENT_MAX       (16 * 1024)

#define PAUSE_MS         100
#define TLS_REFUSALS     50 /* per second: each costs a handshake */

struct acceptor {
    struct http_server *server; /* borrowed */
    int fd;                     /* borrowed */
    struct loop_watch watch;
};

struct http_server {
    struct loop *loop; /* borrowed */
    struct http_config config;
    struct connections *connections; /* owned */
    struct timer pause;              /* set while accepting pauses */
    struct timer relief;             /* set while idle connections have less time */
    int spare_fd; /* freed for a refusal when the process has no other descriptor */
    struct instant refusals_since;
    unsigned refusals; /* over TLS, in the second that began then */
    size_t acceptor_count;
    struct acceptor acceptors[];
};

/* --- pauses ----------------------------------------------------------------------- */

static void acceptors_watch(struct http_server *server, uint32_t events)
{
    for (size_t i = 0; i < server->acceptor_count; i++) {
        struct acceptor *acceptor = &server->acceptors[i];
        loop_watch_change(server->loop, acceptor->fd, acceptor->watch, events, NULL);
    }
}

static bool spare_open(struct http_server *server, struct err *err)
{
    if (server->spare_fd < 0)
        server->spare_fd = eventfd(0, EFD_CLOEXEC); /* works without access to files */
    return server->spare_fd >= 0 || err_sys(err, errno, "eventfd");
}

/* For errors that would occur again at once. The listening sockets are level-triggered, so
 * watching them would spin. */
static void pause_accepting(struct http_server *server)
{
    if (loop_timer_in(server->loop, &server->pause, span_ms(PAUSE_MS)))
        acceptors_watch(server, 0);
}

static void on_pause_over(struct timer *timer)
{
    struct http_server *server = CONTAINER_OF(timer, struct http_server, pause);
    spare_open(server, NULL);
    acceptors_watch(server, EPOLLIN);
}

/* --- admission -------------------------------------------------------------------- */

/* Over TLS a refusal needs a handshake, which takes longer than the spare descriptor is
 * available. */
static bool may_tell(struct http_server *server)
{
    struct instant now = loop_now(server->loop);
    if (!server->config.tls)
        return true;
    if (instant_since(now, server->refusals_since).ns >= NS_PER_SECOND) {
        server->refusals_since = now;
        server->refusals = 0;
    }
    return server->spare_fd >= 0 && server->refusals++ < TLS_REFUSALS;
}

static void refuse(struct http_server *server, int fd, const struct address *peer,
                   enum metric reason, enum http_error error)
{
    metrics_add(server->config.metrics, reason, 1);
    if (may_tell(server))
        connection_begin(server->connections, fd, peer, SEAT_NONE, 0, error);
    else
        close(fd);
}

/* Once a second, for as long as the admission is under pressure. */
static void relieve_later(struct http_server *server)
{
    if (!timer_is_set(&server->relief))
        loop_timer_in(server->loop, &server->relief, span_seconds(1));
}

static void on_relief(struct timer *timer)
{
    struct http_server *server = CONTAINER_OF(timer, struct http_server, relief);
    if (admission_relieve(server->config.admission, loop_now(server->loop)))
        relieve_later(server);
}

static void admit(struct http_server *server, int fd, const struct address *peer)
{
    static const struct {
        enum metric metric;
        enum http_error error;
    } refusals[] = {
        [ADMISSION_FULL] = {METRIC_CONNECTIONS_REFUSED_FULL, HTTP_ERROR_CONNECTIONS},
        [ADMISSION_CALLER_FULL] = {METRIC_CONNECTIONS_REFUSED_CALLER,
                                   HTTP_ERROR_CALLER_CONNECTIONS},
        [ADMISSION_NETWORK_FULL] = {METRIC_CONNECTIONS_REFUSED_NETWORK,
                                    HTTP_ERROR_CALLER_CONNECTIONS},
    };
    const struct cidr_list *list = server->config.unlimited;
    bool is_unlimited = list && cidr_list_contains(list, peer);
    uint32_t place;
    enum admission_answer answer = admission_enter(
        server->config.admission, peer, is_unlimited, fd, loop_now(server->loop), &place);
    if (answer != ADMISSION_GRANTED) {
        refuse(server, fd, peer, refusals[answer].metric, refusals[answer].error);
        return;
    }
    connection_begin(server->connections, fd, peer,
                     is_unlimited ? SEAT_UNLIMITED : SEAT_COUNTED, place, HTTP_ERROR_NONE);
    relieve_later(server);
}

/* --- accepting -------------------------------------------------------------------- */

static int accept_one(const struct acceptor *acceptor, struct address *ret_peer)
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof storage;
    struct sockaddr *sa = (struct sockaddr *)&storage;
    AUTO_FD fd = accept4(acceptor->fd, sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return -1;
    if (!address_from_sockaddr(sa, len, ret_peer)) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    return fd_take(&fd);
}

/* Called when no descriptor is left. Lingering connections give way first. If there are
 * none, one client is refused through the spare descriptor; it does not linger, because the
 * next client may need the descriptor. */
static bool make_way(struct acceptor *acceptor)
{
    struct http_server *server = acceptor->server;
    if (connections_drop_lingering(server->connections) > 0)
        return true;
    if (server->spare_fd < 0)
        return false;

    struct address peer;
    fd_close(&server->spare_fd);
    int fd = accept_one(acceptor, &peer);
    /* Without free descriptors, the kernel does not check whether a connection is
     * waiting. */
    bool is_done = fd >= 0 || errno == EAGAIN;
    if (fd >= 0)
        refuse(server, fd, &peer, METRIC_CONNECTIONS_REFUSED_FULL, HTTP_ERROR_CONNECTIONS);
    connections_drop_lingering(server->connections);
    spare_open(server, NULL);
    return is_done;
}

/* Whether to accept again after this error. */
static bool go_on(struct acceptor *acceptor, int errnum)
{
    switch (errnum) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
        if (make_way(acceptor))
            return true;
        break;
    case ENOBUFS:
    case ENOMEM:
        break;
    default: /* only this connection is affected: it was reset, or a firewall objects */
        return true;
    }
    pause_accepting(acceptor->server);
    return false;
}

static void on_event(void *ctx, uint32_t events)
{
    (void)events;
    struct acceptor *acceptor = ctx;
    struct connections *connections = acceptor->server->connections;
    for (int i = 0; i < ACCEPTS_PER_TURN && connections_may_begin(connections); i++) {
        struct address peer;
        int fd = accept_one(acceptor, &peer);
        if (fd >= 0)
            admit(acceptor->server, fd, &peer);
        else if (!go_on(acceptor, errno))
            return;
    }
}

/* --- life ------------------------------------------------------------------------- */

static bool acceptors_add(struct http_server *server, const int *fds, size_t count,
                          struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct acceptor *acceptor = &server->acceptors[i];
        *acceptor = (struct acceptor){.server = server, .fd = fds[i]};
        /* Accepted sockets inherit it, which saves a system call for each. */
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        setsockopt(fds[i], IPPROTO_TCP, TCP_NOTSENT_LOWAT, &(int){UNSENT_MAX}, sizeof(int));
        if (!loop_watch_add(server->loop, fds[i], EPOLLIN, on_event, acceptor,
                            &acceptor->watch, err))
            return false;
        server->acceptor_count++;
    }
    return true;
}

bool http_server_new(struct loop *loop, const struct http_config *config,
                     const int *sockets, size_t socket_count, struct http_server **ret,
                     struct err *err)
{
    struct http_server *server =
        calloc(1, sizeof *server + socket_count * sizeof server->acceptors[0]);
    if (!server)
        return err_sys(err, ENOMEM, "HTTP server");

    server->loop = loop;
    server->config = *config;
    server->spare_fd = -1;
    timer_init(&server->pause, on_pause_over);
    timer_init(&server->relief, on_relief);
    if (!spare_open(server, err) ||
        !connections_new(loop, &server->config, &server->connections, err) ||
        !acceptors_add(server, sockets, socket_count, err)) {
        http_server_free(server);
        return false;
    }
    *ret = server;
    return true;
}

void http_server_stop_accepting(struct http_server *server)
{
    loop_timer_stop(server->loop, &server->pause);
    loop_timer_stop(server->loop, &server->relief);
    for (size_t i = 0; i < server->acceptor_count; i++) {
        struct acceptor *acceptor = &server->acceptors[i];
        loop_watch_drop(server->loop, acceptor->fd, &acceptor->watch);
    }
}

struct http_server *http_server_free(struct http_server *server)
{
    if (!server)
        return NULL;

    http_server_stop_accepting(server);
    connections_free(server->connections);
    fd_close(&server->spare_fd);
    free(server);
    return NULL;
}

struct connections *http_server_connections(struct http_server *server)
{
    return server->connections;
}
