/* SPDX-License-Identifier: MIT
 *
 * One request from its last header to its end: is its framing sound, which route is it,
 * collect the body, run the handler, and wait when that has not replied.
 *
 * libmicrohttpd calls exchange_step() when the headers are there, then for each piece of
 * the body, then once more at the end. A reply on the first call refuses the body and ends
 * the connection; on the last one the connection may go on. A plain request of ours comes
 * whole, by exchange_serve().
 */
#include "http/private.h"
#include "metrics/metrics.h"

#include <stdlib.h>
#include <string.h>

/* Thrown away of a body that turned out too large, so that the client gets its answer in
 * good order; whoever sends more is cut off. */
#define EXCESS_MAX (1024 * 1024)

#define FIELDS_MAX 4096 /* of a reply, besides those that every reply has */

/* --- the first call: what is asked? ---------------------------------------------- */

static enum MHD_Result add_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                  size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    head_add(cls, name, name_len, value ? value : "", value_len);
    return MHD_YES;
}

/* "http://host/path" asks for "/path" (RFC 9112 section 3.2.2). */
static const char *path_of(const char *url)
{
    if (url[0] == '/')
        return url;

    const char *authority = strstr(url, "://");
    if (!authority)
        return url;

    const char *path = strchr(authority + 3, '/');
    return path ? path : "/";
}

static bool path_matches(const struct http_route *route, const char *path)
{
    size_t len = strlen(route->path);
    return strncmp(path, route->path, len) == 0 &&
           (path[len] == '\0' || (path[len] == '/' && path[len + 1] == '\0'));
}

static bool method_matches(const struct http_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static void set_allow(struct exchange *exchange, const char *path)
{
    const struct server_config *config = &exchange->connection->server->config;
    struct text allow;
    text_init(&allow, 256);
    for (size_t i = 0; i < config->route_count; i++) {
        const struct http_route *route = &config->routes[i];
        if (!path_matches(route, path))
            continue;
        text_printf(&allow, "%s%s%s", allow.len > 0 ? ", " : "", route->method,
                    strcmp(route->method, "GET") == 0 ? ", HEAD" : "");
    }
    exchange_set_header(exchange, "Allow", allow.data);
    text_done(&allow);
}

bool exchange_takes_body(const struct server *server, const struct request *request,
                         uint64_t len)
{
    for (size_t i = 0; i < server->config.route_count; i++) {
        const struct http_route *route = &server->config.routes[i];
        if (path_matches(route, request->path) && method_matches(route, request->method))
            return len <= route->body_max;
    }
    return false;
}

/* What an earlier fault would have said goes. */
static void refuse(struct exchange *exchange, enum http_fault fault)
{
    exchange->is_refused = true;
    exchange->fault = fault;
    text_reset(&exchange->fields);
}

static void find_route(struct exchange *exchange, const char *path)
{
    const struct server_config *config = &exchange->connection->server->config;
    bool has_path = false;
    for (size_t i = 0; i < config->route_count; i++) {
        const struct http_route *route = &config->routes[i];
        if (!path_matches(route, path))
            continue;

        has_path = true;
        exchange->metric = route->metric;
        if (method_matches(route, exchange->method)) {
            exchange->route = route;
            return;
        }
    }

    refuse(exchange, has_path ? HTTP_FAULT_METHOD_NOT_ALLOWED : HTTP_FAULT_NOT_FOUND);
    if (has_path)
        set_allow(exchange, path);
}

static size_t head_size(const struct exchange *exchange)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info ? info->header_size : 0;
}

static bool wants_close(struct exchange *exchange)
{
    const char *options = exchange_header(exchange, "Connection");
    return !exchange->is_1_1 || (options && strcasestr(options, "close") != NULL);
}

static void judge_route(struct exchange *exchange, const char *path)
{
    find_route(exchange, path);
    if (exchange->route && exchange->head.content_length > exchange->route->body_max)
        refuse(exchange, HTTP_FAULT_BODY_TOO_LARGE);
}

static void judge(struct exchange *exchange, const char *url)
{
    if (!head_is_sound(&exchange->head, exchange->is_1_1)) {
        exchange->must_close = true;
        refuse(exchange, HTTP_FAULT_BAD_FRAMING);
        return;
    }
    if (head_size(exchange) > SERVER_HEADER_MAX) {
        exchange->must_close = true;
        refuse(exchange, HTTP_FAULT_HEADERS_TOO_LARGE);
        return;
    }

    judge_route(exchange, path_of(url));
    if (exchange->is_refused && head_has_body(&exchange->head))
        exchange->must_close = true;
}

/* Headers that can be read in two ways say nothing, and of those that were too large we may
 * not have seen all: then nobody is asked what else to say. */
static bool is_head_understood(const struct exchange *exchange)
{
    return exchange->fault != HTTP_FAULT_BAD_FRAMING &&
           exchange->fault != HTTP_FAULT_HEADERS_TOO_LARGE;
}

static void dress_fault(struct exchange *exchange)
{
    const struct server_config *config = &exchange->connection->server->config;
    if (config->on_fault && is_head_understood(exchange))
        config->on_fault(config->handler_ctx, exchange);
}

void exchange_refuse(struct exchange *exchange, enum http_fault fault)
{
    refuse(exchange, fault);
    dress_fault(exchange);
}

static bool reply_fault(struct exchange *exchange)
{
    const struct server *server = exchange->connection->server;
    dress_fault(exchange);
    const char *body = server->config.fault(exchange->fault);
    return reply_queue(exchange, fault_status(exchange->fault), "application/json", body,
                       NULL, strlen(body));
}

static struct exchange *exchange_new(struct connection *connection, const char *method,
                                     bool is_1_1)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange)
        return NULL;

    exchange->connection = connection;
    exchange->metric = METRIC_ROUTE_OTHER;
    exchange->method = method;
    exchange->is_head_request = strcmp(method, "HEAD") == 0;
    exchange->is_1_1 = is_1_1;
    text_init(&exchange->fields, FIELDS_MAX);
    connection->exchange = exchange;
    connection_count(connection, true);
    return exchange;
}

static enum MHD_Result exchange_begin(struct connection *connection,
                                      struct MHD_Connection *mhd, const char *url,
                                      const char *method, const char *version,
                                      void **con_cls)
{
    struct exchange *exchange =
        exchange_new(connection, method, strcmp(version, "HTTP/1.0") != 0);
    if (!exchange)
        return MHD_NO;

    exchange->mhd = mhd;
    *con_cls = exchange;
    connection_unsettle(connection);
    connection_enter(connection, PHASE_BODY);
    head_init(&exchange->head, version + strlen(version));
    MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, add_header, &exchange->head);
    head_finish(&exchange->head, method + head_size(exchange));
    judge(exchange, url);
    text_init(&exchange->body, exchange->route ? exchange->route->body_max : 0);
    if (!exchange->is_refused || !exchange->must_close)
        return MHD_YES;

    /* The client may be sending still: see to it that it can read this. */
    connection->wants_linger = true;
    connection_enter(connection, PHASE_SENDING);
    return reply_fault(exchange) ? MHD_YES : MHD_NO;
}

/* --- the calls in between: the body ---------------------------------------------- */

static enum MHD_Result collect(struct exchange *exchange, const char *bytes, size_t *len)
{
    exchange->body_bytes += *len;
    if (exchange->body_bytes > exchange->body.max + EXCESS_MAX) {
        connection_refuse_rest(exchange->connection, HTTP_FAULT_BODY_TOO_LARGE);
        return MHD_NO;
    }

    if (exchange->body_bytes > exchange->body.max) {
        exchange->must_close = true;
        refuse(exchange, HTTP_FAULT_BODY_TOO_LARGE);
        text_done(&exchange->body);
    } else {
        text_append(&exchange->body, bytes, *len);
        if (exchange->body.failed)
            return MHD_NO;
    }
    *len = 0;
    return MHD_YES;
}

/* --- the last call: the handler -------------------------------------------------- */

/* How many bytes of the connection this request was; nobody knows for a chunked one. */
static void account(struct exchange *exchange)
{
    struct connection *connection = exchange->connection;
    connection->consumed += head_size(exchange) + exchange->body_bytes;
    if (exchange->head.is_chunked)
        connection->is_exact = false;
}

/* While an exchange waits it keeps nothing of its request. */
static void forget_request(struct exchange *exchange)
{
    exchange->method = NULL;
    exchange->request = NULL;
    text_done(&exchange->body);
    request_forget_joined(exchange);
}

static void begin_waiting(struct exchange *exchange)
{
    forget_request(exchange);
    exchange->is_waiting = true;
    connection_enter(exchange->connection, PHASE_WAITING);
}

static enum MHD_Result suspend(struct exchange *exchange)
{
    struct connection *connection = exchange->connection;
    exchange->must_close |= wants_close(exchange);
    begin_waiting(exchange);
    if (!connection_watch(connection, EPOLLRDHUP | EPOLLET)) {
        exchange_abandon(exchange);
        return MHD_NO;
    }
    exchange->is_suspended = true;
    MHD_suspend_connection(exchange->mhd);
    return MHD_YES;
}

static void run_handler(struct exchange *exchange)
{
    exchange->is_in_handler = true;
    exchange->route->handle(exchange->connection->server->config.handler_ctx, exchange);
    exchange->is_in_handler = false;
}

static enum MHD_Result exchange_run(struct exchange *exchange)
{
    struct connection *connection = exchange->connection;
    account(exchange);
    if (exchange->is_refused) {
        connection_enter(connection, PHASE_SENDING);
        return reply_fault(exchange) ? MHD_YES : MHD_NO;
    }

    run_handler(exchange);
    if (exchange->is_broken)
        return MHD_NO;
    if (exchange->status != 0)
        return MHD_YES;
    return suspend(exchange);
}

enum MHD_Result exchange_step(void *cls, struct MHD_Connection *mhd, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_len, void **con_cls)
{
    (void)cls;
    struct connection *connection = connection_of(mhd);
    struct exchange *exchange = *con_cls;
    if (connection->is_dead)
        return MHD_NO;

    if (!exchange)
        return exchange_begin(connection, mhd, url, method, version, con_cls);
    if (*upload_len > 0)
        return collect(exchange, upload, upload_len);
    return exchange_run(exchange);
}

/* --- the same for a plain request of ours ---------------------------------------- */

/* The reply may outlast the request, which is our caller's. */
static void serve_refusal(struct exchange *exchange)
{
    dress_fault(exchange);
    forget_request(exchange);
    const char *body = exchange->connection->server->config.fault(exchange->fault);
    reply_send(exchange, fault_status(exchange->fault), "application/json", body, NULL,
               strlen(body));
}

void exchange_serve(struct connection *connection, const struct request *request,
                    const struct head *head, char *body, bool has_ended)
{
    struct exchange *exchange = exchange_new(connection, request->method, request->is_1_1);
    if (!exchange) {
        connection_end(connection);
        return;
    }

    exchange->request = request;
    exchange->head = *head;
    exchange->body = (struct text){.data = body, .len = (size_t)head->content_length};
    exchange->must_close = wants_close(exchange);
    judge_route(exchange, request->path);
    if (exchange->is_refused) {
        serve_refusal(exchange);
        return;
    }

    run_handler(exchange);
    if (exchange->is_broken) {
        connection_end(connection);
    } else if (exchange->status != 0) {
        forget_request(exchange);
        reply_continue(exchange);
    } else {
        begin_waiting(exchange);
        if (has_ended || !connection_stay_watched(connection))
            connection_left(connection);
    }
}

void exchange_serve_fault(struct connection *connection, const struct request *request,
                          enum http_fault fault)
{
    struct exchange *exchange = exchange_new(connection, request->method, request->is_1_1);
    if (!exchange) {
        connection_end(connection);
        return;
    }

    exchange->request = request;
    exchange->must_close = true;
    find_route(exchange, request->path);
    refuse(exchange, fault);
    serve_refusal(exchange);
}

/* --- the end --------------------------------------------------------------------- */

void exchange_abandon(struct exchange *exchange)
{
    if (!exchange->is_waiting)
        return;

    exchange->is_waiting = false;
    if (exchange->gone)
        exchange->gone(exchange->gone_ctx, exchange);
}

void exchange_end(struct exchange *exchange)
{
    struct connection *connection = exchange->connection;
    struct server *server = connection->server;
    connection->exchange = NULL;
    connection_count(connection, false);
    stream_forget(exchange);
    if (exchange->status != 0)
        metrics_count_request(server->config.metrics, exchange->metric, exchange->status);
    forget_request(exchange);
    text_done(&exchange->fields);
    text_done(&exchange->out);
    free(exchange->out_owned);
    free(exchange);
}

void exchange_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
                        enum MHD_RequestTerminationCode code)
{
    (void)cls;
    (void)mhd;
    struct exchange *exchange = *con_cls;
    if (!exchange)
        return;

    *con_cls = NULL;
    struct connection *connection = exchange->connection;
    /* libmicrohttpd may close in a later turn only: until then what the client does is not
     * for us to look at. */
    loop_watch_drop(connection->server->loop, connection->fd, &connection->watch);
    exchange_abandon(exchange);
    exchange_end(exchange);
    connection_enter(connection, PHASE_IDLE);
    if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        connection_urge_soon(connection);
}

/* --- replies --------------------------------------------------------------------- */

static void reply_later(struct exchange *exchange, unsigned status,
                        const char *content_type, const char *body, char *owned, size_t len)
{
    struct connection *connection = exchange->connection;
    exchange->is_waiting = exchange->is_suspended = false;
    loop_watch_drop(connection->server->loop, connection->fd, &connection->watch);
    connection_enter(connection, PHASE_SENDING);
    if (!body || !reply_queue(exchange, status, content_type, body, owned, len))
        connection->is_dead = true;
    MHD_resume_connection(exchange->mhd);
    server_need_run(connection->server);
}

static void reply_any(struct exchange *exchange, unsigned status, const char *content_type,
                      const char *body, char *owned, size_t len)
{
    if (!exchange->mhd) {
        reply_send(exchange, status, content_type, body, owned, len);
    } else if (exchange->is_in_handler) {
        connection_enter(exchange->connection, PHASE_SENDING);
        if (!body || !reply_queue(exchange, status, content_type, body, owned, len))
            exchange->is_broken = true;
    } else {
        reply_later(exchange, status, content_type, body, owned, len);
    }
}

void exchange_reply(struct exchange *exchange, unsigned status, const char *content_type,
                    char *body, size_t len)
{
    reply_any(exchange, status, content_type, body, body, len);
}

void exchange_reply_const(struct exchange *exchange, unsigned status,
                          const char *content_type, const char *body, size_t len)
{
    reply_any(exchange, status, content_type, body, NULL, len);
}
