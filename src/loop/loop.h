/* SPDX-License-Identifier: MIT
 *
 * One thread's event loop: epoll, timers, and work at the end of each turn.
 *
 * A turn: wait for events; handle at most LOOP_EVENTS_MAX of them; fire the timers that
 * are due; run the turn-end functions in the order in which they were added. Events come
 * before timers, so an answer that has arrived beats a deadline that passed while this
 * thread was not running. For that, events are fetched once more after a wait that brought
 * none or ended late.
 *
 * A watch is named by slot and generation, never by a pointer: an event that was already
 * fetched when its watch was dropped is ignored, even if the descriptor and the slot have
 * been reused within the same turn.
 *
 * Everything here belongs to the thread that runs the loop, except loop_wake().
 */
#pragma once

#include "base/clock.h"
#include "loop/timers.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#define LOOP_EVENTS_MAX 512

struct err;
struct loop;

/* {0, 0} names no watch. */
struct loop_watch {
    uint32_t slot;
    uint32_t generation;
};

typedef void(loop_event_fn)(void *ctx, uint32_t events);

/* Returns whether there is more work to do now; if so, the next turn does not wait. */
typedef bool(loop_turn_fn)(void *ctx);

bool loop_new(struct loop **ret, struct err *err);
struct loop *loop_free(struct loop *loop);

/* Runs turns until loop_stop(). ERR_SYSTEM when epoll itself fails. */
bool loop_run(struct loop *loop, struct err *err);
void loop_stop(struct loop *loop);

/* From any thread or signal handler: the loop begins another turn soon. */
void loop_wake(struct loop *loop);

/* Keeps the next turn from waiting. For work that appears after its turn-end function
 * ran. */
void loop_again(struct loop *loop);

/* When this turn's events were fetched. */
struct instant loop_now(const struct loop *loop);

/* Time in which this thread should have run but did not (stopped, starved, or busy for
 * longer than 50 ms in one turn), added up since the start. Owners of deadlines that
 * measure the silence of a peer subtract it. To notice a stop during a wait, the loop wakes
 * ten times per second while loop_watch_stalls() is on. */
struct span loop_stalled(const struct loop *loop);
void loop_watch_stalls(struct loop *loop, bool is_on);

/* Watches `fd` for `events` (EPOLLIN, EPOLLET ...). The descriptor stays the caller's.
 * ERR_SYSTEM without memory or at the kernel's limit of watches. */
bool loop_watch_add(struct loop *loop, int fd, uint32_t events, loop_event_fn *fn,
                    void *ctx, struct loop_watch *ret, struct err *err);
bool loop_watch_change(struct loop *loop, int fd, struct loop_watch watch, uint32_t events,
                       struct err *err);

/* Ends the watch and clears *watch; does nothing if it names no watch. Pass -1 as `fd` if
 * the caller closes the descriptor next, which also ends the kernel's part. */
void loop_watch_drop(struct loop *loop, int fd, struct loop_watch *watch);

/* Timers on this loop's clock; loop_timer_in() counts from loop_now(). False without
 * memory; the timer is then not set. */
bool loop_timer_set(struct loop *loop, struct timer *timer, struct instant deadline);
bool loop_timer_in(struct loop *loop, struct timer *timer, struct span span);
void loop_timer_stop(struct loop *loop, struct timer *timer);

/* At most LOOP_TURN_FNS_MAX of them. Do not end one from within a turn-end function. */
#define LOOP_TURN_FNS_MAX 8
void loop_each_turn(struct loop *loop, loop_turn_fn *fn, void *ctx);
void loop_each_turn_end(struct loop *loop, loop_turn_fn *fn, void *ctx);
