/* SPDX-License-Identifier: MIT
 *
 * One connection from accept to close, and who holds its socket.
 */
#include "base/fd.h"
#include "http/admission.h"
#include "http/private.h"
#include "metrics/metrics.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define RESTING_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)
#define LEFT_EVENTS    (EPOLLRDHUP | EPOLLHUP | EPOLLERR)

static void connection_on_event(void *ctx, uint32_t events);

bool connection_is_tls(const struct connection *connection)
{
    return connection->server->config.tls_cert != NULL;
}

struct connection *connection_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* --- from hand to hand ----------------------------------------------------------- */

bool connection_watch(struct connection *connection, uint32_t events)
{
    struct loop *loop = connection->server->loop;
    if (connection->watch.generation != 0)
        return loop_watch_change(loop, connection->fd, connection->watch, events, NULL);
    return loop_watch_add(loop, connection->fd, events, connection_on_event, connection,
                          &connection->watch, NULL);
}

bool connection_stay_watched(struct connection *connection)
{
    return connection->watch.generation != 0 ||
           connection_watch(connection, RESTING_EVENTS);
}

/* A whole head waits in the kernel, or under TLS its first byte. */
static void hand_over(struct connection *connection)
{
    struct server *server = connection->server;
    loop_watch_drop(server->loop, connection->fd, &connection->watch);
    if (connection->phase == PHASE_IDLE)
        connection_enter(connection, PHASE_HEAD);

    server->adding = connection;
    if (MHD_add_connection(server->daemon, connection->fd, &connection->peer.sa,
                           connection->peer.len) == MHD_YES) {
        phase_set_timer(connection);
        server_need_run(server);
    } else if (server->adding) { /* closed by libmicrohttpd, before it had begun */
        connection->fd = -1;
        connection_end(connection);
    }
    server->adding = NULL;
}

static void await(struct connection *connection)
{
    if (!connection_stay_watched(connection))
        connection_end(connection);
}

void connection_count(struct connection *connection, bool is_asking)
{
    if (connection->is_counted == is_asking)
        return;

    connection->is_counted = is_asking;
    connection->server->exchange_count += is_asking ? 1 : (size_t)-1;
}

/* The request that lies at the start of the kernel's buffer and of the scratch. */
static void serve(struct connection *connection, const struct head *head,
                  const struct request *request, bool has_ended)
{
    struct server *server = connection->server;
    char *body = server->scratch + head->size;
    size_t size = head->size + (size_t)head->content_length;
    /* TCP throws away with MSG_TRUNC, and copies nothing. */
    if (recv(connection->fd, server->scratch, size, MSG_TRUNC) != (ssize_t)size) {
        connection_end(connection);
        return;
    }
    connection->consumed += size;
    body[head->content_length] = '\0';
    exchange_serve(connection, request, head, body, has_ended);
}

/* Whether the request is ours. `len` bytes of it have come. */
static bool take(struct connection *connection, const struct head *head, size_t len,
                 bool has_ended)
{
    struct request request;
    struct server *server = connection->server;
    if (head->content_length > REQUEST_MAX - head->size ||
        !request_parse(server->scratch, head, &request))
        return false;

    size_t size = head->size + (size_t)head->content_length;
    if (len >= size) {
        connection->has_input = len > size || has_ended;
        serve(connection, head, &request, has_ended);
    } else if (!exchange_takes_body(server, &request, head->content_length)) {
        return false;
    } else if (has_ended) {
        connection_end(connection);
    } else {
        connection_count(connection, true);
        if (connection->phase != PHASE_BODY)
            connection_enter(connection, PHASE_BODY);
        await(connection);
    }
    return true;
}

static void head_came(struct connection *connection, const struct head *head, bool is_1_1,
                      size_t len, bool has_ended)
{
    /* Judged again when libmicrohttpd has parsed it, for there may be later requests; but
     * it answers a malformed Content-Length by itself, with two heads. */
    if (!head_is_sound(head, is_1_1))
        connection_refuse(connection, HTTP_FAULT_BAD_FRAMING);
    else if (head->lines > LINES_MAX)
        connection_refuse(connection, HTTP_FAULT_HEADERS_TOO_LARGE);
    else if (!take(connection, head, len, has_ended))
        hand_over(connection);
}

/* Something may have come while we hold the socket and no request is in progress. When the
 * client has ended its side, half a head is all that there will ever be. */
static void look(struct connection *connection, bool has_ended)
{
    struct server *server = connection->server;
    bool is_tls = connection_is_tls(connection);
    connection->has_input = false;
    ssize_t n = recv(connection->fd, server->scratch, is_tls ? 1 : REQUEST_MAX, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        await(connection);
        return;
    }
    if (n <= 0) {
        connection_end(connection);
        return;
    }
    if (is_tls) {
        hand_over(connection);
        return;
    }

    struct head head;
    bool is_1_1;
    switch (head_scan(server->scratch, (size_t)n, SERVER_HEADER_MAX, &head, &is_1_1)) {
    case HEAD_PARTIAL:
        if (has_ended) {
            connection_end(connection);
            return;
        }
        if (connection->phase == PHASE_IDLE)
            connection_enter(connection, PHASE_HEAD);
        await(connection);
        return;
    case HEAD_WHOLE:
        head_came(connection, &head, is_1_1, (size_t)n, has_ended);
        return;
    case HEAD_TOO_LARGE:
        connection_refuse(connection, HTTP_FAULT_HEADERS_TOO_LARGE);
        return;
    }
}

/* Ends it, and lets the client read what was written. */
static void end_politely(struct connection *connection)
{
    struct server *server = connection->server;
    loop_watch_drop(server->loop, connection->fd, &connection->watch);
    linger_begin(server, fd_take(&connection->fd));
    connection_end(connection);
}

void connection_rest(struct connection *connection, bool must_close)
{
    if (must_close || connection->server->is_draining) {
        if (connection->has_input)
            end_politely(connection);
        else
            connection_end(connection);
        return;
    }

    connection_enter(connection, PHASE_IDLE);
    /* Watched anew, what has come already is an event of the next turn: whoever sends many
     * requests at once has them served one a turn. */
    if (connection->has_input ? !connection_watch(connection, RESTING_EVENTS)
                              : !connection_stay_watched(connection))
        connection_end(connection);
}

/* libmicrohttpd has closed: the connection is over, unless it only let go of one that
 * rests. */
static void closed_by_mhd(struct connection *connection)
{
    struct server *server = connection->server;
    bool rests = connection->is_settling && connection->phase == PHASE_IDLE &&
                 !connection->is_dead && !server->is_draining &&
                 !connection_has_read_ahead(connection);
    connection->is_settling = false;
    int fd = -1;
    bool lingers = !connection->is_dead && connection_has_unread(connection);
    if (rests || lingers || connection->wants_linger)
        fd = fcntl(connection->fd, F_DUPFD_CLOEXEC, 3);
    loop_watch_drop(server->loop, connection->fd, &connection->watch);
    connection->fd = fd;
    if (fd >= 0 && rests) {
        phase_set_timer(connection);
        await(connection);
        return;
    }
    if (fd >= 0)
        linger_begin(server, fd_take(&connection->fd));
    connection_end(connection);
}

void connection_notify(void *cls, struct MHD_Connection *mhd, void **socket_context,
                       enum MHD_ConnectionNotificationCode code)
{
    struct server *server = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        server->adding->mhd = mhd;
        *socket_context = server->adding;
        return;
    }

    struct connection *connection = *socket_context;
    *socket_context = NULL;
    if (server->adding == connection)
        server->adding = NULL;
    server_count_freed(server);
    connection->mhd = NULL;
    closed_by_mhd(connection);
}

/* --- events while we hold the socket, or while its exchange waits ---------------- */

void connection_left(struct connection *connection)
{
    if (connection->exchange)
        exchange_abandon(connection->exchange);
    connection_kill(connection);
}

static void connection_on_event(void *ctx, uint32_t events)
{
    struct connection *connection = ctx;
    struct exchange *exchange = connection->exchange;
    if (!exchange) {
        look(connection, (events & LEFT_EVENTS) != 0);
        return;
    }

    if (events & EPOLLIN)
        connection->has_input = true;
    bool is_sending = !connection->mhd && exchange->status != 0;
    bool has_left = (exchange->is_waiting && (events & LEFT_EVENTS)) ||
                    (is_sending && (events & (EPOLLHUP | EPOLLERR)));
    if (has_left)
        connection_left(connection);
    else if (is_sending && (events & EPOLLOUT) && exchange->is_stream)
        stream_continue(exchange);
    else if (is_sending && (events & EPOLLOUT))
        reply_continue(exchange);
}

/* --- begin and end --------------------------------------------------------------- */

void connection_begin(struct server *server, int fd, const struct address *peer,
                      bool is_unlimited)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection) {
        close(fd);
        admission_leave(server->config.admission, peer, is_unlimited);
        return;
    }

    *connection = (struct connection){
        .server = server,
        .next = server->connections,
        .peer = *peer,
        .fd = fd,
        .is_unlimited = is_unlimited,
        .is_exact = true,
    };
    timer_init(&connection->timer, phase_on_time);
    if (connection->next)
        connection->next->prev = connection;
    server->connections = connection;
    server->connection_count++;
    metrics_add(server->config.metrics, METRIC_CONNECTIONS_ACCEPTED, 1);
    metrics_add(server->config.metrics, METRIC_CONNECTIONS_OPEN, 1);
    connection_enter(connection, PHASE_IDLE);
    if (timer_is_set(&connection->timer))
        look(connection, false);
    else
        connection_end(connection); /* without a limit it may not stay */
}

void connection_end(struct connection *connection)
{
    struct server *server = connection->server;
    assert(!connection->mhd);
    if (connection->exchange) {
        exchange_abandon(connection->exchange);
        exchange_end(connection->exchange);
    }
    connection_count(connection, false);
    loop_timer_stop(server->loop, &connection->timer);
    loop_watch_drop(server->loop, connection->fd, &connection->watch);
    fd_close(&connection->fd);

    if (connection->next)
        connection->next->prev = connection->prev;
    if (connection->prev)
        connection->prev->next = connection->next;
    else
        server->connections = connection->next;
    server->connection_count--;
    metrics_add(server->config.metrics, METRIC_CONNECTIONS_OPEN, -1);
    admission_leave(server->config.admission, &connection->peer, connection->is_unlimited);
    free(connection);
}

void connection_kill(struct connection *connection)
{
    if (!connection->mhd) {
        connection_end(connection);
        return;
    }

    connection->is_dead = true;
    shutdown(connection->fd, SHUT_RDWR); /* libmicrohttpd sees that, and closes */
    struct exchange *exchange = connection->exchange;
    if (exchange && exchange->is_suspended) {
        exchange->is_suspended = false;
        MHD_resume_connection(connection->mhd);
    }
    connection_urge(connection);
    phase_set_timer(connection); /* until it is done */
}

/* Whether we hold a request whose body does not come: its head lies in the kernel yet. */
static bool refuse_held(struct connection *connection, enum http_fault fault)
{
    if (connection->mhd || connection->exchange || connection->phase != PHASE_BODY)
        return false;

    struct head head;
    struct request request;
    bool is_1_1;
    char *bytes = connection->server->scratch;
    ssize_t n = recv(connection->fd, bytes, REQUEST_MAX, MSG_PEEK);
    if (n <= 0 ||
        head_scan(bytes, (size_t)n, SERVER_HEADER_MAX, &head, &is_1_1) != HEAD_WHOLE ||
        !request_parse(bytes, &head, &request))
        return false;

    connection->has_input = true;
    exchange_serve_fault(connection, &request, fault);
    return true;
}

static void write_fault(struct connection *connection, enum http_fault fault)
{
    struct exchange *exchange = connection->exchange;
    if (connection_is_tls(connection))
        return;
    if (exchange)
        exchange_refuse(exchange, fault);
    reply_write_fault(connection->server, connection->fd, fault,
                      exchange ? exchange->fields.data : "");
}

void connection_refuse(struct connection *connection, enum http_fault fault)
{
    struct server *server = connection->server;
    if (refuse_held(connection, fault))
        return;

    write_fault(connection, fault);
    if (connection->exchange)
        connection->exchange->status = fault_status(fault);
    else
        metrics_count_request(server->config.metrics, METRIC_ROUTE_OTHER,
                              fault_status(fault));
    if (connection->mhd) {
        connection_kill(connection);
        return;
    }

    end_politely(connection);
}

void connection_refuse_rest(struct connection *connection, enum http_fault fault)
{
    connection->is_dead = true;
    connection->exchange->status = fault_status(fault);
    write_fault(connection, fault);
    connection->wants_linger = !connection_is_tls(connection);
}
