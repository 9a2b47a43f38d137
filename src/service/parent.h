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
 *                   DEBUG_YIELD_SECONDS with PORT_CHECKER_DEBUG). At most two children
 *                   exist: a reload waits for the end of the last one's predecessor.
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

/* What parent_start() returns in the process that serves. */
#define PARENT_IS_CHILD 0

/* Blocks the signals of parent.h and control.h for this process and its children. */
bool parent_block_signals(struct err *err);

/* Forks. The child gets PARENT_IS_CHILD; it dies with this process. It writes one byte to
 * `*ret_ready_fd` when it serves, and this process reads it. The caller owns that
 * descriptor. */
bool parent_fork(pid_t *ret_child, int *ret_ready_fd, struct err *err);

/* Runs until the service ends or is to be replaced. Takes `ready_fd`. `watch` has the state
 * of the files at the start. */
bool parent_run(struct service *service, const struct invocation *invocation,
                const struct reload_watch *watch, pid_t child, int ready_fd,
                enum parent_end *ret_end, int *ret_status, struct err *err);

/* Before execve(2): names the child to the next program in this process. */
void parent_hand_over(pid_t child);
