/* SPDX-License-Identifier: MIT
 *
 * The main process. It reads the settings and the TLS key, owns the listening sockets and
 * waits for signals; it reads nothing from the network. A child process, forked before any
 * thread exists, serves: service.c.
 *
 * SIGTERM, SIGINT   drain: no new checks, running ones have DRAIN_SECONDS; a second signal
 *                   ends the service immediately
 * SIGHUP            reload: check that the binary accepts the configuration, rehearse its
 *                   start beside this process (each has RELOAD_CHECK_SECONDS), then
 *                   execute it in this process. It inherits the sockets and the child,
 *                   starts a child of its own beside it, and then tells the predecessor to
 *                   finish (DRAIN_SECONDS, or
 *                   DEBUG_YIELD_SECONDS with PORT_CHECKER_DEBUG). When that one accepts no
 *                   more connections, the service is ready. At most two children exist: a
 *                   reload waits for the end of the last one's predecessor.
 *
 * A reload that fails changes nothing: if the new program does not pass its rehearsal,
 * cannot be executed, its start fails, or its child ends before it serves, the predecessor
 * goes on serving, and a later reload is possible.
 *
 * If the child ends without having been told to, so does this process, with the child's
 * exit status, or 1 and an error line after a signal. A supervisor restarts the service. If
 * this process dies, the kernel ends its children.
 */
#pragma once

#include <stdbool.h>

struct err;
struct generation;
struct invocation;
struct reload_watch;
struct service;

/* Blocks the signals of parent.h and control.h for this process and its children. */
bool parent_block_signals(struct err *err);

/* Runs until the service ends, or another program runs in this process. Takes ownership of
 * both generations. If the start has failed (`fault`, otherwise NULL), there is a
 * predecessor and no child. `watch` holds the state of the files at the start. */
bool parent_run(struct service *service, const struct invocation *invocation,
                const struct reload_watch *watch, struct generation child,
                struct generation predecessor, const char *fault, int *ret_status,
                struct err *err);
