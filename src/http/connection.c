/* SPDX-License-Identifier: MIT
 *
 * The states of a connection, and all that moves it from one to the next. One file although
 * it is long: each part would need the struct of the others (decision 10).
 */
#include "http/connection.h"

#include "base/container.h"
#include "base/err.h"
#include "base/log.h"
#include "http/input.h"
#include "http/turns.h"
#include "loop/loop.h"
#include "loop/trim.h"
#include "metrics/metrics.h"
#include "net/address_table.h"
#include "policy/admission.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#define SEND_BYTES       (256 * 1024) /* of a reply per turn */
#define SEND_RATE        (16 * 1024)  /* bytes a second: slower readers run out of time */
#define LINGER_MAX       256          /* connections at a time */
#define LINGER_CALLER    16           /* of them per caller */
#define LINGER_BYTES     (16 * 1024 * 1024) /* discarded per connection */
#define LINGER_PIECES    16                 /* per turn */
#define TRIM_CONNECTIONS 512
#define SINCE_NS         (100 * NS_PER_MS) /* the exactness of `since` */

/* EPOLLIN and EPOLLOUT are often reported without a change; with EPOLLET only edges
 * count. */
#define WATCHED_EVENTS   (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
#define BROKEN_EVENTS    (EPOLLHUP | EPOLLERR)

struct connection {
    struct connections *all; /* borrowed */
    LIST_ENTRY(connection) sibling;
    struct task task; /* advances the connection at the end of the turn */
    struct timer timer;
    struct instant deadline; /* of the state */
    struct instant since;    /* it has been waiting for a request; as the admission knows */
    struct loop_watch watch;
    struct transport transport;
    struct exchange *exchange; /* owned: the request in progress, NULL = none */
    struct input input;
    size_t discarded; /* bytes, while lingering */
    unsigned served;  /* requests */
    enum connection_state state;
    enum connection_seat seat;
    uint32_t place;          /* of the admission, if it has a seat */
    enum http_error refusal; /* what a connection without a seat is told */
};

LIST_HEAD(connection_list, connection);

struct connections {
    struct loop *loop;                /* borrowed */
    const struct http_config *config; /* borrowed */
    struct exchange_world world;
    struct connection_list active, lingering; /* each is on one of them */
    struct turns turns;
    size_t seated_count;
    size_t exchange_count; /* of those with a seat */
    size_t lingering_count;
    struct instant logged; /* when a wrong protocol was last logged */
    struct trim trim;      /* of the memory of ended connections */
};

static loop_event_fn on_event; /* defined below: every event starts there */

/* --- states and their limits ------------------------------------------------------ */

/* While draining, a client that has not begun a request has one second to begin, and one
 * that has begun has two seconds for the rest of its head. */
static void hurry(struct connection *connection)
{
    if (connection->state > STATE_HEAD)
        return;

    struct span grace = span_seconds(connection->state == STATE_RESTING ? 1 : 2);
    connection->deadline = instant_min(connection->deadline,
                                       instant_add(loop_now(connection->all->loop), grace));
}

/* A reply that was sent at once is not worth telling another one soon after it. */
static bool waits_from(struct connection *connection, struct instant since)
{
    if (connection->seat == SEAT_NONE ||
        (connection->state < STATE_WAITING &&
         instant_since(since, connection->since).ns < SINCE_NS))
        return true;

    connection->since = since;
    return admission_wait(connection->all->config->admission, connection->place, since);
}

/* A timer that is set for an earlier time stays as it is and is set again when it fires, so
 * back-to-back requests do not touch it. False without memory, which can happen only the
 * first time. */
static bool arm(struct connection *connection)
{
    struct timer *timer = &connection->timer;
    if (timer_is_set(timer) && !instant_before(connection->deadline, timer->deadline))
        return true;
    return loop_timer_set(connection->all->loop, timer, connection->deadline);
}

static bool enter(struct connection *connection, enum connection_state state)
{
    struct connections *all = connection->all;
    const struct span *limits = all->config->limits;
    /* A client without a seat holds a descriptor only until it has been told why. */
    struct span limit = limits[connection->seat == SEAT_NONE ? STATE_LINGERING : state];
    connection->state = state;
    connection->deadline = instant_add(loop_now(all->loop), limit);
    if (all->world.is_draining)
        hurry(connection);
    return arm(connection);
}

static void make_due(void *ctx)
{
    struct connection *connection = ctx;
    enum turns_rank rank = connection->state != STATE_HANDSHAKE       ? TURNS_SERVE
                           : connection->transport.tls == TLS_SHAKING ? TURNS_SHAKE
                                                                      : TURNS_GREET;
    turns_add(&connection->all->turns, rank, &connection->task);
}

static bool may_wait(void *ctx, const struct address *caller)
{
    const struct connection *connection = ctx;
    return admission_may_work(connection->all->config->admission, connection->place,
                              caller);
}

/* --- the end ---------------------------------------------------------------------- */

static void end_exchange(struct connection *connection)
{
    struct connections *all = connection->all;
    struct exchange *exchange = connection->exchange;
    if (!exchange)
        return;

    if (connection->seat != SEAT_NONE) {
        all->exchange_count--;
        exchange_count(exchange, all->config->metrics);
    }
    connection->exchange = exchange_free(exchange);
}

static void leave_seat(struct connection *connection)
{
    struct connections *all = connection->all;
    if (connection->seat == SEAT_NONE)
        return;

    if (admission_leave(all->config->admission, connection->place))
        metrics_add(all->config->metrics, METRIC_CONNECTIONS_EVICTED, 1);
    metrics_add(all->config->metrics, METRIC_CONNECTIONS_OPEN, -1);
    all->seated_count--;
    connection->seat = SEAT_NONE;
}

/* The only way to end a connection. An exchange that waits is told that it is gone. */
static void end(struct connection *connection)
{
    struct connections *all = connection->all;
    end_exchange(connection);
    leave_seat(connection);
    task_cancel(&connection->task);
    loop_timer_stop(all->loop, &connection->timer);
    loop_watch_drop(all->loop, -1, &connection->watch);
    transport_close(&connection->transport);
    input_drop(&connection->input);
    LIST_REMOVE(connection, sibling);
    if (connection->state == STATE_LINGERING)
        all->lingering_count--;
    free(connection);
    trim_note(&all->trim, 1);
}

/* Nothing can be done before the next event. */
static void await(struct connection *connection)
{
    input_shrink(&connection->input);
    if (connection->watch.generation == 0 &&
        !loop_watch_add(connection->all->loop, connection->transport.fd, WATCHED_EVENTS,
                        on_event, connection, &connection->watch, NULL))
        end(connection);
}

/* --- lingering -------------------------------------------------------------------- *
 * Closing a socket with unread bytes in its receive buffer sends a reset, and a reset makes
 * the client's kernel discard what the client has not read yet: our last reply. */

static void discard(struct connection *connection)
{
    ssize_t n;
    unsigned pieces = 0;
    do {
        n = transport_discard(&connection->transport);
        connection->discarded += n > 0 ? (size_t)n : 0;
    } while (n > 0 && connection->discarded < LINGER_BYTES && ++pieces < LINGER_PIECES);
    if (n > 0 && connection->discarded < LINGER_BYTES)
        make_due(connection);
    else if (n < 0 && errno == EAGAIN)
        await(connection);
    else
        end(connection);
}

/* Each caller gets a share of the pool. A proxy, which has no limit of connections, stands
 * for many callers. */
static bool may_linger(const struct connection *connection)
{
    const struct connections *all = connection->all;
    struct address_key key = address_key_caller(&connection->transport.peer);
    size_t own_count = 0;
    const struct connection *other;
    LIST_FOREACH(other, &all->lingering, sibling) {
        struct address_key other_key = address_key_caller(&other->transport.peer);
        own_count += memcmp(&key, &other_key, sizeof key) == 0;
    }
    return all->lingering_count < LINGER_MAX &&
           (own_count < LINGER_CALLER || connection->seat == SEAT_UNLIMITED);
}

static void linger(struct connection *connection)
{
    struct connections *all = connection->all;
    if (!may_linger(connection)) {
        end(connection);
        return;
    }

    transport_finish(&connection->transport);
    leave_seat(connection);
    task_cancel(&connection->task);
    input_drop(&connection->input);
    LIST_REMOVE(connection, sibling);
    LIST_INSERT_HEAD(&all->lingering, connection, sibling);
    all->lingering_count++;
    enter(connection, STATE_LINGERING);
    discard(connection);
}

/* --- sending ---------------------------------------------------------------------- */

/* Whether the client has sent more than was read and answered, or is still sending. */
static bool has_more(const struct connection *connection)
{
    return connection->seat == SEAT_NONE || input_has_begun(&connection->input) ||
           transport_has_unread(&connection->transport);
}

/* Call it when the reply has been sent. */
static void conclude(struct connection *connection)
{
    bool must_close =
        exchange_must_close(connection->exchange) || connection->all->world.is_draining;
    end_exchange(connection);
    if (must_close) {
        if (has_more(connection))
            linger(connection);
        else
            end(connection);
        return;
    }

    connection->served++;
    if (!waits_from(connection, loop_now(connection->all->loop))) {
        end(connection);
        return;
    }
    enter(connection, STATE_RESTING);
    if (input_has_begun(&connection->input) ||
        connection->transport.incoming != INCOMING_NONE)
        make_due(connection);
    await(connection);
}

/* A reader that keeps up SEND_RATE gets the whole of a long reply. The limit of the state
 * is then that of a pause, and we wait for the client from now on. False if the connection
 * had to give way. */
static bool prolong(struct connection *connection, size_t sent)
{
    const struct connections *all = connection->all;
    struct instant now = loop_now(all->loop);
    struct span earned = {(int64_t)sent * NS_PER_SECOND / SEND_RATE};
    if (connection->state != STATE_SENDING || connection->seat == SEAT_NONE)
        return true;

    connection->deadline =
        instant_min(instant_add(connection->deadline, earned),
                    instant_add(now, all->config->limits[STATE_SENDING]));
    return waits_from(connection, now);
}

/* False if the connection is broken or its exchange cannot be answered. */
static bool write_output(struct connection *connection, size_t *ret_left)
{
    const char *bytes;
    size_t budget = SEND_BYTES;
    while ((bytes = exchange_output(connection->exchange, ret_left)) && *ret_left > 0 &&
           budget > 0) {
        size_t len = *ret_left < budget ? *ret_left : budget;
        ssize_t n = transport_write(&connection->transport, bytes, len);
        if (n < 0)
            return errno == EAGAIN;
        exchange_sent(connection->exchange, (size_t)n);
        if (!prolong(connection, (size_t)n))
            return false;
        budget -= (size_t)n < budget ? (size_t)n : budget;
    }
    if (budget == 0)
        make_due(connection);
    return bytes != NULL;
}

static bool enter_sending(struct connection *connection)
{
    enter(connection, STATE_SENDING);
    return waits_from(connection, loop_now(connection->all->loop));
}

static void send_output(struct connection *connection)
{
    size_t left;
    if (!write_output(connection, &left)) {
        end(connection);
        return;
    }
    bool is_finished = !exchange_is_unfinished(connection->exchange);
    if (is_finished && left == 0) {
        conclude(connection);
        return;
    }
    if (is_finished && connection->state != STATE_SENDING && !enter_sending(connection)) {
        end(connection);
        return;
    }
    await(connection);
}

/* --- refusals --------------------------------------------------------------------- */

static bool take_exchange(struct connection *connection, const struct request_view *view)
{
    struct connections *all = connection->all;
    connection->exchange =
        exchange_new(&all->world, connection, &connection->transport, view);
    if (connection->exchange && connection->seat != SEAT_NONE)
        all->exchange_count++;
    return connection->exchange != NULL;
}

/* At most once a second. The line points to a wrong setting of a proxy or a client. */
static void log_wrong_protocol(struct connection *connection, enum http_error error)
{
    const char *spoken = http_error_protocol(error);
    struct connections *all = connection->all;
    struct instant now = loop_now(all->loop);
    struct log_line line;
    if (!spoken || instant_since(now, all->logged).ns < NS_PER_SECOND ||
        !log_begin_limited(&line, LOG_LEVEL_INFO, "wrong_protocol"))
        return;

    char peer[ADDRESS_TEXT_SIZE];
    struct address address = address_unmap(&connection->transport.peer);
    all->logged = now;
    log_str(&line, "peer", address_format(&address, peer));
    log_str(&line, "spoken", spoken);
    log_end(&line);
}

/* Replies with an error instead of running a handler, and ends the connection. */
static void refuse(struct connection *connection, enum http_error error)
{
    struct request_view view;
    bool is_understood = connection->exchange != NULL;
    log_wrong_protocol(connection, error);
    if (is_understood)
        view = input_view(&connection->input);
    else if (!take_exchange(connection, NULL)) {
        end(connection);
        return;
    }
    exchange_refuse(connection->exchange, is_understood ? &view : NULL, error);
    send_output(connection);
}

static void on_time(struct timer *timer)
{
    struct connection *connection = CONTAINER_OF(timer, struct connection, timer);
    struct connections *all = connection->all;
    if (instant_before(loop_now(all->loop), connection->deadline)) {
        arm(connection);
        return;
    }

    if (connection->seat != SEAT_NONE)
        metrics_add(all->config->metrics, METRIC_CONNECTIONS_TIMED_OUT, 1);
    if (connection->state == STATE_HEAD || connection->state == STATE_BODY)
        refuse(connection, HTTP_ERROR_TIMEOUT);
    else
        end(connection);
}

/* --- reading ---------------------------------------------------------------------- */

/* Call it when the request is complete. */
static void serve(struct connection *connection)
{
    const struct request_view view = input_view(&connection->input);
    exchange_run(connection->exchange, &view);
    input_consume(&connection->input);
    if (exchange_is_unfinished(connection->exchange)) {
        if (connection->transport.incoming == INCOMING_ENDED) {
            end(connection); /* the client has already left */
            return;
        }
        if (!admission_work(connection->all->config->admission, connection->place)) {
            end(connection);
            return;
        }
        enter(connection, STATE_WAITING);
    }
    send_output(connection);
}

/* Call it when the head is complete. True if the body is to be read; otherwise the
 * connection has moved on or has ended. */
static bool begin_exchange(struct connection *connection)
{
    const struct request_view view = input_view(&connection->input);
    if (!take_exchange(connection, &view)) {
        end(connection);
        return false;
    }
    if (exchange_wants_body(connection->exchange))
        return true;

    if (!request_has_body(view.request))
        input_consume(&connection->input);
    send_output(connection);
    return false;
}

/* Sends a 100 (Continue) unless a part of the body has arrived. False if the socket does
 * not accept even that. */
static bool invite_body(struct connection *connection)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const struct request *request = input_view(&connection->input).request;
    if (!request->expects_continue || request->seen > request->body)
        return true;
    return transport_write(&connection->transport, text, sizeof text - 1) ==
           (ssize_t)(sizeof text - 1);
}

static void await_request(struct connection *connection)
{
    enum connection_state state = connection->exchange                  ? STATE_BODY
                                  : input_has_begun(&connection->input) ? STATE_HEAD
                                                                        : STATE_RESTING;
    bool is_new = connection->state != state;
    if (is_new)
        enter(connection, state);
    if (is_new && state == STATE_BODY && !invite_body(connection)) {
        end(connection);
        return;
    }
    if (connection->transport.incoming !=
        INCOMING_NONE) /* this turn's share has been read */
        make_due(connection);
    await(connection);
}

static void take_in(struct connection *connection)
{
    if (connection->seat == SEAT_NONE) {
        refuse(connection, connection->refusal);
        return;
    }
    for (;;) {
        struct exchange *exchange = connection->exchange;
        size_t body_max = exchange ? exchange_route(exchange)->body_max : 0;
        enum request_progress progress;
        if (!input_read(&connection->input, &connection->transport, body_max, &progress)) {
            end(connection);
            return;
        }
        switch (progress) {
        case REQUEST_MORE:
            await_request(connection);
            return;
        case REQUEST_HEAD:
            if (begin_exchange(connection))
                continue;
            return;
        case REQUEST_DONE:
            serve(connection);
            return;
        case REQUEST_BAD:
            refuse(connection, input_view(&connection->input).request->error);
            return;
        }
    }
}

/* Nothing is read while a handler waits, except under TLS, where a record may say that the
 * client leaves. Nor is anything read while one of our records is stuck: the client may
 * have requested new keys, and GnuTLS would mix up its answer with that record. */
static bool has_left(struct connection *connection)
{
    struct input *input = &connection->input;
    struct transport *transport = &connection->transport;
    if (transport->tls == TLS_OPEN && !input_peek(input, transport))
        return true;
    if (transport->tls == TLS_OPEN && input_can_peek(input, transport))
        make_due(connection);
    return transport->incoming == INCOMING_ENDED;
}

/* --- TLS -------------------------------------------------------------------------- */

/* Whether the handshake is complete. If not, the connection waits, refuses or has ended. */
static bool shake_hands(struct connection *connection)
{
    switch (transport_shake_hands(&connection->transport, connection->all->config->tls)) {
    case HANDSHAKE_DONE:
        enter(connection, STATE_RESTING);
        return true;
    case HANDSHAKE_WAITS:
        await(connection);
        return false;
    case HANDSHAKE_OTHER:
        refuse(connection, HTTP_ERROR_PLAIN_AT_TLS);
        return false;
    case HANDSHAKE_FAILED:
        break;
    }
    end(connection);
    return false;
}

/* --- turns and events ------------------------------------------------------------- */

static void advance(struct connection *connection)
{
    switch (connection->state) {
    case STATE_HANDSHAKE:
        if (shake_hands(connection))
            take_in(connection);
        return;
    case STATE_RESTING:
    case STATE_HEAD:
    case STATE_BODY:
        take_in(connection);
        return;
    case STATE_WAITING:
        if (has_left(connection))
            end(connection);
        else
            send_output(connection);
        return;
    case STATE_SENDING:
        send_output(connection);
        return;
    case STATE_LINGERING:
        discard(connection);
        return;
    case STATE_COUNT:
        return;
    }
}

static void on_turn(struct task *task)
{
    advance(CONTAINER_OF(task, struct connection, task));
}

/* Advances at once, except for handshakes, which have only a part of each turn. */
static void proceed(struct connection *connection)
{
    if (connection->state == STATE_HANDSHAKE)
        make_due(connection);
    else
        advance(connection);
}

static void on_event(void *ctx, uint32_t events)
{
    struct connection *connection = ctx;
    if (events & (EPOLLRDHUP | BROKEN_EVENTS))
        connection->transport.incoming = INCOMING_ENDED;
    else if ((events & EPOLLIN) && connection->transport.incoming == INCOMING_NONE)
        connection->transport.incoming = INCOMING_SOME;

    bool cannot_reply = (events & BROKEN_EVENTS) && (connection->state >= STATE_WAITING ||
                                                     connection->state == STATE_HANDSHAKE);
    if (cannot_reply)
        end(connection);
    else
        proceed(connection);
}

/* --- life ------------------------------------------------------------------------- */

void connection_begin(struct connections *all, int fd, const struct address *peer,
                      enum connection_seat seat, uint32_t place, enum http_error refusal)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection) {
        if (seat != SEAT_NONE)
            admission_leave(all->config->admission, place);
        close(fd);
        return;
    }

    connection->all = all;
    connection->seat = seat;
    connection->place = place;
    connection->since = loop_now(all->loop);
    connection->refusal = refusal;
    timer_init(&connection->timer, on_time);
    task_init(&connection->task, on_turn);
    transport_init(&connection->transport, fd, peer);
    LIST_INSERT_HEAD(&all->active, connection, sibling);
    if (seat != SEAT_NONE) {
        all->seated_count++;
        metrics_add(all->config->metrics, METRIC_CONNECTIONS_ACCEPTED, 1);
        metrics_add(all->config->metrics, METRIC_CONNECTIONS_OPEN, 1);
    }
    if (enter(connection, all->config->tls ? STATE_HANDSHAKE : STATE_RESTING))
        proceed(connection);
    else
        end(connection); /* it cannot be timed out without a timer */
}

size_t connections_drop_lingering(struct connections *all)
{
    size_t count = all->lingering_count;
    struct connection *connection;
    while ((connection = LIST_FIRST(&all->lingering)) != NULL) {
        transport_discard(&connection->transport);
        end(connection);
    }
    return count;
}

void connections_drain(struct connections *all)
{
    all->world.is_draining = true;
    struct connection *connection;
    LIST_FOREACH(connection, &all->active, sibling) {
        hurry(connection);
        arm(connection);
    }
}

bool connections_may_begin(const struct connections *all)
{
    return turns_may_begin(&all->turns);
}

size_t connections_exchanges(const struct connections *all)
{
    return all->exchange_count;
}

size_t connections_count(const struct connections *all)
{
    return all->seated_count;
}

bool connections_new(struct loop *loop, const struct http_config *config,
                     struct connections **ret, struct err *err)
{
    struct connections *all = calloc(1, sizeof *all);
    if (!all)
        return err_sys(err, ENOMEM, "connections");

    all->loop = loop;
    all->config = config;
    all->world = (struct exchange_world){
        .site = config->site, .has_output = make_due, .may_wait = may_wait};
    LIST_INIT(&all->active);
    LIST_INIT(&all->lingering);
    turns_init(&all->turns, loop);
    trim_init(&all->trim, loop, TRIM_CONNECTIONS);
    *ret = all;
    return true;
}

struct connections *connections_free(struct connections *all)
{
    if (!all)
        return NULL;

    struct connection *connection;
    while ((connection = LIST_FIRST(&all->active)) != NULL)
        end(connection);
    connections_drop_lingering(all);
    trim_done(&all->trim);
    turns_done(&all->turns);
    free(all);
    return NULL;
}
