/* SPDX-License-Identifier: MIT
 *
 * Becoming a newer self: the binary is asked whether it accepts the configuration, and only
 * then executed in this process's place.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

struct err;
struct invocation;

#define RELOAD_REASON_SIZE   1024
#define RELOAD_CHECK_SECONDS 10 /* it takes milliseconds; a disk may be asleep */

/* `BINARY --check-config`, running. Its standard input is one of our listening sockets, by
 * which it knows that this is a reload, and which address is ours: another one it tries to
 * bind. What it says need not have the form of our log; the end of it is kept. */
struct reload_check {
    pid_t child; /* reaped by the caller; 0 = none runs */
    int said_fd; /* owned: its standard error, our end non-blocking */
    bool is_late;
    size_t said_len;
    char said[2 * RELOAD_REASON_SIZE];
};

/* With this process's arguments and environment. */
bool reload_check_start(struct reload_check *check, const struct invocation *invocation,
                        int listener, struct err *err);

/* Takes what it has said so far, so that it need not wait. False at the end of it. */
bool reload_check_read(struct reload_check *check);

/* Ends a child from which no answer came within RELOAD_CHECK_SECONDS; it is to be reaped as
 * any other. */
void reload_check_end_late(struct reload_check *check);

/* After the child, with its wait status. False when it refused: the last thing that it said
 * is the reason, or else its exit status. Of one that a signal ended, the signal is. */
bool reload_check_end(struct reload_check *check, int status,
                      char ret_reason[static RELOAD_REASON_SIZE]);

/* Ends a child that still runs, which holds a listening socket, and waits until it has
 * gone. */
void reload_check_drop(struct reload_check *check);

/* Replaces this process. Returns only when that failed. */
bool reload_execute(const struct invocation *invocation, struct err *err);

/* Whether binary or `.env` have changed since the last look, for PORT_CHECKER_DEBUG. A
 * change counts once it has stayed the same for two looks: a linker writes for a while. */
struct reload_watch {
    struct timespec seen[2];
    struct timespec settled[2];
};

void reload_watch_init(struct reload_watch *watch, const struct invocation *invocation);
bool reload_watch_look(struct reload_watch *watch, const struct invocation *invocation);
