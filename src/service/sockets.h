/* SPDX-License-Identifier: MIT
 *
 * The listening sockets: one per worker, all on one address through SO_REUSEPORT; and how
 * they survive a re-execution. The parent opens and keeps them, a child inherits them.
 *
 * A second instance on the same port must fail. SO_REUSEPORT alone would allow it, so the
 * address is first bound without it, which fails while another process holds the address.
 *
 * A predecessor passes its sockets on as service managers do: LISTEN_PID and LISTEN_FDS in
 * the environment, descriptors from 3 on. Of a predecessor's sockets, the service uses
 * those that listen on the address in the settings. Of a service manager's (socket
 * activation), it uses all, whatever the settings say, and opens none beside them; workers
 * share them if there are fewer sockets than workers.
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>

struct err;

#define SOCKETS_MAX 256

struct sockets {
    int fds[SOCKETS_MAX]; /* owned; non-blocking */
    size_t count;
    size_t distinct;      /* the first of them; the others are duplicates */
    struct address bound; /* of the first, with the real port */
    bool is_passed;       /* by a service manager, now or before a reload */

    /* Between sockets_leave() and sockets_take_back(). */
    int displaced[SOCKETS_MAX]; /* owned; -1 = none was there */
    size_t displaced_count;
};

/* Takes the sockets that a predecessor (`is_successor`) or a service manager has passed.
 * There may be none, and some may not be listening sockets. `bound` is not set. */
void sockets_inherit(bool is_successor, struct sockets *ret);

/* In a rehearsal: a duplicate of standard input, which is one of them. */
void sockets_inherit_input(struct sockets *ret);

/* At least `wanted` sockets: duplicates of `inherited` ones, or new ones on `address`,
 * which do not listen yet: no connection may be lost if the process that is to serve them
 * fails. ERR_SYSTEM if the address is in use or not ours: the message names it. ERR_INVALID
 * if a service manager has passed anything other than listening TCP sockets. */
bool sockets_open(const struct address *address, size_t wanted,
                  const struct sockets *inherited, struct sockets *ret, struct err *err);
void sockets_done(struct sockets *sockets);

/* Begins to listen on all. */
bool sockets_listen(const struct sockets *sockets, struct err *err);

/* Closes sockets `first`, `first` + `step`, and so on. Threads may close different parts at
 * the same time. */
void sockets_close_part(struct sockets *sockets, size_t first, size_t step);

/* Before a reload: whether `address` can be bound after the service on `own` has left it.
 * Binds it for a moment, unless it is that service's own. Also true if `own` is not a
 * listening socket (then this is not a reload), or a service manager has passed it. If
 * `own` itself is in the way (0.0.0.0 instead of 127.0.0.1), this relies on SO_REUSEPORT to
 * tell our sockets from others, and so mistakes another checker of this user (on 127.0.0.2)
 * for ours. */
bool sockets_try(const struct address *address, int own, struct err *err);

/* Puts the sockets where a successor expects them, open across execve(2), and sets the
 * environment. The descriptors that were there belong to others, who must not use them
 * until sockets_take_back(): call it last, right before execve(2). */
bool sockets_leave(struct sockets *sockets, struct err *err);

/* Call it if sockets_leave() or execve(2) has failed. */
void sockets_take_back(struct sockets *sockets);
