/* SPDX-License-Identifier: MIT
 *
 * The command that runs after a change, one at a time, with text on its standard input. Its
 * standard output is our standard error, because a program may read our standard output.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;

struct hook {
    const char *command; /* for /bin/sh; borrowed */
    pid_t child;         /* 0 = none is running */
    char *waiting;       /* owned: the latest text that came while it ran, or NULL */
    size_t waiting_len;
};

/* Runs the command. While one is running, this text is kept for the next run instead, in
 * place of an older one that waits. ERR_SYSTEM. */
bool hook_run(struct hook *hook, const char *text, size_t len, struct err *err);

/* After SIGCHLD. True if the command has ended; *ret_status is that of waitpid(2). If a
 * text waits, the command is started again; if that fails, `err` says why. */
bool hook_reap(struct hook *hook, int *ret_status, struct err *err);

/* A command that is still running is not stopped. */
void hook_done(struct hook *hook);
