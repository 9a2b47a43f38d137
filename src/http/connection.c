/* SPDX-License-Identifier: MIT */
#include "http/connection.h"

#include "base/container.h"
#include "base/err.h"
#include "base/log.h"
#include "http/input.h"
#include "loop/loop.h"
#include "loop/tasks.h"
#include "loop/trim.h"
#include "metrics/metrics.h"
#include "policy/admission.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>

#define SEND_BYTES       (256 * 1024)       /* of a reply in a turn */
#define LINGER_MAX       256                /* connections at once */
#define LINGER_BYTES     (16 * 1024 * 1024) /* thrown away for one of them */
#define LINGER_PIECES    16                 /* in a turn */
#define HANDSHAKE_MS     2                  /* of a turn go to TLS handshakes */
#define TRIM_CONNECTIONS 512

/* The first two are also there when nothing has changed: edges are what counts. */
#define WATCHED_EVENTS   (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
#define BROKEN_EVENTS    (EPOLLHUP | EPOLLERR)

enum state {
    STATE_HANDSHAKE, /* of TLS */
    STATE_RESTING,   /* no request has begun */
    STATE_HEAD,      /* a request has begun */
    STATE_BODY,      /* its head is whole */
    STATE_WAITING,   /* its handler has not finished: no limit of time */
    STATE_SENDING,   /* the socket does not take the rest of the reply */
    STATE_LINGERING, /* all was said: what still comes is thrown away */
};

struct connection {
    struct connections *all; /* borrowed */
    LIST_ENTRY(connection) sibling;
    struct task task; /* to advance at the turn's end */
    struct timer timer;
    struct instant since; /* when the state began */
    struct loop_watch watch;
    struct transport transport;
    struct exchange *exchange; /* owned: the request in progress, NULL = none */
    struct input input;
    size_t discarded; /* bytes, while lingering */
    unsigned served;  /* requests */
    enum state state;
    enum connection_seat seat;
    enum http_fault refusal; /* what one without a seat is told */
};

LIST_HEAD(connection_list, connection);

struct connections {
    struct loop *loop;                /* borrowed */
    const struct http_config *config; /* borrowed */
    struct exchange_world world;
    struct connection_list active, lingering; /* each is on one of them */
    struct tasks due, handshakes;
    struct input_buffer *spare; /* owned */
    size_t seated_count;
    size_t exchange_count; /* of those with a seat */
    size_t lingering_count;
    struct instant turned; /* when the last turn began that has ended */
    struct instant drain_begun;
    struct instant logged; /* when a client of the wrong kind last was */
    struct trim trim;      /* of the memory of those that have ended */
};

static void advance(struct connection *connection);

/* --- states and their limits ------------------------------------------------------ */

static struct span limit_of(const struct connection *connection)
{
    const struct connection_limits *limits = &connection->all->config->limits;
    if (connection->seat == SEAT_NONE) /* holds nothing up for longer than to be told */
        return limits->linger;
    switch (connection->state) {
    case STATE_RESTING:
        return limits->idle;
    case STATE_HANDSHAKE:
    case STATE_HEAD:
        return limits->head;
    case STATE_BODY:
        return limits->body;
    case STATE_WAITING:
        break;
    case STATE_SENDING:
        return limits->send;
    case STATE_LINGERING:
        return limits->linger;
    }
    return span_seconds(INT32_MAX);
}

/* A reload waits for every connection, and lets none in meanwhile. */
static struct instant deadline_of(const struct connection *connection)
{
    const struct connections *all = connection->all;
    struct instant since = connection->since;
    struct instant deadline = instant_add(since, limit_of(connection));
    if (!all->world.is_draining || connection->state > STATE_HEAD)
        return deadline;

    struct instant begun =
        instant_before(since, all->drain_begun) ? all->drain_begun : since;
    struct span grace = span_seconds(connection->state == STATE_RESTING ? 1 : 2);
    return instant_min(deadline, instant_add(begun, grace));
}

/* A timer that is set for an earlier time stays: when it fires it is set anew. So requests
 * that follow each other do not touch it. */
static bool arm(struct connection *connection)
{
    struct timer *timer = &connection->timer;
    struct instant deadline = deadline_of(connection);
    if (timer_is_set(timer) && !instant_before(deadline, timer->deadline))
        return true;
    return loop_timer_set(connection->all->loop, timer, deadline);
}

static void enter(struct connection *connection, enum state state)
{
    connection->state = state;
    connection->since = loop_now(connection->all->loop);
    arm(connection); /* its room was made when the connection began: this cannot fail */
}

static void make_due(struct connection *connection)
{
    struct connections *all = connection->all;
    bool shakes = connection->state == STATE_HANDSHAKE;
    tasks_add(shakes ? &all->handshakes : &all->due, &connection->task);
    if (loop_now(all->loop).ns == all->turned.ns)
        loop_again(all->loop);
}

/* --- the end ---------------------------------------------------------------------- */

static void end_exchange(struct connection *connection)
{
    struct connections *all = connection->all;
    struct exchange *exchange = connection->exchange;
    if (!exchange)
        return;

    unsigned status = exchange_status(exchange);
    if (connection->seat != SEAT_NONE) {
        all->exchange_count--;
        if (status != 0)
            metrics_count_request(all->config->metrics, exchange_metric(exchange), status);
    }
    connection->exchange = exchange_free(exchange);
}

static void leave_seat(struct connection *connection)
{
    struct connections *all = connection->all;
    if (connection->seat == SEAT_NONE)
        return;

    admission_leave(all->config->admission, &connection->transport.peer,
                    connection->seat == SEAT_UNLIMITED);
    metrics_add(all->config->metrics, METRIC_CONNECTIONS_OPEN, -1);
    all->seated_count--;
    connection->seat = SEAT_NONE;
}

/* The only way out. An exchange that waits is told. */
static void end(struct connection *connection)
{
    struct connections *all = connection->all;
    end_exchange(connection);
    leave_seat(connection);
    task_cancel(&connection->task);
    loop_timer_stop(all->loop, &connection->timer);
    loop_watch_drop(all->loop, -1, &connection->watch);
    transport_close(&connection->transport);
    input_drop(&connection->input, &all->spare);
    LIST_REMOVE(connection, sibling);
    if (connection->state == STATE_LINGERING)
        all->lingering_count--;
    free(connection);
    trim_note(&all->trim);
}

static void on_event(void *ctx, uint32_t events)
{
    struct connection *connection = ctx;
    if (events & (EPOLLRDHUP | BROKEN_EVENTS))
        connection->input.incoming = INCOMING_ENDED;
    else if ((events & EPOLLIN) && connection->input.incoming == INCOMING_NONE)
        connection->input.incoming = INCOMING_SOME;

    if ((events & BROKEN_EVENTS) && connection->state >= STATE_WAITING)
        end(connection);
    else
        advance(connection);
}

/* There is nothing to do before the next event. */
static void await(struct connection *connection)
{
    struct connections *all = connection->all;
    input_settle(&connection->input, &all->spare);
    if (connection->watch.generation == 0 &&
        !loop_watch_add(all->loop, connection->transport.fd, WATCHED_EVENTS, on_event,
                        connection, &connection->watch, NULL))
        end(connection);
}

/* --- lingering -------------------------------------------------------------------- *
 * A close with unread bytes in the receive buffer sends a reset, and a reset makes the
 * client's kernel throw away what it has not read yet: our last words. */

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

static void linger(struct connection *connection)
{
    struct connections *all = connection->all;
    if (all->lingering_count == LINGER_MAX) {
        end(connection);
        return;
    }

    transport_finish(&connection->transport);
    leave_seat(connection);
    task_cancel(&connection->task);
    input_drop(&connection->input, &all->spare);
    LIST_REMOVE(connection, sibling);
    LIST_INSERT_HEAD(&all->lingering, connection, sibling);
    all->lingering_count++;
    enter(connection, STATE_LINGERING);
    discard(connection);
}

/* --- sending ---------------------------------------------------------------------- */

static void rest(struct connection *connection)
{
    connection->served++;
    enter(connection, STATE_RESTING);
    if (input_has_begun(&connection->input) || connection->input.incoming != INCOMING_NONE)
        make_due(connection);
    await(connection);
}

/* Whether the client sends, or has sent, more than was read and answered. */
static bool has_more(const struct connection *connection)
{
    return connection->seat == SEAT_NONE || input_has_begun(&connection->input) ||
           transport_has_unread(&connection->transport);
}

/* The reply is sent. */
static void conclude(struct connection *connection)
{
    bool must_close =
        exchange_must_close(connection->exchange) || connection->all->world.is_draining;
    end_exchange(connection);
    if (!must_close)
        rest(connection);
    else if (has_more(connection))
        linger(connection);
    else
        end(connection);
}

static void send_output(struct connection *connection)
{
    struct exchange *exchange = connection->exchange;
    const char *bytes;
    size_t len, left = SEND_BYTES;
    ssize_t n = 0;
    if (exchange_state(exchange) == EXCHANGE_BROKEN) {
        end(connection);
        return;
    }
    while (bytes = exchange_output(exchange, &len), n >= 0 && len > 0 && left > 0) {
        n = transport_write(&connection->transport, bytes, len < left ? len : left);
        if (n > 0) {
            exchange_sent(exchange, (size_t)n);
            left = (size_t)n < left ? left - (size_t)n : 0;
        }
    }

    bool is_unfinished = exchange_is_unfinished(exchange);
    if (n < 0 && errno != EAGAIN) {
        end(connection);
    } else if (len == 0 && !is_unfinished) {
        conclude(connection);
    } else {
        if (!is_unfinished && connection->state != STATE_SENDING)
            enter(connection, STATE_SENDING);
        if (left == 0)
            make_due(connection);
        await(connection);
    }
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

/* Once a second: a setting may be wrong, a proxy's or the client's. */
static void log_wrong_protocol(struct connection *connection, enum http_fault fault)
{
    static const char *const spoken[] = {
        [HTTP_FAULT_TLS_AT_PLAIN] = "TLS at a port of plain HTTP",
        [HTTP_FAULT_PLAIN_AT_TLS] = "plain HTTP at a port of HTTPS",
        [HTTP_FAULT_HTTP_2] = "HTTP/2",
        [HTTP_FAULT_PROXY_LINE] = "the PROXY protocol",
    };
    struct connections *all = connection->all;
    struct instant now = loop_now(all->loop);
    struct log_line line;
    if (fault >= sizeof spoken / sizeof *spoken || !spoken[fault] ||
        instant_since(now, all->logged).ns < NS_PER_SECOND ||
        !log_begin(&line, LOG_LEVEL_INFO, "wrong_protocol"))
        return;

    char peer[ADDRESS_TEXT_SIZE];
    all->logged = now;
    log_str(&line, "peer", address_format(&connection->transport.peer, peer));
    log_str(&line, "spoken", spoken[fault]);
    log_end(&line);
}

/* Answers instead of a handler, and ends. */
static void refuse(struct connection *connection, enum http_fault fault)
{
    struct request_view view;
    bool is_understood = connection->exchange != NULL;
    log_wrong_protocol(connection, fault);
    if (is_understood)
        view = input_view(&connection->input);
    else if (!take_exchange(connection, NULL)) {
        end(connection);
        return;
    }
    exchange_refuse(connection->exchange, is_understood ? &view : NULL, fault);
    send_output(connection);
}

static void on_time(struct timer *timer)
{
    struct connection *connection = CONTAINER_OF(timer, struct connection, timer);
    struct connections *all = connection->all;
    if (instant_before(loop_now(all->loop), deadline_of(connection))) {
        arm(connection);
        return;
    }

    if (connection->seat != SEAT_NONE)
        metrics_add(all->config->metrics, METRIC_CONNECTIONS_TIMED_OUT, 1);
    if (connection->state == STATE_HEAD || connection->state == STATE_BODY)
        refuse(connection, HTTP_FAULT_TIMEOUT);
    else
        end(connection);
}

/* --- reading ---------------------------------------------------------------------- */

/* The request is whole. */
static void serve(struct connection *connection)
{
    const struct request_view view = input_view(&connection->input);
    exchange_run(connection->exchange, &view);
    input_consume(&connection->input);
    if (!exchange_is_unfinished(connection->exchange) ||
        exchange_state(connection->exchange) == EXCHANGE_BROKEN) {
        send_output(connection);
    } else if (connection->input.incoming == INCOMING_ENDED) {
        end(connection); /* its client has left already */
    } else {
        enter(connection, STATE_WAITING);
        await(connection);
    }
}

/* The head is whole. Whether its body is wanted: otherwise the connection has moved on, or
 * is gone. */
static bool begin_exchange(struct connection *connection)
{
    const struct request_view view = input_view(&connection->input);
    if (!take_exchange(connection, &view)) {
        end(connection);
        return false;
    }
    if (exchange_state(connection->exchange) == EXCHANGE_NEW)
        return true;

    if (!request_has_body(view.request))
        input_consume(&connection->input);
    send_output(connection);
    return false;
}

/* The body did not come with the head. False when the client does not take even that it may
 * send it. */
static bool invite_body(struct connection *connection)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!input_view(&connection->input).request->expects_continue ||
        input_has_body(&connection->input))
        return true;
    return transport_write(&connection->transport, text, sizeof text - 1) ==
           (ssize_t)(sizeof text - 1);
}

static void await_request(struct connection *connection)
{
    enum state state = connection->exchange                  ? STATE_BODY
                       : input_has_begun(&connection->input) ? STATE_HEAD
                                                             : STATE_RESTING;
    bool is_new = connection->state != state;
    if (is_new)
        enter(connection, state);
    if (is_new && state == STATE_BODY && !invite_body(connection))
        end(connection);
    else
        await(connection);
}

static void take_in(struct connection *connection)
{
    for (;;) {
        struct exchange *exchange = connection->exchange;
        switch (input_read(&connection->input, &connection->all->spare,
                           &connection->transport,
                           exchange ? exchange_body_max(exchange) : 0)) {
        case INPUT_AGAIN:
            make_due(connection);
            await_request(connection);
            return;
        case INPUT_NOTHING:
            await_request(connection);
            return;
        case INPUT_HEAD:
            if (begin_exchange(connection))
                continue;
            return;
        case INPUT_REQUEST:
            serve(connection);
            return;
        case INPUT_BAD:
            refuse(connection, input_view(&connection->input).request->fault);
            return;
        case INPUT_ENDED:
            end(connection);
            return;
        }
    }
}

/* While a handler waits nothing is read, but under TLS a client may say within its records
 * that it leaves. Not while a record of ours is stuck: the client may have asked for new
 * keys, which GnuTLS would then take that record's place for. */
static bool has_left(struct connection *connection)
{
    struct input *input = &connection->input;
    if (input->incoming != INCOMING_SOME || connection->transport.tls != TLS_OPEN)
        return input->incoming == INCOMING_ENDED;

    enum input_event event =
        input_peek(input, &connection->all->spare, &connection->transport);
    if (event == INPUT_AGAIN)
        make_due(connection);
    return event == INPUT_ENDED;
}

/* --- TLS -------------------------------------------------------------------------- */

static void shake_hands(struct connection *connection)
{
    switch (transport_shake_hands(&connection->transport, connection->all->config->tls)) {
    case HANDSHAKE_WAITS:
        await(connection);
        return;
    case HANDSHAKE_OTHER:
        refuse(connection, HTTP_FAULT_PLAIN_AT_TLS);
        return;
    case HANDSHAKE_FAILED:
        end(connection);
        return;
    case HANDSHAKE_DONE:
        break;
    }
    enter(connection, STATE_RESTING);
    if (connection->seat == SEAT_NONE)
        refuse(connection, connection->refusal);
    else
        take_in(connection);
}

/* --- what is due ------------------------------------------------------------------ */

static void advance(struct connection *connection)
{
    switch (connection->state) {
    case STATE_HANDSHAKE:
        make_due(connection);
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
    }
}

static void on_turn(struct task *task)
{
    struct connection *connection = CONTAINER_OF(task, struct connection, task);
    if (connection->state == STATE_HANDSHAKE)
        shake_hands(connection);
    else
        advance(connection);
}

static void on_output(void *ctx)
{
    make_due(ctx);
}

/* Those that become due meanwhile have to wait for the next turn. */
static bool turn(void *ctx)
{
    struct connections *all = ctx;
    for (size_t left = all->due.count; left > 0; left--)
        tasks_run_next(&all->due);
    if (all->handshakes.count > 0) {
        struct instant until = instant_add(clock_now(), span_ms(HANDSHAKE_MS));
        while (tasks_run_next(&all->handshakes) && instant_before(clock_now(), until))
            continue;
    }
    all->turned = loop_now(all->loop);
    return all->due.count > 0 || all->handshakes.count > 0;
}

/* --- life ------------------------------------------------------------------------- */

static struct connection *connection_new(struct connections *all, int fd,
                                         const struct address *peer,
                                         enum connection_seat seat)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        return NULL;

    connection->all = all;
    connection->seat = seat;
    connection->state = all->config->tls ? STATE_HANDSHAKE : STATE_RESTING;
    timer_init(&connection->timer, on_time);
    task_init(&connection->task, on_turn);
    transport_init(&connection->transport, fd, peer);
    connection->since = loop_now(all->loop);
    if (!arm(connection)) { /* without a limit it may not stay */
        free(connection);
        return NULL;
    }
    LIST_INSERT_HEAD(&all->active, connection, sibling);
    return connection;
}

void connection_begin(struct connections *all, int fd, const struct address *peer,
                      enum connection_seat seat)
{
    struct connection *connection = connection_new(all, fd, peer, seat);
    if (!connection) {
        close(fd);
        admission_leave(all->config->admission, peer, seat == SEAT_UNLIMITED);
        return;
    }

    all->seated_count++;
    metrics_add(all->config->metrics, METRIC_CONNECTIONS_ACCEPTED, 1);
    metrics_add(all->config->metrics, METRIC_CONNECTIONS_OPEN, 1);
    advance(connection);
}

void connection_turn_away(struct connections *all, int fd, const struct address *peer,
                          enum http_fault fault)
{
    struct connection *connection = connection_new(all, fd, peer, SEAT_NONE);
    if (!connection) {
        close(fd);
        return;
    }

    connection->refusal = fault;
    if (all->config->tls)
        advance(connection);
    else
        refuse(connection, fault);
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
    if (!all->world.is_draining)
        all->drain_begun = loop_now(all->loop);
    all->world.is_draining = true;
    struct connection *next;
    for (struct connection *connection = LIST_FIRST(&all->active); connection;
         connection = next) {
        next = LIST_NEXT(connection, sibling);
        bool is_idle = connection->state == STATE_RESTING && !has_more(connection);
        if (is_idle && connection->served > 0)
            end(connection);
        else
            arm(connection);
    }
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
    all->world = (struct exchange_world){.site = config->site, .has_output = on_output};
    LIST_INIT(&all->active);
    LIST_INIT(&all->lingering);
    tasks_init(&all->due);
    tasks_init(&all->handshakes);
    trim_init(&all->trim, loop, TRIM_CONNECTIONS);
    loop_each_turn(loop, turn, all);
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
    free(all->spare);
    trim_done(&all->trim);
    loop_each_turn_end(all->loop, turn, all);
    free(all);
    return NULL;
}
