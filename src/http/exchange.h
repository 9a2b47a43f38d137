/* SPDX-License-Identifier: MIT
 *
 * One request as its handler sees it, and the reply that the handler makes.
 *
 * A handler replies at once with exchange_reply(), or returns without a reply and replies
 * later from the same thread. Meanwhile, if the client closes, resets or half-closes its
 * connection, `gone` is called and the exchange is over: after `gone` and after
 * exchange_reply() it must not be touched.
 *
 * Nothing is sent from within these functions: what they make goes out at the end of the
 * loop's turn.
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>

struct exchange;

typedef void(exchange_fn)(void *ctx, struct exchange *exchange);

struct http_route {
    const char *method; /* HEAD is served by GET's handler */
    const char *path;   /* "/check-ports" also matches "/check-ports/"; "/check-ports?ports"
                           matches only requests whose query has a field "ports" */
    exchange_fn *handle;
    size_t body_max; /* bytes; more is a 413 */
    unsigned metric; /* index of the route in the metrics */
};

/* --- the request --------------------------------------------------------------------
 * Its texts and its body are borrowed until the handler returns or replies, whichever comes
 * first: an exchange that waits keeps nothing of its request. */

struct address exchange_peer(const struct exchange *exchange);  /* of the TCP connection */
struct address exchange_local(const struct exchange *exchange); /* our end of it */
bool exchange_is_http_1_1(const struct exchange *exchange);
bool exchange_is_tls(const struct exchange *exchange);
const struct http_route *exchange_route(const struct exchange *exchange);
const char *exchange_path(const struct exchange *exchange);  /* as sent, without a query */
const char *exchange_query(const struct exchange *exchange); /* http/query.h; "" = none */
const char *exchange_body(const struct exchange *exchange, size_t *ret_len);

/* Value of a header, NULL if it is absent. The values of a repeated header are joined with
 * ", " in order; without memory for that, the connection ends without a reply. */
const char *exchange_header(struct exchange *exchange, const char *name);

/* Whether there is a header with this name, or, with `is_prefix`, one whose name begins
 * with it. */
bool exchange_has_header(struct exchange *exchange, const char *name, bool is_prefix);

/* --- the reply ----------------------------------------------------------------------- */

/* Adds a header to the reply, at any time before exchange_reply(). The texts are copied. A
 * value that contains a control character is dropped. Every reply has `Cache-Control:
 * no-store` unless that header is set here. */
void exchange_set_header(struct exchange *exchange, const char *name, const char *value);

/* Makes the reply; `body` is from malloc() and freed. NULL stands for "out of memory" and
 * ends the connection. */
void exchange_reply(struct exchange *exchange, unsigned status, const char *content_type,
                    char *body, size_t len);

/* The same for a text that the caller keeps. */
void exchange_reply_const(struct exchange *exchange, unsigned status,
                          const char *content_type, const char *body, size_t len);

/* Ask before returning without a reply. False if too many connections wait for a handler,
 * in all or for callers of the network of `caller`: they are not closed in favour of
 * others. */
bool exchange_may_wait(const struct exchange *exchange, const struct address *caller);

/* Calls `gone` when the client leaves before the reply. Set it before the handler returns
 * without a reply. */
void exchange_on_gone(struct exchange *exchange, exchange_fn *gone, void *ctx);

/* --- a reply in pieces: for an exchange that waits, instead of exchange_reply() --------
 *
 * At most `max` bytes that the client has not read yet are kept (twice that with the chunk
 * frames around small pieces); beyond that the connection ends. Over HTTP/1.1 the pieces
 * are chunks; over 1.0 the reply ends with the connection. Until exchange_stream_end() the
 * exchange counts as waiting: it has no time limit, and `gone` is called when the client
 * leaves or the connection must end, but never from within these functions. After the end
 * the exchange is over, and the rest has the time of STATE_SENDING. `bytes` NULL stands for
 * "out of memory": the connection then ends before the end of the reply. */
void exchange_stream_begin(struct exchange *exchange, unsigned status,
                           const char *content_type, size_t max);
void exchange_stream_write(struct exchange *exchange, const char *bytes, size_t len);
void exchange_stream_end(struct exchange *exchange);
