/* SPDX-License-Identifier: MIT */
#include "loop/trim.h"

#include "base/container.h"
#include "base/libc.h"
#include "loop/loop.h"

#define DELAY_SECONDS 5

static void on_time(struct timer *timer)
{
    CONTAINER_OF(timer, struct trim, timer)->freed = 0;
    libc_heap_trim();
}

void trim_init(struct trim *trim, struct loop *loop, size_t many)
{
    *trim = (struct trim){.loop = loop, .many = many};
    timer_init(&trim->timer, on_time);
}

void trim_done(struct trim *trim)
{
    loop_timer_stop(trim->loop, &trim->timer);
}

void trim_note(struct trim *trim, size_t count)
{
    trim->freed += count;
    if (trim->freed >= trim->many && !timer_is_set(&trim->timer))
        loop_timer_in(trim->loop, &trim->timer, span_seconds(DELAY_SECONDS));
}
