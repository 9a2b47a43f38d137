/* SPDX-License-Identifier: MIT
 *
 * The main thread: waits for signals and moves the service through its phases.
 *
 * SIGTERM, SIGINT   drain: no new checks, running ones have DRAIN_SECONDS; a second signal
 *                   ends the service immediately
 * SIGHUP            reload: check that the binary accepts the configuration (it has
 *                   RELOAD_CHECK_SECONDS), let running checks finish (DRAIN_SECONDS, or
 *                   DEBUG_YIELD_SECONDS with PORT_CHECKER_DEBUG), then execute it
 */
#pragma once

#include <stdbool.h>

struct err;
struct invocation;
struct reload_watch;
struct service;

#define DRAIN_SECONDS       25
#define DEBUG_YIELD_SECONDS 2

enum control_end {
    CONTROL_EXIT,
    CONTROL_RELOAD, /* all checks have finished: pass on the sockets and execute */
};

/* Blocks the signals above for this thread and those that it starts. Call it before any
 * thread starts. */
bool control_block_signals(struct err *err);

/* Runs until all workers may be joined. `watch` has the state of the files at the start. */
bool control_run(struct service *service, const struct invocation *invocation,
                 const struct reload_watch *watch, enum control_end *ret_end,
                 struct err *err);
