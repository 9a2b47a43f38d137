/* SPDX-License-Identifier: MIT
 *
 * Replies in pieces. What was written and not yet taken waits in `out`; at the end of the
 * turn it is sent, or handed to libmicrohttpd, as far as the client takes it. Nothing here
 * ends an exchange while its owner is writing.
 *
 * A connection of ours gets head and chunks as they stand in `out`. libmicrohttpd, where it
 * holds the connection, asks for the next bytes itself, and is suspended while there are
 * none.
 */
#include "http/private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* --- whose turn it is ------------------------------------------------------------ */

static void stream_need_flush(struct exchange *exchange)
{
    struct server *server = exchange->connection->server;
    if (exchange->is_to_flush)
        return;

    exchange->is_to_flush = true;
    exchange->next_to_flush = server->to_flush;
    server->to_flush = exchange;
    loop_timer_set(server->loop, &server->run_timer, loop_now(server->loop));
}

void stream_forget(struct exchange *exchange)
{
    if (!exchange->is_to_flush)
        return;

    struct exchange **link = &exchange->connection->server->to_flush;
    while (*link != exchange)
        link = &(*link)->next_to_flush;
    *link = exchange->next_to_flush;
    exchange->is_to_flush = false;
}

/* Makes room for what is written next. */
static void drop_sent(struct exchange *exchange)
{
    struct text *out = &exchange->out;
    if (exchange->out_sent < out->len / 2)
        return;

    out->len -= exchange->out_sent;
    memmove(out->data, out->data + exchange->out_sent, out->len + 1);
    exchange->out_sent = 0;
}

/* --- connections of ours --------------------------------------------------------- */

void stream_continue(struct exchange *exchange)
{
    struct connection *connection = exchange->connection;
    struct text *out = &exchange->out;
    while (!out->failed && exchange->out_sent < out->len) {
        ssize_t n = send(connection->fd, out->data + exchange->out_sent,
                         out->len - exchange->out_sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN &&
            connection_watch(connection, EPOLLIN | EPOLLRDHUP | EPOLLOUT | EPOLLET)) {
            drop_sent(exchange);
            return;
        }
        if (n < 0)
            break;
        exchange->out_sent += (size_t)n;
    }
    if (out->failed || exchange->out_sent < out->len) {
        connection_end(connection);
        return;
    }
    drop_sent(exchange);
    if (exchange->is_waiting)
        return;

    bool must_close = exchange->must_close;
    exchange_end(exchange);
    connection_rest(connection, must_close);
}

/* --- connections of libmicrohttpd ------------------------------------------------ */

static ssize_t stream_read(void *cls, uint64_t position, char *ret_bytes, size_t max)
{
    struct exchange *exchange = cls;
    struct text *out = &exchange->out;
    (void)position;
    if (exchange->connection->is_dead || out->failed)
        return MHD_CONTENT_READER_END_WITH_ERROR;

    size_t len = out->len - exchange->out_sent;
    if (len == 0 && !exchange->is_waiting)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (len == 0) {
        exchange->is_suspended = true;
        MHD_suspend_connection(exchange->mhd);
        return 0;
    }
    if (len > max)
        len = max;
    memcpy(ret_bytes, out->data + exchange->out_sent, len);
    exchange->out_sent += len;
    drop_sent(exchange);
    return (ssize_t)len;
}

static void resume(struct exchange *exchange)
{
    struct connection *connection = exchange->connection;
    if (!exchange->is_suspended)
        return;

    exchange->is_suspended = false;
    MHD_resume_connection(exchange->mhd);
    server_need_run(connection->server);
}

/* --- both ------------------------------------------------------------------------ */

void stream_flush(struct server *server)
{
    while (server->to_flush) {
        struct exchange *exchange = server->to_flush;
        stream_forget(exchange);
        if (!exchange->mhd) {
            stream_continue(exchange);
        } else if (exchange->out.failed) {
            exchange_abandon(exchange);
            connection_kill(exchange->connection);
        } else {
            resume(exchange);
        }
    }
}

void exchange_stream_begin(struct exchange *exchange, unsigned status,
                           const char *content_type, size_t max)
{
    assert(exchange->is_waiting && !exchange->is_stream);
    exchange->is_stream = true;
    exchange->status = status;
    /* A chunk's frame is never longer than a piece of sensible size. */
    text_init(&exchange->out, REPLY_HEAD_MAX + 2 * max);
    if (!exchange->mhd)
        reply_append_stream_head(exchange, content_type);
    else if (!reply_queue_stream(exchange, content_type, stream_read))
        exchange->out.failed = true;
    stream_need_flush(exchange);
}

void exchange_stream_write(struct exchange *exchange, const char *bytes, size_t len)
{
    assert(exchange->is_stream && exchange->is_waiting);
    if (len == 0)
        return;

    bool is_chunked = !exchange->mhd && exchange->is_1_1;
    if (is_chunked)
        text_printf(&exchange->out, "%zx\r\n", len);
    text_append(&exchange->out, bytes, len);
    if (is_chunked)
        text_append_str(&exchange->out, "\r\n");
    stream_need_flush(exchange);
}

void exchange_stream_end(struct exchange *exchange)
{
    struct connection *connection = exchange->connection;
    assert(exchange->is_stream && exchange->is_waiting);
    exchange->is_waiting = false;
    if (!exchange->mhd && exchange->is_1_1)
        text_append_str(&exchange->out, "0\r\n\r\n");
    else if (exchange->mhd)
        loop_watch_drop(connection->server->loop, connection->fd, &connection->watch);
    connection_enter(connection, PHASE_SENDING);
    stream_need_flush(exchange);
}
