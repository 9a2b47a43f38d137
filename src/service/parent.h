/* SPDX-License-Identifier: MIT
 *
 * The main process. It reads the settings and the TLS key, owns the listening sockets and
 * waits for signals; it reads nothing from the network. A child process, forked before any
 * thread exists, serves: service.c.
 *
 * SIGTERM, SIGINT   drain: no new checks, running ones have DRAIN_SECONDS; a second signal
 *                   ends the service immediately
 * SIGHUP            reload: check that the binary accepts the configuration (it has
 *                   RELOAD_CHECK_SECONDS), then execute it in this process. It inherits
 *                   the sockets and the child, starts a child of its own beside it, and
 *                   then tells the predecessor to finish (DRAIN_SECONDS, or
 *                   DEBUG_YIELD_SECONDS with PORT_CHECKER_DEBUG). When that one accepts no
 *                   more connections, the service is ready. At most two children exist: a
 *                   reload waits for the end of the last one's predecessor.
 *
 * If the child ends without having been told to, so does this process, with the child's
 * exit status, or 1 and an error line after a signal. A supervisor restarts the service. If
 * this process dies, the kernel ends its children.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct err;
struct invocation;
struct reload_watch;
struct service;

enum parent_end {
    PARENT_EXIT,   /* no child is left */
    PARENT_RELOAD, /* pass on the sockets and the child, and execute */
};

/* A child, and one end of the pipe between it and this process. The child writes one byte
 * when it serves: how many layers confine it. It closes its end when it no longer accepts
 * connections. */
struct generation {
    pid_t pid;    /* 0 = there is none */
    int ready_fd; /* owned; -1 = closed */
};

/* Blocks the signals of parent.h and control.h for this process and its children. */
bool parent_block_signals(struct err *err);

/* The child of the program that ran in this process before. */
void parent_inherit(struct generation *ret);

/* Forks. In the child, which dies with this process, `ret->pid` is 0. */
bool parent_fork(struct generation *ret, struct err *err);

/* Runs until the service ends or is to be replaced. Takes both generations. `watch` has the
 * state of the files at the start. Call sockets_hand_over() next if it is to be replaced.
 */
bool parent_run(struct service *service, const struct invocation *invocation,
                const struct reload_watch *watch, struct generation child,
                struct generation predecessor, enum parent_end *ret_end, int *ret_status,
                struct err *err);
