/* SPDX-License-Identifier: MIT
 *
 * HTTP for one worker: accepts connections, collects requests, hands each whole request to
 * its route's handler, sends the reply, and lets nobody hold a connection for longer than
 * the limits below. The only module that knows libmicrohttpd.
 *
 * One request is one `exchange`. A handler replies at once with exchange_reply(), or
 * returns without a reply and replies later from the same thread; meanwhile, if the client
 * closes, resets or half-closes its connection, `gone` is called and the exchange is over:
 * after `gone` and after exchange_reply() it must not be touched.
 *
 * The server refuses by itself, before any handler: too many connections (a fixed 503),
 * too many of one caller (a fixed 429), unknown paths and methods, headers of more than
 * SERVER_HEADER_MAX, bodies larger than the route's limit, and requests whose framing two
 * parsers could read in two ways. The text of these answers is asked of `fault`, and
 * `on_fault` may add headers where a request's head was understood: not to the refusal of
 * a connection, not where the head was ambiguous, too large, or not whole in time, and not
 * to what libmicrohttpd refuses by itself.
 */
#pragma once

#include "base/clock.h"
#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERVER_HEADER_MAX     (8 * 1024) /* request line and headers: 431 */
#define SERVER_IDLE_SECONDS   60         /* without a request in progress */
#define SERVER_HEAD_SECONDS   10 /* from the first byte of a request to its last header */
#define SERVER_BODY_SECONDS   10 /* from the last header to the end of the body */
#define SERVER_SEND_SECONDS   30 /* from the reply to its last byte */
#define SERVER_LINGER_SECONDS 2  /* from a refusal until a client must have read it */

struct admission;
struct cidr_list;
struct err;
struct exchange;
struct loop;
struct metrics;
struct server;

typedef void(exchange_fn)(void *ctx, struct exchange *exchange);

struct http_route {
    const char *method; /* HEAD is served by GET's handler */
    const char *path;   /* "/check-ports"; "/check-ports/" is the same */
    exchange_fn *handle;
    size_t body_max; /* bytes; more is a 413 */
    unsigned metric; /* index of the route in the metrics */
};

/* What the server answers by itself, and with which status. */
#define HTTP_FAULT_MAP(X)                                                                  \
    X(BAD_FRAMING, 400) /* two lengths, two Hosts, folded lines: see http/framing.h */     \
    X(NOT_FOUND, 404)                                                                      \
    X(METHOD_NOT_ALLOWED, 405) /* sent with Allow */                                       \
    X(TIMEOUT, 408)            /* headers or body took too long */                         \
    X(BODY_TOO_LARGE, 413)                                                                 \
    X(CALLER_CONNECTIONS, 429) /* too many connections of one caller */                    \
    X(HEADERS_TOO_LARGE, 431)                                                              \
    X(CONNECTIONS, 503) /* too many connections */

enum http_fault {
#define X(NAME, status) HTTP_FAULT_##NAME,
    HTTP_FAULT_MAP(X)
#undef X
};

/* The JSON body for a fault: a constant. */
typedef const char *(server_fault_fn)(enum http_fault fault);

/* Absolute limits of time, 0 = the default above. For tests. */
struct server_limits {
    struct span idle, head, body, send, linger;
};

struct server_config {
    const struct http_route *routes;
    size_t route_count;
    void *handler_ctx; /* handed to every handler */
    server_fault_fn *fault;
    exchange_fn *on_fault;   /* may set headers, and nothing else; NULL = none are set */
    const char *server_name; /* "port-checker/0.1.0" */
    const struct cidr_list *unlimited; /* peers without a limit of their own: proxies */
    struct admission *admission;       /* borrowed; shared by all workers */
    struct metrics *metrics;           /* borrowed */
    const char *tls_cert, *tls_key;    /* PEM texts, NULL = plain HTTP; borrowed */
    struct server_limits limits;
};

/* `listeners` are bound, listening and non-blocking; they stay the caller's. */
bool server_new(struct loop *loop, const struct server_config *config, const int *listeners,
                size_t listener_count, struct server **ret, struct err *err);

/* Ends every connection. Each exchange that waits for its reply is first told that it is
 * `gone`. Not to be called from a handler or a turn-end function. */
struct server *server_free(struct server *server);

/* Takes no more connections; those in the kernel's queue stay there, for a successor or
 * until the sockets are closed. */
void server_stop_accepting(struct server *server);

/* Idle connections that have had a reply are closed now. Those that have not asked yet get
 * one second to begin, from now or from when they come, and those that have begun two for
 * the rest of their head, unless their time is up before. The others are closed after their
 * current reply, which says `Connection: close`. */
void server_drain(struct server *server);

/* Exchanges whose reply is not completely sent. */
size_t server_exchanges(const struct server *server);
size_t server_connections(const struct server *server);

/* --- one exchange ------------------------------------------------------------------
 * Text and body of the request are borrowed until the handler returns or replies,
 * whichever is first: while an exchange waits, nothing of its request is kept. */

struct address exchange_peer(const struct exchange *exchange);  /* of the TCP connection */
struct address exchange_local(const struct exchange *exchange); /* our end of it */
bool exchange_is_http_1_1(const struct exchange *exchange);
bool exchange_is_tls(const struct exchange *exchange);
const struct http_route *exchange_route(const struct exchange *exchange);
const char *exchange_body(const struct exchange *exchange, size_t *ret_len);

/* Value of a header, NULL when it is absent. One that came several times has its values
 * joined with ", " in order. Only the first SERVER_HEADER_MAX bytes can be there. */
const char *exchange_header(struct exchange *exchange, const char *name);

/* Whether a header with this name, or (`is_prefix`) whose name begins so, is there. */
bool exchange_has_header(struct exchange *exchange, const char *name, bool is_prefix);

/* Adds a header to the reply that is to come, at any time before exchange_reply(). The
 * texts are copied. A value with a control character in it is left out. */
void exchange_set_header(struct exchange *exchange, const char *name, const char *value);

/* Every reply says `Cache-Control: no-store`, unless this was set to something else. */

/* Sends the reply; `body` is from malloc() and now the server's, also on failure.
 * NULL stands for "out of memory" and ends the connection. */
void exchange_reply(struct exchange *exchange, unsigned status, const char *content_type,
                    char *body, size_t len);

/* The same for a text that outlives the server. */
void exchange_reply_const(struct exchange *exchange, unsigned status,
                          const char *content_type, const char *body, size_t len);

/* --- a reply in pieces: for an exchange that waits, instead of exchange_reply() --------
 *
 * Pieces go out at the end of the turn in which they were written. What the client has not
 * taken yet is kept, at most `max` bytes of it (twice that with HTTP's frames around small
 * pieces); beyond that the connection ends. Over HTTP/1.1 the pieces are chunks, over 1.0
 * the end of the connection is the end. Until exchange_stream_end() the exchange counts as
 * waiting: no limit of time runs, and `gone` is called when the client leaves or the
 * connection has to end; never from within these functions. After the end
 * SERVER_SEND_SECONDS are left for what is not taken yet, and the exchange is over. */
void exchange_stream_begin(struct exchange *exchange, unsigned status,
                           const char *content_type, size_t max);
void exchange_stream_write(struct exchange *exchange, const char *bytes, size_t len);
void exchange_stream_end(struct exchange *exchange);

/* When the client leaves before the reply, call `gone`. Set it before the handler returns
 * without a reply. */
void exchange_on_gone(struct exchange *exchange, exchange_fn *gone, void *ctx);
