/* SPDX-License-Identifier: MIT
 *
 * Which phase a connection is in, and what happens when the phase's time is up. Times are
 * absolute: bytes that trickle in do not prolong them.
 */
#include "http/private.h"
#include "metrics/metrics.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* --- what the kernel has seen ---------------------------------------------------- */

static uint64_t bytes_received(const struct connection *connection)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    if (getsockopt(connection->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return 0;
    return info.tcpi_bytes_received;
}

bool connection_has_unread(const struct connection *connection)
{
    int waiting = 0;
    return ioctl(connection->fd, SIOCINQ, &waiting) == 0 && waiting > 0;
}

bool connection_has_read_ahead(const struct connection *connection)
{
    if (!connection->is_exact || connection_is_tls(connection))
        return true;

    int waiting = 0;
    if (ioctl(connection->fd, SIOCINQ, &waiting) != 0 || waiting < 0)
        return true;
    return bytes_received(connection) - (uint64_t)waiting != connection->consumed;
}

/* --- phases and their limits ----------------------------------------------------- */

/* A reload waits for everybody, and nobody is let in meanwhile: who has not asked gets
 * little time to do so, which runs from when the phase began or, if that is later, from
 * when the draining began. */
static struct instant while_draining(const struct connection *connection,
                                     struct instant deadline, int64_t seconds)
{
    const struct server *server = connection->server;
    struct instant begun = connection->since;
    if (!server->is_draining)
        return deadline;
    if (instant_before(begun, server->drain_begun))
        begun = server->drain_begun;
    return instant_min(deadline, instant_add(begun, span_seconds(seconds)));
}

static struct instant phase_deadline(const struct connection *connection)
{
    const struct server_limits *limits = &connection->server->limits;
    struct instant since = connection->since;
    switch (connection->phase) {
    case PHASE_IDLE:
        /* Whoever has just come is about to ask: it must not find the door shut. */
        return while_draining(connection, instant_add(since, limits->idle), 1);
    case PHASE_HEAD:
        return while_draining(connection, instant_add(since, limits->head), 2);
    case PHASE_BODY:
        return instant_add(since, limits->body);
    case PHASE_WAITING:
        break;
    case PHASE_SENDING:
        return instant_add(since, limits->send);
    }
    return (struct instant){INT64_MAX};
}

/* While libmicrohttpd holds the socket, phases follow each other without a timer being
 * touched: a tick looks now and then. It is shorter than any limit, so that each deadline
 * is still met. */
static struct span tick_of(const struct server *server)
{
    struct span tick = span_seconds(SETTLE_SECONDS);
    const struct span limits[] = {server->limits.idle, server->limits.head,
                                  server->limits.body, server->limits.send};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i].ns / 4 < tick.ns)
            tick.ns = limits[i].ns / 4;
    return tick;
}

void phase_set_timer(struct connection *connection)
{
    struct server *server = connection->server;
    if (connection->phase == PHASE_WAITING && !connection->is_dead) {
        loop_timer_stop(server->loop, &connection->timer);
        return;
    }

    struct instant now = loop_now(server->loop);
    struct instant at = phase_deadline(connection);
    if (connection->is_dead)
        at = instant_add(now, tick_of(server));
    else if (connection->mhd)
        at = instant_min(at, instant_add(now, tick_of(server)));
    /* Room was made when the connection began, so that this cannot fail for want of it. */
    loop_timer_set(server->loop, &connection->timer, at);
}

void connection_enter(struct connection *connection, enum phase phase)
{
    bool was_waiting = connection->phase == PHASE_WAITING;
    connection->phase = phase;
    connection->since = loop_now(connection->server->loop);
    if (phase == PHASE_IDLE)
        connection->is_ticked = false;
    if (!connection->mhd || was_waiting || phase == PHASE_WAITING)
        phase_set_timer(connection);
}

static void settle(struct connection *connection, unsigned seconds)
{
    connection->is_settling = seconds > 0;
    MHD_set_connection_option(connection->mhd, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

void connection_urge(struct connection *connection)
{
    MHD_set_connection_option(connection->mhd, MHD_CONNECTION_OPTION_TIMEOUT, 1U);
    server_need_run(connection->server);
}

void connection_urge_soon(struct connection *connection)
{
    connection->is_ending = true;
    loop_timer_set(connection->server->loop, &connection->timer,
                   loop_now(connection->server->loop));
}

void connection_unsettle(struct connection *connection)
{
    if (connection->is_settling)
        settle(connection, 0);
}

/* libmicrohttpd tells nothing of a request before its first line is whole: on a tick, ask
 * the kernel whether bytes have come that belong to no request yet. */
static bool has_begun(struct connection *connection)
{
    if (connection->is_exact && !connection_is_tls(connection))
        return bytes_received(connection) != connection->consumed;

    uint64_t bytes = bytes_received(connection);
    bool has_more = connection->is_ticked && bytes != connection->ticked;
    connection->is_ticked = true;
    connection->ticked = bytes;
    return has_more;
}

static void tick_idle(struct connection *connection)
{
    struct server *server = connection->server;
    struct span idle = instant_since(loop_now(server->loop), connection->since);
    if (has_begun(connection))
        connection_enter(connection, PHASE_HEAD);
    else if (connection->is_settling)
        server_need_run(server);
    else if (idle.ns >= span_seconds(SETTLE_SECONDS).ns &&
             !connection_has_read_ahead(connection))
        settle(connection, 1);
}

/* Whether the client has ended its side, or reset, and all that it sent was read: what it
 * has begun will never be whole. libmicrohttpd does not see an end that came together with
 * the last bytes. */
static bool has_ended(const struct connection *connection)
{
    char byte;
    ssize_t n = recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static void time_is_up(struct connection *connection)
{
    metrics_add(connection->server->config.metrics, METRIC_CONNECTIONS_TIMED_OUT, 1);
    switch (connection->phase) {
    case PHASE_HEAD:
    case PHASE_BODY:
        connection_refuse(connection, HTTP_FAULT_TIMEOUT);
        return;
    case PHASE_IDLE:
    case PHASE_WAITING:
    case PHASE_SENDING:
        connection_kill(connection);
        return;
    }
}

void phase_on_time(struct timer *timer)
{
    struct connection *connection = TO_CONNECTION(timer);
    struct instant now = loop_now(connection->server->loop);
    if (connection->is_dead) {
        connection_kill(connection);
        return;
    }
    if (!instant_before(now, phase_deadline(connection))) {
        time_is_up(connection);
        return;
    }
    if (connection->is_ending) {
        connection->is_ending = false;
        connection_urge(connection);
    } else if (connection->mhd && connection->phase != PHASE_SENDING &&
               has_ended(connection)) {
        connection_kill(connection);
        return;
    } else if (connection->mhd && connection->phase == PHASE_IDLE) {
        tick_idle(connection);
    }
    phase_set_timer(connection);
}
