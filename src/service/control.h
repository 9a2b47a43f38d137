/* SPDX-License-Identifier: MIT
 *
 * The main thread: waits for signals and leads the service through its phases.
 *
 * SIGTERM, SIGINT   drain: no new checks, running ones get DRAIN_SECONDS; a second signal
 *                   ends it at once
 * SIGHUP            reload: see whether the binary accepts the configuration (it has
 *                   RELOAD_CHECK_SECONDS), let running checks finish (DRAIN_SECONDS, with
 *                   PORT_CHECKER_DEBUG DEBUG_YIELD_SECONDS), then become the new one
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
    CONTROL_RELOAD, /* all is quiet: hand over and execute */
};

/* Blocks the signals above for this thread and those that it starts. Before any thread. */
bool control_block_signals(struct err *err);

/* Runs until all workers may be joined. `watch` has the files as they were at the start. */
bool control_run(struct service *service, const struct invocation *invocation,
                 const struct reload_watch *watch, enum control_end *ret_end,
                 struct err *err);
