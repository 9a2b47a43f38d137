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
    char *waiting;       /* owned: the latest text that came meanwhile, or NULL */
    size_t waiting_len;
};

/* Runs the command, or, while one is running, keeps this text for afterwards; an older one
 * that waits is dropped. ERR_SYSTEM. */
bool hook_run(struct hook *hook, const char *text, size_t len, struct err *err);

/* After SIGCHLD. True when the command has ended; *ret_status is of waitpid(2). Starts the
 * next when one waits; its failure to start is in `err`. */
bool hook_reap(struct hook *hook, int *ret_status, struct err *err);

/* A command that is running is left to itself. */
void hook_done(struct hook *hook);
