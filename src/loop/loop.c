/* SPDX-License-Identifier: MIT
 *
 * Owns the epoll descriptor, the eventfd behind loop_wake() and the table of watches.
 */
#include "loop/loop.h"

#include "base/err.h"
#include "base/fd.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STALL_NS       (50 * NS_PER_MS)  /* a longer gap is time that we missed */
#define STALL_WATCH_NS (100 * NS_PER_MS) /* the longest wait while stalls are watched */
#define NO_SLOT        UINT32_MAX
#define FIRST_SLOTS    64

struct watch_slot {
    loop_event_fn *fn; /* NULL = free */
    void *ctx;
    uint32_t generation; /* of the watch that is, or will next be, in this slot; never 0 */
    uint32_t next_free;
};

struct loop {
    int epoll_fd;
    int wake_fd;
    struct loop_watch wake_watch;
    atomic_bool is_stopped;
    bool has_more; /* the next turn does not wait */

    struct instant now;
    struct span stalled;
    unsigned stall_watchers;

    struct timers timers;
    struct watch_slot *slots; /* owned */
    uint32_t slot_count;
    uint32_t free_slot;

    struct {
        loop_turn_fn *fn;
        void *ctx;
    } turn_fns[LOOP_TURN_FNS_MAX];
    unsigned turn_fn_count;

    struct epoll_event events[LOOP_EVENTS_MAX];
};

/* --- watches ------------------------------------------------------------------------ */

static uint64_t watch_pack(struct loop_watch watch)
{
    return (uint64_t)watch.generation << 32 | watch.slot;
}

static struct loop_watch watch_unpack(uint64_t data)
{
    return (struct loop_watch){.slot = (uint32_t)data,
                               .generation = (uint32_t)(data >> 32)};
}

static bool slots_grow(struct loop *loop)
{
    uint32_t count = loop->slot_count ? loop->slot_count * 2 : FIRST_SLOTS;
    struct watch_slot *slots = reallocarray(loop->slots, count, sizeof *slots);
    if (!slots)
        return false;

    for (uint32_t i = loop->slot_count; i < count; i++)
        slots[i] = (struct watch_slot){
            .generation = 1,
            .next_free = i + 1 < count ? i + 1 : NO_SLOT,
        };
    loop->free_slot = loop->slot_count;
    loop->slots = slots;
    loop->slot_count = count;
    return true;
}

static struct watch_slot *slot_find(struct loop *loop, struct loop_watch watch)
{
    if (watch.slot >= loop->slot_count)
        return NULL;

    struct watch_slot *slot = &loop->slots[watch.slot];
    return slot->fn && slot->generation == watch.generation ? slot : NULL;
}

static void slot_free(struct loop *loop, struct loop_watch watch)
{
    struct watch_slot *slot = &loop->slots[watch.slot];
    slot->fn = NULL;
    slot->generation = slot->generation == UINT32_MAX ? 1 : slot->generation + 1;
    slot->next_free = loop->free_slot;
    loop->free_slot = watch.slot;
}

bool loop_watch_add(struct loop *loop, int fd, uint32_t events, loop_event_fn *fn,
                    void *ctx, struct loop_watch *ret, struct err *err)
{
    if (loop->free_slot == NO_SLOT && !slots_grow(loop))
        return err_sys(err, ENOMEM, "watching a descriptor");

    struct watch_slot *slot = &loop->slots[loop->free_slot];
    struct loop_watch watch = {.slot = loop->free_slot, .generation = slot->generation};
    struct epoll_event event = {.events = events, .data.u64 = watch_pack(watch)};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return err_sys(err, errno, "epoll_ctl");

    loop->free_slot = slot->next_free;
    slot->fn = fn;
    slot->ctx = ctx;
    *ret = watch;
    return true;
}

bool loop_watch_change(struct loop *loop, int fd, struct loop_watch watch, uint32_t events,
                       struct err *err)
{
    assert(slot_find(loop, watch));
    struct epoll_event event = {.events = events, .data.u64 = watch_pack(watch)};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event) != 0)
        return err_sys(err, errno, "epoll_ctl");
    return true;
}

void loop_watch_drop(struct loop *loop, int fd, struct loop_watch *watch)
{
    if (!slot_find(loop, *watch))
        return;

    if (fd >= 0)
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    slot_free(loop, *watch);
    *watch = (struct loop_watch){0};
}

/* --- timers and turns --------------------------------------------------------------- */

bool loop_timer_set(struct loop *loop, struct timer *timer, struct instant deadline)
{
    if (!timer_is_set(timer) && !timers_reserve(&loop->timers, loop->timers.count + 1))
        return false;

    timers_set(&loop->timers, timer, deadline);
    return true;
}

bool loop_timer_in(struct loop *loop, struct timer *timer, struct span span)
{
    return loop_timer_set(loop, timer, instant_add(loop_now(loop), span));
}

void loop_timer_stop(struct loop *loop, struct timer *timer)
{
    timers_stop(&loop->timers, timer);
}

void loop_each_turn(struct loop *loop, loop_turn_fn *fn, void *ctx)
{
    assert(loop->turn_fn_count < LOOP_TURN_FNS_MAX);
    loop->turn_fns[loop->turn_fn_count].fn = fn;
    loop->turn_fns[loop->turn_fn_count].ctx = ctx;
    loop->turn_fn_count++;
}

void loop_each_turn_end(struct loop *loop, loop_turn_fn *fn, void *ctx)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < loop->turn_fn_count; i++)
        if (loop->turn_fns[i].fn != fn || loop->turn_fns[i].ctx != ctx)
            loop->turn_fns[kept++] = loop->turn_fns[i];
    loop->turn_fn_count = kept;
}

struct instant loop_now(const struct loop *loop)
{
    return loop->now;
}

struct span loop_stalled(const struct loop *loop)
{
    return loop->stalled;
}

void loop_watch_stalls(struct loop *loop, bool is_on)
{
    assert(is_on || loop->stall_watchers > 0);
    loop->stall_watchers += is_on ? 1 : -1U;
}

/* How long epoll may wait, starting at `now`: nanoseconds, negative = forever. */
static int64_t wait_limit(const struct loop *loop, struct instant now)
{
    if (loop->has_more)
        return 0;

    int64_t limit = loop->stall_watchers > 0 ? STALL_WATCH_NS : -1;
    struct instant deadline;
    if (timers_next(&loop->timers, &deadline)) {
        int64_t until = instant_since(deadline, now).ns;
        if (until < 0)
            until = 0;
        if (limit < 0 || until < limit)
            limit = until;
    }
    return limit;
}

/* Rounded up, so that no timer fires early. */
static int wait_ms(int64_t limit_ns)
{
    if (limit_ns < 0)
        return -1;

    int64_t ms = (limit_ns + NS_PER_MS - 1) / NS_PER_MS;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* Adds to `stalled` the time that the last turn's work and this wait took beyond what was
 * expected. Returns whether the wait was late; one without a limit cannot be. */
static bool account_stall(struct loop *loop, struct instant before, struct instant after,
                          int64_t limit_ns)
{
    int64_t work = instant_since(before, loop->now).ns;
    if (work > STALL_NS)
        loop->stalled.ns += work;

    int64_t late = limit_ns < 0 ? 0 : instant_since(after, before).ns - limit_ns;
    if (late > STALL_NS)
        loop->stalled.ns += late;
    return late > STALL_NS;
}

static void handle_events(struct loop *loop, int count)
{
    for (int i = 0; i < count; i++) {
        struct loop_watch watch = watch_unpack(loop->events[i].data.u64);
        struct watch_slot *slot = slot_find(loop, watch);
        if (slot)
            slot->fn(slot->ctx, loop->events[i].events);
    }
}

static void end_turn(struct loop *loop)
{
    for (unsigned i = 0; i < loop->turn_fn_count; i++)
        if (loop->turn_fns[i].fn(loop->turn_fns[i].ctx))
            loop->has_more = true;
}

bool loop_run(struct loop *loop, struct err *err)
{
    loop->has_more = true;
    loop->now = clock_now();

    while (!atomic_load_explicit(&loop->is_stopped, memory_order_relaxed)) {
        struct instant before = clock_now();
        int64_t limit = wait_limit(loop, before);
        int count =
            epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS_MAX, wait_ms(limit));
        if (count < 0 && errno != EINTR)
            return err_sys(err, errno, "epoll_wait");

        struct instant after = clock_now();
        bool is_late = account_stall(loop, before, after, limit);
        loop->now = after;
        loop->has_more = false;
        handle_events(loop, count);
        /* SIGSTOP and a suspended machine end the wait without its events. */
        if (count <= 0 || is_late)
            handle_events(loop,
                          epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS_MAX, 0));
        timers_fire(&loop->timers, after);
        end_turn(loop);
    }
    return true;
}

void loop_again(struct loop *loop)
{
    loop->has_more = true;
}

void loop_stop(struct loop *loop)
{
    atomic_store_explicit(&loop->is_stopped, true, memory_order_relaxed);
}

/* --- life --------------------------------------------------------------------------- */

void loop_wake(struct loop *loop)
{
    uint64_t one = 1;
    ssize_t written = write(loop->wake_fd, &one, sizeof one);
    (void)written; /* a full counter means that a wake-up is already pending */
}

static void wake_drain(void *ctx, uint32_t events)
{
    struct loop *loop = ctx;
    uint64_t count;
    (void)events;
    ssize_t got = read(loop->wake_fd, &count, sizeof count);
    (void)got;
}

bool loop_new(struct loop **ret, struct err *err)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return err_sys(err, ENOMEM, "event loop");

    loop->free_slot = NO_SLOT;
    loop->now = clock_now();
    timers_init(&loop->timers);
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0 || loop->wake_fd < 0) {
        err_sys(err, errno, "event loop");
        loop_free(loop);
        return false;
    }
    if (!loop_watch_add(loop, loop->wake_fd, EPOLLIN, wake_drain, loop, &loop->wake_watch,
                        err)) {
        loop_free(loop);
        return false;
    }
    *ret = loop;
    return true;
}

struct loop *loop_free(struct loop *loop)
{
    if (!loop)
        return NULL;

    timers_done(&loop->timers);
    fd_close(&loop->wake_fd);
    fd_close(&loop->epoll_fd);
    free(loop->slots);
    free(loop);
    return NULL;
}
