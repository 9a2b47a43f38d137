/* SPDX-License-Identifier: MIT
 *
 * Owns the libmicrohttpd daemons and decides when they run. The epoll descriptor of each is
 * watched in our loop; it runs at the end of a turn in which that was readable, or in which
 * we gave it something to do.
 */
#include "http/server.h"

#include "base/err.h"
#include "base/log.h"
#include "http/private.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECTIONS_MAX (1U << 20) /* ours are counted by the admission */

static void on_panic(void *cls, const char *file, unsigned line, const char *reason)
{
    (void)cls;
    log_message(LOG_LEVEL_ERROR, "http_panic", "%s:%u: %s", file, line,
                reason ? reason : "");
    log_flush();
    abort();
}

static __attribute__((format(printf, 2, 0))) void on_log(void *cls, const char *format,
                                                         va_list args)
{
    (void)cls;
    struct log_line line;
    if (!log_begin(&line, LOG_LEVEL_DEBUG, "libmicrohttpd"))
        return;

    char message[256];
    vsnprintf(message, sizeof message, format, args);
    message[strcspn(message, "\n")] = '\0';
    log_str(&line, "message", message);
    log_end(&line);
}

/* Paths are compared as they came: "/health%00" is not "/health". */
static size_t keep_escapes(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return strlen(text);
}

/* --- lanes ----------------------------------------------------------------------- */

static void on_lane_event(void *ctx, uint32_t events)
{
    (void)events;
    struct lane *lane = ctx;
    lane->is_run_needed = true;
}

static struct MHD_Daemon *daemon_start(struct server *server, size_t memory)
{
    const struct server_config *config = &server->config;
    union {
        const char *from;
        void *to;
    } cert = {.from = config->tls_cert}, key = {.from = config->tls_key};
    const struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, cert.to},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, key.to},
        {MHD_OPTION_END, 0, NULL},
    };
    const struct MHD_OptionItem plain[] = {{MHD_OPTION_END, 0, NULL}};

    /* TURBO: libmicrohttpd looks at a new connection at once, and closes without a
     * shutdown(), which is what lets us keep a duplicate of the socket. */
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
                     MHD_USE_TURBO | MHD_USE_ERROR_LOG |
                     (config->tls_cert ? (unsigned)MHD_USE_TLS : 0);
    return MHD_start_daemon(
        flags, 0, NULL, NULL, exchange_step, server, MHD_OPTION_EXTERNAL_LOGGER, on_log,
        NULL, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory, MHD_OPTION_CONNECTION_TIMEOUT, 0U,
        MHD_OPTION_NOTIFY_CONNECTION, connection_notify, server,
        MHD_OPTION_NOTIFY_COMPLETED, exchange_completed, server,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_ARRAY,
        config->tls_cert ? tls : plain, MHD_OPTION_END);
}

static bool lane_start(struct server *server, enum lane_kind kind, size_t memory,
                       struct err *err)
{
    struct lane *lane = &server->lanes[kind];
    lane->server = server;
    lane->daemon = daemon_start(server, memory);
    if (!lane->daemon && server->config.tls_cert)
        return err_set(err, ERR_SYSTEM,
                       "the HTTPS server cannot start: is the certificate the key's?");
    if (!lane->daemon)
        return err_set(err, ERR_SYSTEM, "the HTTP server cannot start");

    lane->fd = MHD_get_daemon_info(lane->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    return loop_watch_add(server->loop, lane->fd, EPOLLIN, on_lane_event, lane,
                          &lane->watch, err);
}

static void lane_stop(struct lane *lane)
{
    if (!lane->daemon)
        return;

    MHD_run(lane->daemon); /* whoever was suspended resumes, which stopping demands */
    loop_watch_drop(lane->server->loop, lane->fd, &lane->watch);
    MHD_stop_daemon(lane->daemon);
}

static bool lane_run(struct lane *lane)
{
    if (!lane->is_run_needed)
        return false;

    lane->is_run_needed = false;
    MHD_run(lane->daemon);
    MHD_UNSIGNED_LONG_LONG timeout;
    if (MHD_get_timeout(lane->daemon, &timeout) == MHD_YES && timeout == 0)
        lane->is_run_needed = true;
    return lane->is_run_needed;
}

static void on_run_time(struct timer *timer)
{
    (void)timer; /* the turn itself is what was needed */
}

void server_need_run(struct server *server, enum lane_kind kind)
{
    if (server->lanes[kind].is_run_needed)
        return;

    server->lanes[kind].is_run_needed = true;
    loop_timer_set(server->loop, &server->run_timer, loop_now(server->loop));
}

static void on_trim_time(struct timer *timer)
{
    struct server *server =
        (struct server *)(void *)((char *)timer - offsetof(struct server, trim_timer));
    server->trimmable = 0;
    malloc_trim(0);
}

void server_count_freed(struct server *server)
{
    if (++server->trimmable < TRIM_CONNECTIONS || timer_is_set(&server->trim_timer))
        return;

    loop_timer_set(server->loop, &server->trim_timer,
                   instant_add(loop_now(server->loop), span_seconds(TRIM_SECONDS)));
}

static bool run(void *ctx)
{
    struct server *server = ctx;
    loop_timer_stop(server->loop, &server->run_timer);
    bool has_more = false;
    stream_flush(server);
    for (size_t i = 0; i < LANE_COUNT; i++)
        has_more |= lane_run(&server->lanes[i]);
    return has_more;
}

/* --- the server ------------------------------------------------------------------ */

static struct span or_default(struct span limit, int64_t seconds)
{
    return limit.ns > 0 ? limit : span_seconds(seconds);
}

bool server_new(struct loop *loop, const struct server_config *config, const int *listeners,
                size_t listener_count, struct server **ret, struct err *err)
{
    struct server *server = calloc(1, sizeof *server);
    if (!server)
        return err_sys(err, ENOMEM, "HTTP server");

    server->loop = loop;
    server->config = *config;
    server->spare_fd = -1;
    server->limits = (struct server_limits){
        .idle = or_default(config->limits.idle, SERVER_IDLE_SECONDS),
        .head = or_default(config->limits.head, SERVER_HEAD_SECONDS),
        .body = or_default(config->limits.body, SERVER_BODY_SECONDS),
        .send = or_default(config->limits.send, SERVER_SEND_SECONDS),
        .linger = or_default(config->limits.linger, SERVER_LINGER_SECONDS),
    };
    timer_init(&server->run_timer, on_run_time);
    timer_init(&server->trim_timer, on_trim_time);
    MHD_set_panic_func(on_panic, NULL);
    loop_each_turn(loop, run, server);
    if (!lane_start(server, LANE_SMALL, LANE_SMALL_MEMORY, err) ||
        !lane_start(server, LANE_LARGE, LANE_LARGE_MEMORY, err) ||
        !accept_start(server, listeners, listener_count, err)) {
        server_free(server);
        return false;
    }

    *ret = server;
    return true;
}

static void end_all(struct server *server)
{
    struct connection *next;
    for (struct connection *connection = server->connections; connection;
         connection = next) {
        next = connection->next;
        if (connection->exchange)
            exchange_abandon(connection->exchange);
        connection_kill(connection);
    }
}

struct server *server_free(struct server *server)
{
    if (!server)
        return NULL;

    accept_done(server);
    end_all(server);
    for (size_t i = 0; i < LANE_COUNT; i++)
        lane_stop(&server->lanes[i]);
    linger_drop(server);
    loop_timer_stop(server->loop, &server->run_timer);
    loop_timer_stop(server->loop, &server->trim_timer);
    loop_each_turn_end(server->loop, run, server);
    reply_release(server);
    free(server);
    return NULL;
}

void server_stop_accepting(struct server *server)
{
    accept_stop(server);
}

void server_drain(struct server *server)
{
    server->is_draining = true;
    struct connection *next;
    for (struct connection *connection = server->connections; connection;
         connection = next) {
        next = connection->next;
        if (connection->phase != PHASE_IDLE)
            continue;
        if (connection->consumed > 0)
            connection_kill(connection);
        else
            phase_set_timer(connection);
    }
}

size_t server_exchanges(const struct server *server)
{
    return server->exchange_count;
}

size_t server_connections(const struct server *server)
{
    return server->connection_count;
}
