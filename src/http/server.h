/* SPDX-License-Identifier: MIT
 *
 * HTTP for one worker: accepts connections, collects requests, hands each whole request to
 * its route's handler, sends the reply, and lets no client hold a connection for longer
 * than the limits below. Plain or over TLS, in one way. What a handler sees is in
 * http/exchange.h.
 *
 *     server      this: the listeners' and the connections' life
 *     accept      accept(2), admission, refusals
 *     connection  one connection's states and clocks; reads, sends, ends
 *     exchange    one request as its handler sees it; makes bytes, sends none
 *     response    heads and frames of replies (pure)
 *     input       buffers, and requests read from them
 *     request     heads and chunks of requests (pure)
 *     query       what follows the path (pure)
 *     transport   the socket, or TLS over it
 *
 * Calls go down in this list only.
 */
#pragma once

#include "http/connection.h"

#include <stdbool.h>
#include <stddef.h>

#define SERVER_IDLE_SECONDS   60 /* without a request in progress */
#define SERVER_HEAD_SECONDS   10 /* from a request's first byte to its last header */
#define SERVER_BODY_SECONDS   10 /* from the last header to the end of the body */
#define SERVER_SEND_SECONDS   30 /* from the reply to its last byte */
#define SERVER_LINGER_SECONDS 2  /* from a refusal until a client must have read it */

struct server;

/* `listeners` are bound, listening and non-blocking; they stay the caller's. A limit of
 * 0 is the default above. */
bool server_new(struct loop *loop, const struct http_config *config, const int *listeners,
                size_t listener_count, struct server **ret, struct err *err);

/* As connections_free(). */
struct server *server_free(struct server *server);

/* Takes no more connections; those in the kernel's queue stay there, for a successor or
 * until the sockets are closed. */
void server_stop_accepting(struct server *server);

/* As in http/connection.h. */
void server_drain(struct server *server);
size_t server_exchanges(const struct server *server);
size_t server_connections(const struct server *server);
