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

#define WATCH_LOOKS_MAX 5 /* in a row that show a different state each time */

enum watch_step {
    WATCH_FIRST,    /* the first report */
    WATCH_SAME,     /* no change */
    WATCH_SUSPECT,  /* a change, seen once: check again soon */
    WATCH_CHANGED,  /* a change, seen twice in a row: it counts */
    WATCH_RESTLESS, /* results keep changing: wait for the next round */
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
