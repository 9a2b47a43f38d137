/* SPDX-License-Identifier: MIT
 *
 * The listening sockets: one per worker, all on one address through SO_REUSEPORT; and how
 * they survive a re-execution. The parent opens and keeps them, a child inherits them.
 *
 * A second instance on the same port must fail. SO_REUSEPORT alone would allow it, so the
 * address is first bound without it, which fails while another process holds the address.
 *
 * A predecessor passes its sockets on as service managers do: LISTEN_PID and LISTEN_FDS in
 * the environment, descriptors from 3 on. A service manager passes a single socket, and no
 * other can be bound beside it (it has no SO_REUSEPORT, or another owner): then the workers
 * share it.
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>

struct err;

#define SOCKETS_MAX 256

struct sockets {
    int fds[SOCKETS_MAX]; /* owned; non-blocking, listening */
    size_t count;
    struct address bound; /* with the real port */
};

/* At least `wanted` sockets on `address`. Inherited ones are used if they listen on exactly
 * that address (any port, if `address` has none), and closed otherwise. ERR_SYSTEM if the
 * address is in use or not ours: the message names it. */
bool sockets_open(const struct address *address, size_t wanted, struct sockets *ret,
                  struct err *err);
void sockets_done(struct sockets *sockets);

/* Closes sockets `first`, `first` + `step`, and so on. Threads may close different parts at
 * the same time. */
void sockets_close_part(struct sockets *sockets, size_t first, size_t step);

/* Before a reload: whether `address` can be bound after the service on `own` has left it.
 * Binds it for a moment, unless it is that service's own. Also true if `own` is not a
 * listening socket: then this is not a reload. If `own` itself is in the way (0.0.0.0
 * instead of 127.0.0.1), this relies on SO_REUSEPORT to tell our sockets from others, and
 * so mistakes another checker of this user (on 127.0.0.2) for ours. */
bool sockets_try(const struct address *address, int own, struct err *err);

/* Puts the sockets where a successor expects them, open across execve(2), and sets the
 * environment. Closes any other descriptors there: call it last, right before execve(2). */
bool sockets_hand_over(struct sockets *sockets, struct err *err);
