/* SPDX-License-Identifier: MIT
 *
 * Owns the libmicrohttpd daemon and decides when it runs. Its epoll descriptor is watched
 * in our loop; it runs at the end of a turn in which that was readable, or in which we gave
 * it something to do.
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

/* --- libmicrohttpd --------------------------------------------------------------- */

static void on_daemon_event(void *ctx, uint32_t events)
{
    (void)events;
    struct server *server = ctx;
    server->is_run_needed = true;
}

static struct MHD_Daemon *daemon_new(struct server *server)
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
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)DAEMON_MEMORY,
        MHD_OPTION_CONNECTION_TIMEOUT, 0U, MHD_OPTION_NOTIFY_CONNECTION, connection_notify,
        server, MHD_OPTION_NOTIFY_COMPLETED, exchange_completed, server,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_ARRAY,
        config->tls_cert ? tls : plain, MHD_OPTION_END);
}

static bool daemon_start(struct server *server, struct err *err)
{
    server->daemon = daemon_new(server);
    if (!server->daemon && server->config.tls_cert)
        return err_set(err, ERR_SYSTEM,
                       "the HTTPS server cannot start: is the certificate the key's?");
    if (!server->daemon)
        return err_set(err, ERR_SYSTEM, "the HTTP server cannot start");

    server->daemon_fd =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    return loop_watch_add(server->loop, server->daemon_fd, EPOLLIN, on_daemon_event, server,
                          &server->daemon_watch, err);
}

static void daemon_stop(struct server *server)
{
    if (!server->daemon)
        return;

    MHD_run(server->daemon); /* whoever was suspended resumes, which stopping demands */
    loop_watch_drop(server->loop, server->daemon_fd, &server->daemon_watch);
    MHD_stop_daemon(server->daemon);
}

static void daemon_run(struct server *server)
{
    if (!server->is_run_needed)
        return;

    server->is_run_needed = false;
    MHD_run(server->daemon);
    MHD_UNSIGNED_LONG_LONG timeout;
    if (MHD_get_timeout(server->daemon, &timeout) == MHD_YES && timeout == 0)
        server->is_run_needed = true;
}

static void on_run_time(struct timer *timer)
{
    (void)timer; /* the turn itself is what was needed */
}

void server_need_run(struct server *server)
{
    if (server->is_run_needed)
        return;

    server->is_run_needed = true;
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
    stream_flush(server);
    daemon_run(server);
    return server->is_run_needed;
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
    if (!daemon_start(server, err) ||
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
    daemon_stop(server);
    linger_drop(server);
    loop_timer_stop(server->loop, &server->run_timer);
    loop_timer_stop(server->loop, &server->trim_timer);
    loop_each_turn_end(server->loop, run, server);
    free(server);
    return NULL;
}

void server_stop_accepting(struct server *server)
{
    accept_stop(server);
}

void server_drain(struct server *server)
{
    if (!server->is_draining)
        server->drain_begun = loop_now(server->loop);
    server->is_draining = true;
    struct connection *next;
    for (struct connection *connection = server->connections; connection;
         connection = next) {
        next = connection->next;
        if (connection->phase == PHASE_IDLE && connection->consumed > 0)
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
