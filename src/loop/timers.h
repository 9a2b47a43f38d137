/* SPDX-License-Identifier: MIT
 *
 * A heap of timers on its owner's clock; it reads no clock itself. Timers are
 * embedded in their owners and totally ordered: by deadline, then by the order in which
 * they were set, so that a run can be replayed.
 *
 * Setting and stopping take O(log n); setting a timer with the latest deadline, the usual
 * case, takes O(1).
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer;
typedef void(timer_fn)(struct timer *timer);

struct timer {
    struct instant deadline;
    uint64_t order;
    uint32_t position; /* 1-based place in the heap, 0 = not set */
    timer_fn *fire;
};

struct timers {
    struct timer **heap; /* owned array of borrowed timers */
    uint32_t count;
    uint32_t size;
    uint64_t next_order;
    bool is_firing;
    struct instant firing_at; /* the `now` of the timers_fire() in progress */
};

void timers_init(struct timers *timers);

/* Unsets all timers. They stay with their owners. */
void timers_done(struct timers *timers);

/* Grows the heap so that `count` timers fit: then timers_set() cannot fail for up to that
 * many at once. False without memory. */
bool timers_reserve(struct timers *timers, size_t count);

/* Returns the memory beyond that for `count` timers, or for those that are set. */
void timers_shrink(struct timers *timers, size_t count);

void timer_init(struct timer *timer, timer_fn *fire);
static inline bool timer_is_set(const struct timer *timer)
{
    return timer->position > 0;
}

/* Sets or moves a timer. Room must have been reserved. Within timers_fire() a deadline that
 * has passed already counts as `now`. */
void timers_set(struct timers *timers, struct timer *timer, struct instant deadline);
void timers_stop(struct timers *timers, struct timer *timer);

/* Whether any timer is set, and if so the earliest deadline. */
bool timers_next(const struct timers *timers, struct instant *ret_deadline);

/* Fires all timers that are due at `now`, each stopped before its function runs, which may
 * set, move and stop any timer. A timer that was set during this call waits for the next
 * one, so that the call ends. Do not call it from within itself. */
void timers_fire(struct timers *timers, struct instant now);
