/* SPDX-License-Identifier: MIT
 *
 * Becoming a newer self: the binary is asked whether it accepts the configuration, and only
 * then executed in this process's place.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

struct err;
struct invocation;

/* Starts `BINARY --check-config` with this process's arguments and environment; its
 * messages go to our standard error. The child is reaped by the caller. */
bool reload_check_start(const struct invocation *invocation, pid_t *ret_child,
                        struct err *err);

/* Replaces this process. Returns only when that failed. */
bool reload_execute(const struct invocation *invocation, struct err *err);

/* Whether binary or `.env` have changed since the last look, for PORT_CHECKER_DEBUG. A
 * change counts once it has stayed the same for two looks: a linker writes for a while. */
struct reload_watch {
    struct timespec seen[2];
    struct timespec settled[2];
};

void reload_watch_init(struct reload_watch *watch, const struct invocation *invocation);
bool reload_watch_look(struct reload_watch *watch, const struct invocation *invocation);
