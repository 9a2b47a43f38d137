/* SPDX-License-Identifier: MIT
 *
 * When the announcements of a router are heeded: at once, or ANNOUNCED_PAUSE_SECONDS after
 * the last time, because a router repeats them, and they are easily forged. None is lost:
 * miniupnpd announces a restart, in which it loses its mappings, only once. Pure.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>

#define ANNOUNCED_PAUSE_SECONDS 10

/* All zeros before the first announcement. */
struct announced {
    bool is_due;
    struct instant pause_end;
};

/* When to call announced_take(); INT64_MAX ns: no announcement is due. */
struct instant announced_next(const struct announced *announced);

/* Whether one is to be heeded now. */
bool announced_take(struct announced *announced, struct instant now);
