/* SPDX-License-Identifier: MIT
 *
 * The order in which the connections of a worker proceed at the end of a turn of its loop:
 * first those that serve, then TLS handshakes, which get 2 ms of processor time per turn.
 * Handshakes that the service has answered come before new ones, because they are almost
 * complete.
 *
 * While new handshakes wait, no connection should be accepted: newcomers then wait in the
 * kernel's queue, where they make no connection give way. Otherwise clients that reconnect
 * at once would arrive faster than handshakes proceed, and the connection that gives way
 * could be one whose client waits for the service.
 */
#pragma once

#include "base/clock.h"
#include "loop/tasks.h"

#include <stdbool.h>

struct loop;

enum turns_rank {
    TURNS_SERVE,
    TURNS_SHAKE, /* a handshake that has our answer */
    TURNS_GREET, /* a new handshake */
    TURNS_RANKS,
};

struct turns {
    struct loop *loop; /* borrowed */
    struct tasks ranks[TURNS_RANKS];
    struct instant turned; /* the start of the last turn that is over */
};

void turns_init(struct turns *turns, struct loop *loop);

/* The tasks must have been cancelled. */
void turns_done(struct turns *turns);

/* The task runs at the end of this turn. If it is added there, it runs in the next turn. */
void turns_add(struct turns *turns, enum turns_rank rank, struct task *task);

/* Whether few enough new handshakes wait. */
bool turns_may_begin(const struct turns *turns);
