/* SPDX-License-Identifier: MIT
 *
 * What a further round means for the state that is known. Pure. A change counts only when
 * it has been seen twice; rounds in which no checker answered say nothing.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

struct report;

#define WATCH_LOOKS_MAX 5 /* in a row at something that is never twice the same */

enum watch_step {
    WATCH_FIRST,    /* this is the first state there is */
    WATCH_SAME,     /* nothing new */
    WATCH_SUSPECT,  /* look again soon */
    WATCH_CHANGED,  /* seen twice: it counts */
    WATCH_RESTLESS, /* looked often enough: wait for the next round */
};

struct watch {
    struct report *firm;      /* owned; the last state that counts, or NULL */
    struct report *candidate; /* owned; differs from it and was seen once, or NULL */
    unsigned looks;           /* at candidates, in a row */
};

/* Takes the report. With WATCH_FIRST, _SAME and _CHANGED `firm` is the newest afterwards,
 * where a family that no checker answered for keeps what was known of it. */
enum watch_step watch_take(struct watch *watch, struct report *report);

void watch_done(struct watch *watch);

/* From one round to the next: `interval`, a tenth more or less, so that many that were
 * started at once do not ask at once. `random` is any number. */
struct span watch_pause(struct span interval, uint32_t random);
