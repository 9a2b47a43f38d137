/* SPDX-License-Identifier: MIT
 *
 * The signals that end a program which first has something to do: SIGTERM, SIGINT, and
 * SIGHUP, unless it is ignored when the program starts, as under nohup(1).
 */
#pragma once

#include "loop/loop.h"

#include <stdbool.h>

struct err;

/* From the loop. `is_second`: a user does not want to wait. When a terminal is closed, the
 * kernel and the shell both send SIGHUP, so that one never is. */
typedef void(stop_signal_fn)(void *ctx, int number, bool is_second);

/* All zeros but `fd`, which is -1, before stop_signals_watch(). */
struct stop_signals {
    stop_signal_fn *come;
    void *ctx;
    unsigned count;
    int fd; /* owned */
    struct loop_watch watch;
};

/* Blocks them, also for threads that start later. ERR_SYSTEM. */
bool stop_signals_watch(struct stop_signals *signals, struct loop *loop,
                        stop_signal_fn *come, void *ctx, struct err *err);

/* `loop` may be NULL if they are not watched. */
void stop_signals_done(struct stop_signals *signals, struct loop *loop);

/* Ends this process as the signal ends one that does not watch for it. */
void stop_signals_die(int number);
