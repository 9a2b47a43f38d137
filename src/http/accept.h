/* SPDX-License-Identifier: MIT
 *
 * Takes connections from the listening sockets of one worker, and lets them in or turns
 * them away: too many of all (503), too many of one caller (429). One spare descriptor
 * makes that possible when the process has no other left.
 */
#pragma once

#include "http/connection.h"

#include <stdbool.h>
#include <stddef.h>

struct acceptor;

/* `fds` are bound, listening and non-blocking; they stay the caller's, and so do `config`
 * and `connections`. */
bool acceptor_new(struct loop *loop, const struct http_config *config,
                  struct connections *connections, const int *fds, size_t count,
                  struct acceptor **ret, struct err *err);
struct acceptor *acceptor_free(struct acceptor *acceptor);

/* Accepts no more. What is in the kernel's queues stays there. */
void acceptor_stop(struct acceptor *acceptor);
