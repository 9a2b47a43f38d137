/* SPDX-License-Identifier: MIT
 *
 * A process that executes programs for this one, which gives up executing (lockdown.h). It
 * is forked before that, is told in advance which programs it may execute, and never sees
 * the network. It ends with this process, or after a program that still runs then.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct err;

struct helper_answer {
    int failure; /* errno: the program could not be started */
    int status;  /* of waitpid(2) */
};

/* In the helper: executes program number `which` with `fd`, which it must close, and waits
 * for the end of the program. */
typedef struct helper_answer(helper_run_fn)(const void *ctx, unsigned char which, int fd);

/* Forks. `*ret_fd`, owned by the caller, is for the functions below; it becomes readable
 * with an answer or at the end of the helper. Call it before threads start. */
bool helper_start(helper_run_fn *run, const void *ctx, int *ret_fd, struct err *err);

/* Asks for program number `which`; `passed` stays the caller's. One at a time. */
bool helper_ask(int helper_fd, unsigned char which, int passed, struct err *err);

enum helper_state {
    HELPER_ANSWERED,
    HELPER_BUSY,
    HELPER_LOST, /* it has ended */
};

/* Does not wait. */
enum helper_state helper_read(int helper_fd, struct helper_answer *ret);

/* For a helper_run_fn: waits for a child's end, and kills it after `seconds`; 0 = never. */
int helper_wait(pid_t child, unsigned seconds);
