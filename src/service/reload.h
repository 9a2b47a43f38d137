/* SPDX-License-Identifier: MIT
 *
 * Replacing this process by a new binary: first a check that the binary accepts the
 * configuration, then a rehearsal of its start, then its execution in this process's place.
 */
#pragma once

#include "loop/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

struct err;
struct invocation;

#define RELOAD_REASON_SIZE   1024
#define RELOAD_CHECK_SECONDS 10 /* it takes milliseconds; a disk may be asleep */

enum reload_stage {
    RELOAD_CONFIG,    /* `BINARY --check-config`; passed with exit status 0 */
    RELOAD_REHEARSAL, /* as it will be executed; rehearsal.h */
};

/* The new binary, running beside this process. Its standard input is one of our listening
 * sockets, which tells it that this is a reload and which address is ours; it tries to bind
 * any other address. Its output need not have the format of our log; the end of it is kept.
 * If it has not answered within RELOAD_CHECK_SECONDS, it is killed. */
struct reload_check {
    enum reload_stage stage;
    struct loop *loop; /* borrowed */
    struct timer timer;
    struct loop_watch watch; /* of its output */
    pid_t child;             /* reaped by the caller; 0 = no child */
    int said_fd;             /* owned: its standard error, our end non-blocking */
    bool is_late;
    size_t said_len;
    char said[2 * RELOAD_REASON_SIZE];
};

/* With this process's arguments and environment. */
bool reload_check_start(struct reload_check *check, enum reload_stage stage,
                        struct loop *loop, const struct invocation *invocation,
                        int listener, struct err *err);

/* After the child, with its wait status. False if it refused: the reason is its last line
 * of output, or else its exit status, or the signal that ended it. */
bool reload_check_end(struct reload_check *check, int status,
                      char ret_reason[static RELOAD_REASON_SIZE]);

/* Ends a child that still runs and holds a listening socket, and waits for its end. */
void reload_check_drop(struct reload_check *check);

/* Replaces this process. Returns only on failure. */
bool reload_execute(const struct invocation *invocation, struct err *err);

/* Whether the binary or `.env` has changed since the last call, for PORT_CHECKER_DEBUG. A
 * change counts when it is the same in two calls: a linker writes for a while. */
struct reload_watch {
    struct timespec seen[2];
    struct timespec confirmed[2];
};

void reload_watch_init(struct reload_watch *watch, const struct invocation *invocation);
bool reload_watch_look(struct reload_watch *watch, const struct invocation *invocation);
