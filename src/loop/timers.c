/* SPDX-License-Identifier: MIT */
#include "loop/timers.h"

#include <assert.h>
#include <stdlib.h>

#define FIRST_SIZE 64
#define SHRINK_BY  8 /* at least, so that growing again is rare */

void timers_init(struct timers *timers)
{
    *timers = (struct timers){0};
}

void timers_done(struct timers *timers)
{
    for (uint32_t i = 0; i < timers->count; i++)
        timers->heap[i]->position = 0;
    free(timers->heap);
    timers_init(timers);
}

static bool resize(struct timers *timers, size_t size)
{
    struct timer **heap = reallocarray(timers->heap, size, sizeof *heap);
    if (!heap)
        return false;
    timers->heap = heap;
    timers->size = (uint32_t)size;
    return true;
}

static size_t size_for(size_t count)
{
    size_t size = FIRST_SIZE;
    while (size < count)
        size *= 2;
    return size;
}

bool timers_reserve(struct timers *timers, size_t count)
{
    if (count <= timers->size)
        return true;
    return count <= UINT32_MAX / 2 && resize(timers, size_for(count));
}

void timers_shrink(struct timers *timers, size_t count)
{
    size_t size = size_for(count > timers->count ? count : timers->count);
    if (size <= timers->size / SHRINK_BY)
        resize(timers, size); /* on failure it stays as it is */
}

void timer_init(struct timer *timer, timer_fn *fire)
{
    *timer = (struct timer){.fire = fire};
}

static bool is_earlier(const struct timer *a, const struct timer *b)
{
    if (a->deadline.ns != b->deadline.ns)
        return a->deadline.ns < b->deadline.ns;
    return a->order < b->order;
}

static void place(struct timers *timers, struct timer *timer, uint32_t index)
{
    timers->heap[index] = timer;
    timer->position = index + 1;
}

static void sift_up(struct timers *timers, struct timer *timer, uint32_t index)
{
    while (index > 0) {
        uint32_t parent = (index - 1) / 2;
        if (!is_earlier(timer, timers->heap[parent]))
            break;
        place(timers, timers->heap[parent], index);
        index = parent;
    }
    place(timers, timer, index);
}

static void sift_down(struct timers *timers, struct timer *timer, uint32_t index)
{
    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child >= timers->count)
            break;
        if (child + 1 < timers->count &&
            is_earlier(timers->heap[child + 1], timers->heap[child]))
            child++;
        if (!is_earlier(timers->heap[child], timer))
            break;
        place(timers, timers->heap[child], index);
        index = child;
    }
    place(timers, timer, index);
}

/* Puts a timer where it belongs, starting at the free place `index`. */
static void sift(struct timers *timers, struct timer *timer, uint32_t index)
{
    if (index > 0 && is_earlier(timer, timers->heap[(index - 1) / 2]))
        sift_up(timers, timer, index);
    else
        sift_down(timers, timer, index);
}

void timers_set(struct timers *timers, struct timer *timer, struct instant deadline)
{
    /* Goes behind all timers that are due: a timer that keeps setting itself into the past
     * must not keep the others from firing. */
    if (timers->is_firing && instant_before(deadline, timers->firing_at))
        deadline = timers->firing_at;
    timer->deadline = deadline;
    timer->order = timers->next_order++;

    if (timer->position > 0) {
        sift(timers, timer, timer->position - 1);
        return;
    }
    assert(timers->count < timers->size);
    sift_up(timers, timer, timers->count++);
}

void timers_stop(struct timers *timers, struct timer *timer)
{
    if (timer->position == 0)
        return;

    uint32_t index = timer->position - 1;
    timer->position = 0;
    struct timer *last = timers->heap[--timers->count];
    if (last != timer)
        sift(timers, last, index);
}

bool timers_next(const struct timers *timers, struct instant *ret_deadline)
{
    if (timers->count == 0)
        return false;

    *ret_deadline = timers->heap[0]->deadline;
    return true;
}

void timers_fire(struct timers *timers, struct instant now)
{
    assert(!timers->is_firing);
    uint64_t first_new = timers->next_order;
    timers->is_firing = true;
    timers->firing_at = now;

    while (timers->count > 0) {
        struct timer *timer = timers->heap[0];
        if (instant_before(now, timer->deadline) || timer->order >= first_new)
            break;
        timers_stop(timers, timer);
        timer->fire(timer);
    }
    timers->is_firing = false;
}
