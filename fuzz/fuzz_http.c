/* SPDX-License-Identifier: MIT
 *
 * One connection without its socket: bytes -> requests -> exchanges -> replies. However the
 * bytes are cut, the handlers see the same requests and the client gets the same replies,
 * in the same order. Each reply has one head and the body that its head announces, and
 * nothing follows a reply that closes.
 *
 * What connection.c does with events of the loop is done here in its order; the linker puts
 * __wrap_transport_read() in the place of transport_read().
 */
#include "base/container.h"
#include "base/text.h"
#include "http/exchange_run.h"
#include "http/input.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
ssize_t __wrap_transport_read(struct transport *transport, char *ret_bytes, size_t size);

#define BODY_MAX   4096
#define STREAM_MAX 1024
#define LOG_MAX    (64 * 1024 * 1024)
#define DATE_LEN   29

struct talk {
    const uint8_t *data; /* borrowed: what the client sends */
    size_t size;
    size_t come; /* bytes that have reached the server */
    size_t read; /* bytes of these that were read */
    bool has_left;
    uint32_t dice; /* chooses where bytes and replies are cut */

    struct transport transport;
    struct input input;
    struct exchange_world world;
    struct exchange *exchange; /* owned, NULL = none in progress */
    bool is_over;
    bool is_parked;
    bool is_head; /* the method is HEAD: its reply has no body */
    char *kept;   /* owned: the body of an exchange that waits */
    size_t kept_len;
    unsigned outputs; /* calls of has_output() */
    unsigned gone;

    struct text reply; /* the one in progress */
    struct text log;   /* everything that was seen and sent */
};

static uint32_t throw_dice(struct talk *talk)
{
    talk->dice = talk->dice * 1664525 + 1013904223;
    return talk->dice >> 16;
}

/* --- the site ------------------------------------------------------------------------ */

static void note(struct talk *talk, const char *what, const char *bytes, size_t len)
{
    text_printf(&talk->log, "[%s %zu ", what, len);
    text_append(&talk->log, bytes, len);
    text_append_str(&talk->log, "]\n");
}

static void note_request(struct talk *talk, struct exchange *exchange)
{
    size_t len;
    const char *body = exchange_body(exchange, &len);
    note(talk, exchange_route(exchange)->method, body, len);
    text_printf(&talk->log, "1.1=%d\n", exchange_is_http_1_1(exchange));
}

static void on_gone(void *ctx, struct exchange *exchange)
{
    struct talk *talk = ctx;
    assert(exchange == talk->exchange);
    talk->gone++;
}

/* Keeps a copy of the body, and waits. */
static void keep(struct talk *talk, struct exchange *exchange)
{
    const char *body = exchange_body(exchange, &talk->kept_len);
    talk->kept = malloc(talk->kept_len + 1);
    assert(talk->kept);
    memcpy(talk->kept, body, talk->kept_len);
    exchange_on_gone(exchange, on_gone, talk);
}

static void plain(void *ctx, struct exchange *exchange)
{
    note_request(ctx, exchange);
    exchange_reply_const(exchange, 200, "text/plain", "plain", 5);
}

static void echo(void *ctx, struct exchange *exchange)
{
    struct talk *talk = ctx;
    note_request(talk, exchange);
    keep(talk, exchange);
    exchange_reply(exchange, 200, "text/plain", talk->kept, talk->kept_len);
    talk->kept = NULL;
}

static void fields(void *ctx, struct exchange *exchange)
{
    struct talk *talk = ctx;
    const char *value = exchange_header(exchange, "X");
    note_request(talk, exchange);
    if (value) {
        note(talk, "X", value, strlen(value));
        exchange_set_header(exchange, "Echo", value);
    }
    text_printf(&talk->log, "%d\n", exchange_has_header(exchange, "X-Forwarded-", true));
    exchange_set_header(exchange, "Cache-Control", "max-age=1");
    exchange_reply_const(exchange, 200, "text/plain", "", 0);
}

static void no_content(void *ctx, struct exchange *exchange)
{
    note_request(ctx, exchange);
    exchange_reply_const(exchange, 204, "text/plain", "", 0);
}

static void broken(void *ctx, struct exchange *exchange)
{
    note_request(ctx, exchange);
    exchange_reply(exchange, 200, "text/plain", NULL, 0);
}

static void wait(void *ctx, struct exchange *exchange)
{
    note_request(ctx, exchange);
    keep(ctx, exchange);
}

static void park(void *ctx, struct exchange *exchange)
{
    struct talk *talk = ctx;
    wait(ctx, exchange);
    talk->is_parked = true;
}

static const struct http_route routes[] = {
    {"GET", "/plain", plain, 0, 0},         {"POST", "/echo", echo, BODY_MAX, 0},
    {"GET", "/fields", fields, 0, 0},       {"GET", "/empty", no_content, 0, 0},
    {"GET", "/broken", broken, 0, 0},       {"GET", "/later", wait, 0, 0},
    {"POST", "/later", wait, BODY_MAX, 0},  {"GET", "/parked", park, 0, 0},
    {"POST", "/stream", wait, BODY_MAX, 0},
};

static const char *error_body(enum http_error error)
{
    static const char *const bodies[] = {
#define X(NAME, ...) [HTTP_ERROR_##NAME] = #NAME,
        HTTP_ERROR_MAP(X)
#undef X
    };
    return bodies[error];
}

static void on_error(void *ctx, struct exchange *exchange, enum http_error error)
{
    (void)error;
    const char *value = exchange_header(exchange, "X");
    if (value)
        note(ctx, "error", value, strlen(value));
}

static void has_output(void *ctx)
{
    struct talk *talk = ctx;
    talk->outputs++;
}

/* --- replies ----------------------------------------------------------------------- */

static size_t count(const char *bytes, size_t len, const char *part)
{
    size_t found = 0;
    const char *at = bytes;
    while ((at = memmem(at, len - (size_t)(at - bytes), part, strlen(part))) != NULL) {
        found++;
        at += strlen(part);
    }
    return found;
}

static void check_chunks(const char *at, const char *end)
{
    for (;;) {
        char *behind;
        unsigned long size = strtoul(at, &behind, 16);
        assert(behind > at && size < (size_t)(end - behind));
        assert(memcmp(behind, "\r\n", 2) == 0 && memcmp(behind + 2 + size, "\r\n", 2) == 0);
        at = behind + 2 + size + 2;
        if (size == 0)
            break;
    }
    assert(at == end);
}

static void check_body(const struct talk *talk, const char *head, size_t head_len)
{
    const char *body = head + head_len;
    size_t len = talk->reply.len - head_len;
    const char *length = memmem(head, head_len, "\r\nContent-Length: ", 18);
    bool is_chunked = count(head, head_len, "\r\nTransfer-Encoding: chunked\r\n") > 0;
    assert(count(head, head_len, "\r\nContent-Length: ") <= 1 && !(length && is_chunked));
    if (strncmp(head, "HTTP/1.1 204 ", 13) == 0)
        assert(!length && !is_chunked && len == 0);
    else if (talk->is_head)
        assert(length && len == 0);
    else if (length)
        assert(strtoul(length + 18, NULL, 10) == len);
    else if (is_chunked)
        check_chunks(body, body + len);
    else
        assert(exchange_must_close(talk->exchange));
}

/* Also removes the date from the log. */
static void check_reply(struct talk *talk)
{
    char *head = talk->reply.data;
    const char *end = memmem(head, talk->reply.len, "\r\n\r\n", 4);
    assert(end && strncmp(head, "HTTP/1.1 ", 9) == 0);
    size_t len = (size_t)(end + 4 - head);
    for (const char *c = head; c < end; c++)
        assert(*c == '\r' ? c[1] == '\n' : *c != '\n' || c[-1] == '\r');
    assert(count(head, len, "\r\nDate: ") == 1 &&
           count(head, len, "\r\nServer: x\r\n") == 1);
    assert(count(head, len, "\r\nCache-Control: ") == 1);
    assert(count(head, len, "\r\nConnection: close\r\n") ==
           exchange_must_close(talk->exchange));
    check_body(talk, head, len);
    memset(strstr(head, "\r\nDate: ") + 8, 'D', DATE_LEN);
}

static void take_output(struct talk *talk)
{
    size_t len;
    const char *bytes = exchange_output(talk->exchange, &len);
    while (bytes && len > 0) {
        size_t most = throw_dice(talk) % 4 == 0 ? 1 : throw_dice(talk) % 3000 + 1;
        size_t taken = len < most ? len : most;
        text_append(&talk->reply, bytes, taken);
        exchange_sent(talk->exchange, taken);
        bytes = exchange_output(talk->exchange, &len);
    }
}

static void finish(struct talk *talk, const char *how)
{
    text_printf(&talk->log, "<%s>\n", how);
    talk->is_over = true;
    talk->exchange = exchange_free(talk->exchange);
}

/* Call it when the reply is complete. */
static void send_reply(struct talk *talk)
{
    take_output(talk);
    size_t left;
    if (!exchange_output(talk->exchange, &left)) {
        finish(talk, "broken");
        return;
    }

    assert(left == 0 && !exchange_is_unfinished(talk->exchange));
    check_reply(talk);
    note(talk, "reply", talk->reply.data, talk->reply.len);
    text_reset(&talk->reply);
    if (exchange_must_close(talk->exchange))
        finish(talk, "closed");
    else
        talk->exchange = exchange_free(talk->exchange);
}

/* A word at a time; the client reads only every second one at once. */
static void stream(struct talk *talk)
{
    exchange_stream_begin(talk->exchange, 200, "text/plain", STREAM_MAX);
    size_t at = 0;
    for (unsigned i = 0; at < talk->kept_len; i++) {
        const char *from = talk->kept + at;
        const char *space = memchr(from, ' ', talk->kept_len - at);
        size_t len = space ? (size_t)(space - from) : talk->kept_len - at;
        exchange_stream_write(talk->exchange, from, len);
        if (i % 2 == 0)
            take_output(talk);
        at += len + 1;
    }
    exchange_stream_end(talk->exchange);
}

static void reply_later(struct talk *talk)
{
    talk->outputs = 0;
    if (strcmp(exchange_route(talk->exchange)->path, "/stream") == 0) {
        stream(talk);
        free(talk->kept);
    } else {
        exchange_reply(talk->exchange, 200, "text/plain", talk->kept, talk->kept_len);
    }
    talk->kept = NULL;
    assert(talk->outputs > 0);
    send_reply(talk);
}

/* --- the connection ------------------------------------------------------------------ */

ssize_t __wrap_transport_read(struct transport *transport, char *ret_bytes, size_t size)
{
    struct talk *talk = CONTAINER_OF(transport, struct talk, transport);
    size_t there = talk->come - talk->read;
    size_t len = there < size ? there : size;
    assert(size > 0);
    memcpy(ret_bytes, talk->data + talk->read, len);
    talk->read += len;
    if (len < size && transport->incoming == INCOMING_SOME)
        transport->incoming = INCOMING_NONE;
    errno = EAGAIN;
    return len > 0 || talk->has_left ? (ssize_t)len : -1;
}

static struct exchange *new_exchange(struct talk *talk, const struct request_view *view)
{
    struct exchange *exchange = exchange_new(&talk->world, talk, &talk->transport, view);
    assert(exchange);
    return exchange;
}

static void begin(struct talk *talk)
{
    const struct request_view view = input_view(&talk->input);
    const struct request *request = view.request;
    const char *method = view.bytes + request->method.at;
    note(talk, "method", method, request->method.len);
    note(talk, "path", view.bytes + request->path.at, request->path.len);
    talk->is_head = strcmp(method, "HEAD") == 0;
    talk->exchange = new_exchange(talk, &view);
    if (!exchange_wants_body(talk->exchange)) {
        if (!request_has_body(request))
            input_consume(&talk->input);
        send_reply(talk);
        return;
    }
    text_printf(&talk->log, "expects %d\n", request->expects_continue);
}

static void serve(struct talk *talk)
{
    const struct request_view view = input_view(&talk->input);
    exchange_run(talk->exchange, &view);
    input_consume(&talk->input);
    if (!exchange_is_unfinished(talk->exchange))
        send_reply(talk);
    else if (!talk->is_parked)
        reply_later(talk);
}

static void refuse(struct talk *talk)
{
    const struct request_view view = input_view(&talk->input);
    bool is_understood = talk->exchange != NULL;
    if (!is_understood) {
        talk->exchange = new_exchange(talk, NULL);
        talk->is_head = false;
    }
    exchange_refuse(talk->exchange, is_understood ? &view : NULL, view.request->error);
    send_reply(talk);
    assert(talk->is_over);
}

static void advance(struct talk *talk)
{
    while (!talk->is_over && !talk->is_parked) {
        size_t body_max = talk->exchange ? exchange_route(talk->exchange)->body_max : 0;
        enum request_progress progress;
        if (!input_read(&talk->input, &talk->transport, body_max, &progress)) {
            finish(talk, "left");
            return;
        }
        switch (progress) {
        case REQUEST_MORE:
            input_shrink(&talk->input);
            return;
        case REQUEST_HEAD:
            begin(talk);
            break;
        case REQUEST_DONE:
            serve(talk);
            break;
        case REQUEST_BAD:
            refuse(talk);
            break;
        }
        if (!talk->exchange)
            input_shrink(&talk->input);
    }
}

enum cutting { WHOLE, BYTES, PIECES };

static size_t piece_of(struct talk *talk, enum cutting cutting)
{
    if (cutting == WHOLE)
        return talk->size;
    if (cutting == BYTES)
        return 1;
    return throw_dice(talk) % (throw_dice(talk) % 8 == 0 ? 3000 : 40) + 1;
}

/* Returns the log, which is the caller's. */
static struct text converse(const uint8_t *data, size_t size, enum cutting cutting)
{
    struct talk talk = {
        .data = data,
        .size = size,
        .dice = (uint32_t)size,
        .transport = {.fd = -1},
        .world =
            {
                .site = {.routes = routes,
                         .route_count = sizeof routes / sizeof *routes,
                         .handler_ctx = &talk,
                         .error_body = error_body,
                         .on_error = on_error,
                         .server_name = "x"},
                .is_draining = size % 8 == 7,
                .has_output = has_output,
            },
    };
    text_init(&talk.log, LOG_MAX);
    text_init(&talk.reply, LOG_MAX);
    while (talk.come < size && !talk.is_over) {
        size_t piece = piece_of(&talk, cutting);
        talk.come += piece < size - talk.come ? piece : size - talk.come;
        talk.transport.incoming = INCOMING_SOME;
        advance(&talk);
    }
    talk.has_left = true;
    talk.transport.incoming = INCOMING_ENDED;
    advance(&talk);
    if (talk.is_parked)
        finish(&talk, "gone");
    assert(talk.is_over && talk.gone == talk.is_parked && !talk.log.failed);
    input_drop(&talk.input);
    text_done(&talk.reply);
    free(talk.kept);
    return talk.log;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text whole = converse(data, size, WHOLE);
    for (enum cutting cutting = BYTES; cutting <= PIECES; cutting++) {
        struct text other = converse(data, size, cutting);
        assert(other.len == whole.len && memcmp(other.data, whole.data, whole.len) == 0);
        text_done(&other);
    }
    text_done(&whole);
    return 0;
}
