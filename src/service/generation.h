/* SPDX-License-Identifier: MIT
 *
 * A child of the main process, and the pair of sockets on which it reports. A generation
 * outlives the program that started it: a reload executes a new one in the same process,
 * which inherits its children.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;

#define REPORT_REASON_SIZE 384

struct generation {
    pid_t pid;     /* 0 = no child */
    int report_fd; /* owned: one end in each process; -1 = closed */
};

/* Forks. In the child, which dies with this process, `ret->pid` is 0. */
bool generation_fork(struct generation *ret, struct err *err);

/* In the main process: why a child has ended, for the log, from its wait status. */
void generation_write_end(const struct generation *generation, int status,
                          char ret[static REPORT_REASON_SIZE]);

/* --- across execve(2) --- */

/* Whether the program that ran in this process before has left a child. */
bool generation_is_left(void);

/* Takes that child, if there is one. */
void generation_inherit(struct generation *ret);

/* Leaves a child to the next program. Returns the descriptor that stays open across
 * execve(2), which is `first_fd` or higher, or -1. */
int generation_leave(const struct generation *generation, int first_fd, struct err *err);

/* Call it if the next program could not be executed. */
void generation_take_back(int left_fd);

/* --- reports --- */

/* In the child. It first reports either that it can serve, confined by this many layers, or
 * why it cannot. After the main process has answered, it reports each time that all workers
 * have completed a turn (control.c). It closes its end when it no longer accepts
 * connections. None of these functions blocks or fails. */
void report_able(int fd, size_t layers);
void report_failure(int fd, const char *reason);
void report_turn(int fd);

/* In the child: waits for report_answer(). */
void report_wait(int fd);

struct report {
    bool is_end;  /* no further report follows */
    bool is_able; /* with is_first only */
    bool has_turned;
    size_t layers;
    char reason[REPORT_REASON_SIZE]; /* empty = none */
};

/* In the main process: what has been reported since the last call. `is_first` until the
 * child has reported that it can serve. */
void report_read(int fd, bool is_first, struct report *ret);

/* In the main process: tells the child to serve. */
void report_answer(int fd);
