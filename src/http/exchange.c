/* SPDX-License-Identifier: MIT */
#include "http/exchange_run.h"

#include "base/text.h"
#include "http/query.h"
#include "metrics/metrics.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <time.h>

#define FIELDS_MAX 4096 /* bytes of a reply's own header fields */
#define ALLOW_MAX  256

/* The values of a repeated header. */
struct joined {
    SLIST_ENTRY(joined) sibling;
    struct text text;
};

enum exchange_state {
    EXCHANGE_NEW,     /* its handler has not returned */
    EXCHANGE_WAITING, /* its handler has returned without a reply */
    EXCHANGE_STREAMING,
    EXCHANGE_REPLIED, /* the reply is complete */
};

struct exchange {
    struct exchange_world *world; /* these three borrowed */
    void *connection;
    struct transport *transport;
    const struct http_route *route; /* NULL if no route matches */
    enum exchange_state state;
    enum http_version version;
    enum persistence persistence;
    enum body_form form;
    bool is_head; /* the method is HEAD: send no body */
    unsigned status;
    unsigned metric;

    const struct request_view *view; /* borrowed; NULL once the handler has returned */
    SLIST_HEAD(, joined) joined;     /* owned: values made by exchange_header() */
    exchange_fn *gone;
    void *gone_ctx;

    struct text fields; /* "Name: value\r\n" for the reply to come */
    struct text out;    /* the reply */
    size_t sent;        /* bytes of `out` */
};

/* --- the request ------------------------------------------------------------------ */

struct address exchange_peer(const struct exchange *exchange)
{
    return exchange->transport->peer;
}

struct address exchange_local(const struct exchange *exchange)
{
    return transport_local(exchange->transport);
}

bool exchange_is_http_1_1(const struct exchange *exchange)
{
    return exchange->version == HTTP_1_1;
}

bool exchange_is_tls(const struct exchange *exchange)
{
    return exchange->transport->tls != TLS_NONE;
}

const struct http_route *exchange_route(const struct exchange *exchange)
{
    return exchange->route;
}

const char *exchange_body(const struct exchange *exchange, size_t *ret_len)
{
    const struct request *request = exchange->view->request;
    *ret_len = request->at - request->body;
    return exchange->view->bytes + request->body;
}

static const char *text_of(const struct request_view *view, struct request_text text)
{
    return view->bytes + text.at;
}

const char *exchange_query(const struct exchange *exchange)
{
    return text_of(exchange->view, exchange->view->request->query);
}

const char *exchange_path(const struct exchange *exchange)
{
    return text_of(exchange->view, exchange->view->request->path);
}

/* The next field at or after *at whose name is `name`, or begins with it; moves *at past
 * it. NULL at the end, or once the request has been dropped. */
static const struct request_field *next_field(const struct exchange *exchange,
                                              const char *name, bool is_prefix, size_t *at)
{
    const struct request_view *view = exchange->view;
    size_t len = strlen(name);
    while (view && *at < view->request->field_count) {
        const struct request_field *field = &view->request->fields[(*at)++];
        if ((is_prefix ? field->name.len >= len : field->name.len == len) &&
            strncasecmp(text_of(view, field->name), name, len) == 0)
            return field;
    }
    return NULL;
}

const char *exchange_header(struct exchange *exchange, const char *name)
{
    size_t at = 0;
    const struct request_field *first = next_field(exchange, name, false, &at);
    if (!first)
        return NULL;

    const char *value = text_of(exchange->view, first->value);
    const struct request_field *more = next_field(exchange, name, false, &at);
    if (!more)
        return value;

    struct joined *joined = calloc(1, sizeof *joined);
    if (!joined) {
        exchange->out.failed = true;
        return value;
    }
    text_init(&joined->text, (size_t)2 * REQUEST_HEAD_MAX);
    SLIST_INSERT_HEAD(&exchange->joined, joined, sibling);
    text_append_str(&joined->text, value);
    for (; more; more = next_field(exchange, name, false, &at)) {
        text_append_str(&joined->text, ", ");
        text_append_str(&joined->text, text_of(exchange->view, more->value));
    }
    exchange->out.failed |= joined->text.failed;
    return joined->text.data;
}

bool exchange_has_header(struct exchange *exchange, const char *name, bool is_prefix)
{
    size_t at = 0;
    return next_field(exchange, name, is_prefix, &at) != NULL;
}

/* Whether a list such as the value of "Connection" contains this option. */
static bool header_lists(struct exchange *exchange, const char *name, const char *option)
{
    const char *list = exchange_header(exchange, name);
    while (list) {
        list += strspn(list, ", \t");
        size_t len = strcspn(list, ", \t");
        if (len == 0)
            return false;
        if (text_equals_nocase(list, len, option))
            return true;
        list += len;
    }
    return false;
}

/* A waiting exchange keeps nothing of its request. */
static void forget_request(struct exchange *exchange)
{
    exchange->view = NULL;
    struct joined *joined;
    while ((joined = SLIST_FIRST(&exchange->joined)) != NULL) {
        SLIST_REMOVE_HEAD(&exchange->joined, sibling);
        text_done(&joined->text);
        free(joined);
    }
}

/* --- the reply -------------------------------------------------------------------- */

void exchange_set_header(struct exchange *exchange, const char *name, const char *value)
{
    for (const char *c = value; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return;
    text_append_str(&exchange->fields, name);
    text_append_str(&exchange->fields, ": ");
    text_append_str(&exchange->fields, value);
    text_append_str(&exchange->fields, "\r\n");
}

bool exchange_may_wait(const struct exchange *exchange, const struct address *caller)
{
    return exchange->world->may_wait(exchange->connection, caller);
}

void exchange_on_gone(struct exchange *exchange, exchange_fn *gone, void *ctx)
{
    exchange->gone = gone;
    exchange->gone_ctx = ctx;
}

static void append_head(struct exchange *exchange, const char *content_type, size_t len)
{
    struct exchange_world *world = exchange->world;
    if (world->is_draining)
        exchange->persistence = PERSISTENCE_CLOSE;
    const struct response response = {
        .status = exchange->status,
        .persistence = exchange->persistence,
        .form = exchange->form,
        .body_len = len,
        .date = http_date_text(&world->date, time(NULL)),
        .server = world->site.server_name,
        .content_type = content_type,
        .is_tls = exchange_is_tls(exchange),
        .fields = &exchange->fields,
    };
    response_append_head(&exchange->out, &response);
}

/* While a handler runs, the connection looks for output afterwards anyway. */
static void tell_connection(struct exchange *exchange)
{
    if (exchange_is_unfinished(exchange))
        exchange->world->has_output(exchange->connection);
}

void exchange_reply_const(struct exchange *exchange, unsigned status,
                          const char *content_type, const char *body, size_t len)
{
    assert(exchange->state < EXCHANGE_STREAMING);
    bool has_body = !exchange->is_head && status != 204 && status != 304;
    exchange->status = status;
    exchange->form = BODY_LENGTH;
    exchange->out.max = RESPONSE_HEAD_MAX + len;
    append_head(exchange, content_type, len);
    if (has_body)
        text_append(&exchange->out, body, len);
    tell_connection(exchange);
    exchange->state = EXCHANGE_REPLIED;
}

void exchange_reply(struct exchange *exchange, unsigned status, const char *content_type,
                    char *body, size_t len)
{
    exchange->out.failed |= !body;
    exchange_reply_const(exchange, status, content_type, body, len);
    free(body);
}

void exchange_stream_begin(struct exchange *exchange, unsigned status,
                           const char *content_type, size_t max)
{
    assert(exchange->state == EXCHANGE_WAITING);
    exchange->state = EXCHANGE_STREAMING;
    exchange->status = status;
    exchange->form = exchange->version == HTTP_1_1 ? BODY_CHUNKS : BODY_TO_THE_END;
    if (exchange->form == BODY_TO_THE_END)
        exchange->persistence = PERSISTENCE_CLOSE;
    /* The frame of a chunk is never longer than a piece of sensible size. */
    exchange->out.max = RESPONSE_HEAD_MAX + 2 * max;
    append_head(exchange, content_type, 0);
    tell_connection(exchange);
}

void exchange_stream_write(struct exchange *exchange, const char *bytes, size_t len)
{
    assert(exchange->state == EXCHANGE_STREAMING);
    if (bytes && (len == 0 || exchange->is_head))
        return;

    if (bytes)
        response_append_piece(&exchange->out, exchange->form, bytes, len);
    exchange->out.failed |= !bytes;
    tell_connection(exchange);
}

void exchange_stream_end(struct exchange *exchange)
{
    assert(exchange->state == EXCHANGE_STREAMING);
    if (!exchange->is_head)
        response_append_end(&exchange->out, exchange->form);
    tell_connection(exchange);
    exchange->state = EXCHANGE_REPLIED;
}

/* --- refusals --------------------------------------------------------------------- */

static void reply_error(struct exchange *exchange, enum http_error error)
{
    const struct http_site *site = &exchange->world->site;
    if (site->on_error && exchange->view)
        site->on_error(site->handler_ctx, exchange, error);
    if (exchange->state < EXCHANGE_STREAMING) {
        if (error == HTTP_ERROR_CONNECTIONS || error == HTTP_ERROR_CALLER_CONNECTIONS)
            exchange_set_header(exchange, "Retry-After", "1");
        const char *body = site->error_body(error);
        exchange_reply_const(exchange, http_error_status(error), "application/json", body,
                             strlen(body));
    }
    forget_request(exchange);
}

void exchange_refuse(struct exchange *exchange, const struct request_view *view,
                     enum http_error error)
{
    exchange->view = view;
    exchange->persistence = PERSISTENCE_CLOSE;
    reply_error(exchange, error);
}

/* --- the route -------------------------------------------------------------------- */

static bool path_matches(const struct http_route *route, const char *path,
                         const char *query)
{
    size_t len = strcspn(route->path, "?"), value_len;
    return strncmp(path, route->path, len) == 0 &&
           (path[len] == '\0' || (path[len] == '/' && path[len + 1] == '\0')) &&
           (route->path[len] == '\0' ||
            query_next(&query, route->path + len + 1, &value_len));
}

static bool method_matches(const struct http_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static enum http_error find_route(struct exchange *exchange, const char *method,
                                  const char *path, const char *query)
{
    const struct http_site *site = &exchange->world->site;
    struct text allow; /* the other methods of this path */
    text_init(&allow, ALLOW_MAX);
    for (size_t i = 0; i < site->route_count && !exchange->route; i++) {
        const struct http_route *route = &site->routes[i];
        if (!path_matches(route, path, query))
            continue;

        exchange->metric = route->metric;
        if (method_matches(route, method))
            exchange->route = route;
        else
            text_printf(&allow, "%s%s%s", allow.len > 0 ? ", " : "", route->method,
                        strcmp(route->method, "GET") == 0 ? ", HEAD" : "");
    }
    enum http_error error = exchange->route ? HTTP_ERROR_NONE
                            : allow.len > 0 ? HTTP_ERROR_METHOD_NOT_ALLOWED
                                            : HTTP_ERROR_NOT_FOUND;
    if (error == HTTP_ERROR_METHOD_NOT_ALLOWED)
        exchange_set_header(exchange, "Allow", allow.data);
    exchange->out.failed |= allow.failed;
    text_done(&allow);
    return error;
}

static bool is_encoded(struct exchange *exchange)
{
    const char *encoding = exchange_header(exchange, "Content-Encoding");
    return encoding && !text_equals_nocase(encoding, strlen(encoding), "identity");
}

static enum http_error judge(struct exchange *exchange)
{
    const struct request_view *view = exchange->view;
    const struct request *request = view->request;
    enum http_error error =
        find_route(exchange, text_of(view, request->method), text_of(view, request->path),
                   text_of(view, request->query));
    if (error != HTTP_ERROR_NONE)
        return error;
    if (request_has_body(request) && is_encoded(exchange))
        return HTTP_ERROR_UNSUPPORTED_ENCODING;
    return HTTP_ERROR_NONE;
}

/* After an upgrade request or a CONNECT, other servers and proxies may treat the following
 * bytes as another protocol, so they are not read as a request. */
static bool ends_http(struct exchange *exchange)
{
    const struct request_view *view = exchange->view;
    return strcmp(text_of(view, view->request->method), "CONNECT") == 0 ||
           (exchange_has_header(exchange, "Upgrade", false) &&
            header_lists(exchange, "Connection", "upgrade"));
}

static enum persistence persistence_of(struct exchange *exchange)
{
    if (header_lists(exchange, "Connection", "close") || ends_http(exchange))
        return PERSISTENCE_CLOSE;
    if (exchange->version == HTTP_1_1)
        return PERSISTENCE_STAYS;
    return header_lists(exchange, "Connection", "keep-alive") ? PERSISTENCE_KEEP_ALIVE
                                                              : PERSISTENCE_CLOSE;
}

/* --- for the connection ----------------------------------------------------------- */

static void read_head(struct exchange *exchange, const struct request_view *view)
{
    exchange->view = view;
    exchange->version = view->request->version;
    exchange->persistence = persistence_of(exchange);
    exchange->is_head = strcmp(text_of(view, view->request->method), "HEAD") == 0;
    enum http_error error = judge(exchange);
    if (error != HTTP_ERROR_NONE && request_has_body(view->request))
        exchange->persistence = PERSISTENCE_CLOSE;
    if (error != HTTP_ERROR_NONE)
        reply_error(exchange, error);
    forget_request(exchange);
}

struct exchange *exchange_new(struct exchange_world *world, void *connection,
                              struct transport *transport, const struct request_view *view)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange)
        return NULL;

    exchange->world = world;
    exchange->connection = connection;
    exchange->transport = transport;
    exchange->metric = METRIC_ROUTE_OTHER;
    exchange->version = HTTP_1_1;
    text_init(&exchange->fields, FIELDS_MAX);
    text_init(&exchange->out, RESPONSE_HEAD_MAX);
    if (view)
        read_head(exchange, view);
    return exchange;
}

void exchange_run(struct exchange *exchange, const struct request_view *view)
{
    exchange->view = view;
    exchange->route->handle(exchange->world->site.handler_ctx, exchange);
    if (exchange->state == EXCHANGE_NEW)
        exchange->state = EXCHANGE_WAITING;
    forget_request(exchange);
}

bool exchange_wants_body(const struct exchange *exchange)
{
    return exchange->state == EXCHANGE_NEW;
}

bool exchange_is_unfinished(const struct exchange *exchange)
{
    return exchange->state == EXCHANGE_WAITING || exchange->state == EXCHANGE_STREAMING;
}

const char *exchange_output(const struct exchange *exchange, size_t *ret_len)
{
    *ret_len = exchange->out.len - exchange->sent;
    return exchange->out.failed ? NULL : exchange->out.data + exchange->sent;
}

/* Drops what a stream has sent to make room for the next pieces. */
void exchange_sent(struct exchange *exchange, size_t len)
{
    struct text *out = &exchange->out;
    exchange->sent += len;
    if (exchange->state != EXCHANGE_STREAMING || exchange->sent < out->len / 2)
        return;

    out->len -= exchange->sent;
    memmove(out->data, out->data + exchange->sent, out->len + 1);
    exchange->sent = 0;
}

bool exchange_must_close(const struct exchange *exchange)
{
    return exchange->persistence == PERSISTENCE_CLOSE;
}

void exchange_count(const struct exchange *exchange, struct metrics *metrics)
{
    if (exchange->status != 0)
        metrics_count_request(metrics, exchange->metric, exchange->status);
}

struct exchange *exchange_free(struct exchange *exchange)
{
    if (!exchange)
        return NULL;

    bool is_told = exchange_is_unfinished(exchange) && exchange->gone;
    exchange->state = EXCHANGE_REPLIED; /* `gone` must find it over */
    if (is_told)
        exchange->gone(exchange->gone_ctx, exchange);
    forget_request(exchange);
    text_done(&exchange->fields);
    text_done(&exchange->out);
    free(exchange);
    return NULL;
}
