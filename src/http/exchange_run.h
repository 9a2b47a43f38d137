/* SPDX-License-Identifier: MIT
 *
 * An exchange as its connection sees it: made from a head, run with a body, asked for bytes
 * to send. It sends none itself, and knows nothing of the connection but its two ends.
 *
 *     exchange_new() -> exchange_run() -> [waiting -> replied] -> exchange_output() ...
 *                    \-> exchange_refuse() -------------------/
 */
#pragma once

#include "http/exchange.h"
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

    /* May add headers to the answer to an error, or make that answer itself with
     * exchange_reply(), with the status of the error; NULL = neither. Not asked where the
     * request's head was not understood, nor for the refusal of a connection. */
    void (*on_error)(void *ctx, struct exchange *exchange, enum http_error error);
    const char *server_name; /* "port-checker/0.1.0" */
};

/* What all exchanges of one worker share. */
struct exchange_world {
    struct http_site site;
    struct http_date date;
    bool is_draining; /* replies end their connections */

    /* An exchange that waited has something to send, or has failed. */
    void (*has_output)(void *connection);
};

/* Finds the route of a request whose head is whole, and refuses what cannot be served: then
 * it is refused, and its body not wanted. NULL as `view`: of a request that was not
 * understood, to be refused by the caller. `connection` is handed to has_output();
 * everything is borrowed, `view` only during the call. NULL without memory. */
struct exchange *exchange_new(struct exchange_world *world, void *connection,
                              struct transport *transport, const struct request_view *view);

/* Runs the handler. The request is whole. */
void exchange_run(struct exchange *exchange, const struct request_view *view);

/* Makes this error the reply; the connection ends after it. */
void exchange_refuse(struct exchange *exchange, const struct request_view *view,
                     enum http_error error);

/* Whether it waits for its body, to be run. */
bool exchange_wants_body(const struct exchange *exchange);

/* Whether its owner has not finished it: it waits or streams. */
bool exchange_is_unfinished(const struct exchange *exchange);

/* What is to be sent next, borrowed until the next call. NULL when it cannot be answered.
 */
const char *exchange_output(const struct exchange *exchange, size_t *ret_len);
void exchange_sent(struct exchange *exchange, size_t len);

/* After its reply. */
bool exchange_must_close(const struct exchange *exchange);

/* Counts it with its route and its status, if it has one. */
void exchange_count(const struct exchange *exchange, struct metrics *metrics);

/* Tells the owner of an unfinished exchange that it is gone. Returns NULL. */
struct exchange *exchange_free(struct exchange *exchange);
