/* SPDX-License-Identifier: MIT */
#include "router/announced.h"

#include <stdint.h>

struct instant announced_next(const struct announced *announced)
{
    return announced->is_due ? announced->pause_end : (struct instant){INT64_MAX};
}

bool announced_take(struct announced *announced, struct instant now)
{
    if (instant_before(now, announced_next(announced)))
        return false;
    announced->is_due = false;
    announced->pause_end = instant_add(now, span_seconds(ANNOUNCED_PAUSE_SECONDS));
    return true;
}
