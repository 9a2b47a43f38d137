/* SPDX-License-Identifier: MIT
 *
 * The command that runs after a change, one at a time, with text on its standard input. Its
 * standard output is our standard error, because a program may read our standard output.
 * A helper executes it (helper.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;

struct hook {
    int helper_fd; /* owned; -1 = there is no helper */
    bool is_running;
    bool is_lost;  /* the helper has been killed: do not wait for helper_fd again */
    char *waiting; /* owned: the latest text that came while it ran, or NULL */
    size_t waiting_len;
};

/* Starts the helper for `command`, which is for /bin/sh and outlives the hook. Call it
 * before threads start. */
bool hook_init(struct hook *hook, const char *command, struct err *err);

/* Runs the command. While one is running, this text is kept for the next run instead, in
 * place of an older one that waits. ERR_SYSTEM. */
bool hook_run(struct hook *hook, const char *text, size_t len, struct err *err);

/* When `helper_fd` is readable. True if the command has ended; *ret_status is that of
 * waitpid(2). If a text waits, the command is started again. `err` says what could not be
 * started. */
bool hook_reap(struct hook *hook, int *ret_status, struct err *err);

/* A command that is still running is not stopped. */
void hook_done(struct hook *hook);
