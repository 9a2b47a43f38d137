/* SPDX-License-Identifier: MIT
 *
 * An exchange as its connection sees it: created from a head, run with a body, and asked
 * for bytes to send. It does not send, and of the connection it knows only the two
 * addresses.
 *
 *     exchange_new() -> exchange_run() -> [waiting -> replied] -> exchange_output() ...
 *                    \-> exchange_refuse() -------------------/
 */
#pragma once

#include "http/exchange.h"
#include "http/request.h"
#include "http/response.h"
#include "http/transport.h"

#include <stdint.h>

struct metrics;

/* What is served. */
struct http_site {
    const struct http_route *routes;
    size_t route_count;
    void *handler_ctx;                                /* handed to every handler */
    const char *(*error_body)(enum http_error error); /* its JSON: a constant */

    /* May add headers to an error reply, or make the reply itself with exchange_reply() and
     * the error's status; NULL = neither. Not called if the head was not understood, nor
     * for a refused connection. */
    void (*on_error)(void *ctx, struct exchange *exchange, enum http_error error);
    const char *server_name; /* "port-checker/0.1.0" */
};

/* What all exchanges of one worker share. */
struct exchange_world {
    struct http_site site;
    struct http_date date;
    bool is_draining; /* replies end their connections */

    /* Called when an exchange that waits has output, or has failed. */
    void (*has_output)(void *connection);

    /* Whether the connection may wait for its handler: exchange_may_wait(). */
    bool (*may_wait)(void *connection, const struct address *caller);
};

/* Finds the route of a request whose head is complete, and refuses what cannot be served:
 * the exchange then has its reply and wants no body. `view` is NULL for a request that was
 * not understood, which the caller refuses. `connection` is passed to the world's
 * functions. Everything is borrowed, `view` only during the call. NULL without memory. */
struct exchange *exchange_new(struct exchange_world *world, void *connection,
                              struct transport *transport, const struct request_view *view);

/* Runs the handler. The request must be complete. */
void exchange_run(struct exchange *exchange, const struct request_view *view);

/* Makes this error the reply, after which the connection ends. */
void exchange_refuse(struct exchange *exchange, const struct request_view *view,
                     enum http_error error);

/* Whether it waits for the request's body. */
bool exchange_wants_body(const struct exchange *exchange);

/* Whether the handler's work is not finished: it waits or streams. */
bool exchange_is_unfinished(const struct exchange *exchange);

/* What to send next, borrowed until the next call. NULL if the exchange cannot be
 * answered. */
const char *exchange_output(const struct exchange *exchange, size_t *ret_len);
void exchange_sent(struct exchange *exchange, size_t len);

/* Whether the connection must end after this reply. */
bool exchange_must_close(const struct exchange *exchange);

/* Counts the request by route and status, if it has a status. */
void exchange_count(const struct exchange *exchange, struct metrics *metrics);

/* Tells the owner of an unfinished exchange that it is gone. Returns NULL. */
struct exchange *exchange_free(struct exchange *exchange);
