/* SPDX-License-Identifier: MIT
 *
 * The listening sockets: one a worker, all on one address, joined by SO_REUSEPORT; and how
 * they survive a re-execution.
 *
 * A second instance on the same port must fail, which SO_REUSEPORT alone would not see to:
 * the address is first bound without it, which fails while anybody else holds it.
 *
 * A predecessor hands its sockets over as service managers do: LISTEN_PID and LISTEN_FDS
 * in the environment, descriptors from 3 on. A service manager's socket is one, and no
 * other can be bound beside it (it has no SO_REUSEPORT, or another owner): the workers
 * then share it.
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

/* At least `wanted` sockets on `address`. Inherited ones are taken when they listen on that
 * very address (any port, when `address` has none), and closed otherwise. ERR_SYSTEM when
 * the address is in use or not ours: the message names it. */
bool sockets_open(const struct address *address, size_t wanted, struct sockets *ret,
                  struct err *err);
void sockets_done(struct sockets *sockets);

/* Before a reload: whether `address` is to be had when the service that listens on `own`
 * has gone from there. Binds it for a moment, unless it is that service's own. True as well
 * when `own` is no listening socket: then nothing is reloaded. Where `own` itself is in the
 * way (0.0.0.0 is wanted instead of 127.0.0.1), this trusts SO_REUSEPORT to tell ours from
 * those of others, and so takes another checker of this user (on 127.0.0.2) for ours. */
bool sockets_try(const struct address *address, int own, struct err *err);

/* Puts the sockets where a successor looks for them, open across execve(2), and says so in
 * the environment. Closes whatever other descriptors it finds there: call it last, right
 * before execve(2). */
bool sockets_hand_over(struct sockets *sockets, struct err *err);
