/* SPDX-License-Identifier: MIT
 *
 * HTTP for one worker: accepts connections from its listening sockets, admits or refuses
 * them (503 if there are too many, 429 if one caller has too many), reads requests, passes
 * each complete request to its route's handler, sends the reply, and enforces the time
 * limits in http/connection.h. Plain HTTP and TLS share this code. http/exchange.h says
 * what a handler sees.
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

struct http_server;

/* `sockets` are bound, listening and non-blocking. They stay the caller's, and so does what
 * `config` points to. */
bool http_server_new(struct loop *loop, const struct http_config *config,
                     const int *sockets, size_t socket_count, struct http_server **ret,
                     struct err *err);

/* As connections_free(). */
struct http_server *http_server_free(struct http_server *server);

/* Accepts no more connections. Those in the kernel's queue stay there until a successor
 * accepts them or the sockets are closed. */
void http_server_stop_accepting(struct http_server *server);

struct connections *http_server_connections(struct http_server *server);
