/* SPDX-License-Identifier: MIT
 *
 * Replies on both ways: handed to libmicrohttpd, or written by us. Both look the same to
 * the client.
 */
#include "base/err.h"
#include "http/private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

unsigned fault_status(enum http_fault fault)
{
    static const unsigned statuses[] = {
#define X(NAME, status) [HTTP_FAULT_##NAME] = (status),
        HTTP_FAULT_MAP(X)
#undef X
    };
    return statuses[fault];
}

/* --- written by us --------------------------------------------------------------- */

/* RFC 9110 section 5.6.7; made once a second. */
static const char *date_of_now(struct server *server)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = time(NULL);
    if (server->date_second == now)
        return server->date;

    struct tm tm;
    gmtime_r(&now, &tm);
    snprintf(server->date, sizeof server->date, "%.3s, %02d %.3s %d %02d:%02d:%02d GMT",
             days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900,
             tm.tm_hour, tm.tm_min, tm.tm_sec);
    server->date_second = now;
    return server->date;
}

static void append_field(struct text *out, const char *name, const char *value)
{
    text_append_str(out, name);
    text_append_str(out, ": ");
    text_append_str(out, value);
    text_append_str(out, "\r\n");
}

static void append_length(struct text *out, size_t len)
{
    char digits[TEXT_DIGITS_MAX + 1];
    digits[text_digits(len, 1, digits)] = '\0';
    append_field(out, "Content-Length", digits);
}

/* Whether the handler has said how its reply may be stored; otherwise it must not be. */
static bool has_caching(const struct text *fields)
{
    return strstr(fields->data, "Cache-Control: ") != NULL;
}

static void append_head(struct text *out, struct server *server, unsigned status,
                        const char *content_type, bool must_close, bool has_caching)
{
    char digits[TEXT_DIGITS_MAX];
    text_append_str(out, "HTTP/1.1 ");
    text_append(out, digits, text_digits(status, 3, digits));
    text_append_str(out, " ");
    text_append_str(out, MHD_get_reason_phrase_for(status));
    text_append_str(out, "\r\n");
    append_field(out, "Date", date_of_now(server));
    if (must_close)
        append_field(out, "Connection", "close");
    append_field(out, "Server", server->config.server_name);
    if (!has_caching)
        append_field(out, "Cache-Control", "no-store");
    append_field(out, "Content-Type", content_type);
}

void reply_write_fault(struct server *server, int fd, enum http_fault fault,
                       const char *fields)
{
    const char *body = server->config.fault(fault);
    struct text out;
    text_init(&out, REPLY_HEAD_MAX);
    append_head(&out, server, fault_status(fault), "application/json", true, false);
    append_length(&out, strlen(body));
    if (fault == HTTP_FAULT_CONNECTIONS || fault == HTTP_FAULT_CALLER_CONNECTIONS)
        append_field(&out, "Retry-After", "1");
    text_printf(&out, "%s\r\n%s", fields, body);
    /* A fresh or idle socket takes it whole; whoever lets us wait gets no second try. */
    ssize_t sent =
        out.failed ? 0 : send(fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent;
    text_done(&out);
}

static void out_end(struct exchange *exchange)
{
    struct connection *connection = exchange->connection;
    bool must_close = exchange->must_close;
    exchange_end(exchange);
    connection_rest(connection, must_close);
}

/* The client is gone or hopeless. */
static void out_fail(struct exchange *exchange)
{
    struct connection *connection = exchange->connection;
    exchange_end(exchange);
    connection_end(connection);
}

static void wait_to_send(struct exchange *exchange)
{
    struct connection *connection = exchange->connection;
    if (connection->phase != PHASE_SENDING)
        connection_enter(connection, PHASE_SENDING);
    if (!connection_watch(connection, EPOLLIN | EPOLLRDHUP | EPOLLOUT | EPOLLET))
        out_fail(exchange);
}

void reply_continue(struct exchange *exchange)
{
    size_t head_len = exchange->out.len;
    while (exchange->out_sent < head_len + exchange->out_len) {
        struct iovec parts[2];
        size_t count = 0;
        if (exchange->out_sent < head_len)
            parts[count++] = (struct iovec){exchange->out.data + exchange->out_sent,
                                            head_len - exchange->out_sent};
        size_t body_sent =
            exchange->out_sent > head_len ? exchange->out_sent - head_len : 0;
        if (exchange->out_len > body_sent) {
            union {
                const char *from;
                void *to;
            } body = {.from = exchange->out_body + body_sent}; /* iovec knows no const */
            parts[count++] = (struct iovec){body.to, exchange->out_len - body_sent};
        }

        struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
        ssize_t n = sendmsg(exchange->connection->fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            wait_to_send(exchange);
            return;
        }
        if (n < 0) {
            out_fail(exchange);
            return;
        }
        exchange->out_sent += (size_t)n;
    }
    out_end(exchange);
}

void reply_send(struct exchange *exchange, unsigned status, const char *content_type,
                const char *body, char *owned, size_t len)
{
    struct server *server = exchange->connection->server;
    exchange->status = status;
    exchange->is_waiting = false;
    exchange->must_close |= server->is_draining;
    exchange->out_body = body;
    exchange->out_owned = owned;
    bool has_body = status != 204 && status != 304 && !exchange->is_head_request;
    exchange->out_len = has_body ? len : 0;
    text_init(&exchange->out, REPLY_HEAD_MAX);
    append_head(&exchange->out, server, status, content_type, exchange->must_close,
                has_caching(&exchange->fields));
    if (status != 204)
        append_length(&exchange->out, len);
    text_append(&exchange->out, exchange->fields.data, exchange->fields.len);
    text_append_str(&exchange->out, "\r\n");
    bool has_failed = !body || exchange->out.failed || exchange->fields.failed;
    if (exchange->is_in_handler)
        exchange->is_broken = has_failed;
    else if (has_failed)
        out_fail(exchange);
    else
        reply_continue(exchange);
}

void reply_append_stream_head(struct exchange *exchange, const char *content_type)
{
    struct server *server = exchange->connection->server;
    exchange->must_close |= server->is_draining || !exchange->is_1_1;
    append_head(&exchange->out, server, exchange->status, content_type,
                exchange->must_close, has_caching(&exchange->fields));
    if (exchange->is_1_1)
        append_field(&exchange->out, "Transfer-Encoding", "chunked");
    text_append(&exchange->out, exchange->fields.data, exchange->fields.len);
    text_append_str(&exchange->out, "\r\n");
    exchange->out.failed |= exchange->fields.failed;
}

/* --- through libmicrohttpd ------------------------------------------------------- */

static bool add_field(struct MHD_Response *response, const char *name, const char *value)
{
    return MHD_add_response_header(response, name, value) == MHD_YES;
}

/* Takes `response`, which may be NULL, and gives it back with what every reply has. */
static struct MHD_Response *response_dress(const struct server *server, const char *type,
                                           bool has_caching, struct MHD_Response *response)
{
    if (response && add_field(response, "Server", server->config.server_name) &&
        (has_caching || add_field(response, "Cache-Control", "no-store")) &&
        add_field(response, "Content-Type", type))
        return response;

    if (response)
        MHD_destroy_response(response);
    return NULL;
}

static struct MHD_Response *response_new(const struct server *server, const char *type,
                                         const char *body, char *owned, size_t len,
                                         bool has_caching)
{
    union {
        const char *from;
        void *to;
    } data = {.from = body}; /* not written to */
    struct MHD_Response *response = MHD_create_response_from_buffer(
        len, data.to, owned ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (!response)
        free(owned);
    return response_dress(server, type, has_caching, response);
}

/* Takes "Name: value\r\n" lines apart; they are ours. */
static bool add_fields(struct MHD_Response *response, struct text *fields)
{
    if (fields->failed)
        return false;

    char *line = fields->data;
    while (*line) {
        char *colon = strchr(line, ':');
        char *end = strchr(line, '\r');
        assert(colon && end && colon < end);
        *colon = *end = '\0';
        if (!add_field(response, line, colon + 2))
            return false;
        line = end + 2;
    }
    return true;
}

/* Takes `response`, which may be NULL. */
static bool queue_with_fields(struct exchange *exchange, bool must_close,
                              struct MHD_Response *response)
{
    if (!response)
        return false;

    bool ok = add_fields(response, &exchange->fields) &&
              (!must_close || add_field(response, "Connection", "close")) &&
              MHD_queue_response(exchange->mhd, exchange->status, response) == MHD_YES;
    MHD_destroy_response(response);
    return ok;
}

bool reply_queue(struct exchange *exchange, unsigned status, const char *content_type,
                 const char *body, char *owned, size_t len)
{
    struct server *server = exchange->connection->server;
    exchange->status = status;
    bool must_close = exchange->must_close || server->is_draining;
    struct MHD_Response *response = response_new(server, content_type, body, owned, len,
                                                 has_caching(&exchange->fields));
    return queue_with_fields(exchange, must_close, response);
}

bool reply_queue_stream(struct exchange *exchange, const char *content_type,
                        MHD_ContentReaderCallback source)
{
    const struct server *server = exchange->connection->server;
    bool must_close = exchange->must_close || server->is_draining;
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, STREAM_BLOCK, source, exchange, NULL);
    response =
        response_dress(server, content_type, has_caching(&exchange->fields), response);
    return queue_with_fields(exchange, must_close, response);
}
