/* SPDX-License-Identifier: MIT
 *
 * HTTP for one worker: takes connections from its listening sockets, lets them in or turns
 * them away (too many in all: 503; too many of one caller: 429), collects requests, hands
 * each whole request to its route's handler, sends the reply, and lets no client hold a
 * connection for longer than the limits in http/connection.h. Plain HTTP and TLS take the
 * same path. http/exchange.h says what a handler sees.
 *
 *     server      this: accept(2), admission, refusals
 *     connection  one connection's states and clocks; reads, sends, ends
 *     exchange    one request as its handler sees it; makes bytes, sends none
 *     response    heads and frames of replies (pure)
 *     input       buffers, and requests read from them
 *     request     heads and chunks of requests (pure)
 *     query       what follows the path (pure)
 *     transport   the socket, or TLS over it
 *
 * Calls go only down this list.
 */
#pragma once

#include "http/connection.h"

#include <stdbool.h>
#include <stddef.h>

struct server;

/* `listeners` are bound, listening and non-blocking; they stay the caller's, and so does
 * what `config` points to. */
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
