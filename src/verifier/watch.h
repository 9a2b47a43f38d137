/* SPDX-License-Identifier: MIT
 *
 * Whether the report of a new round is a change. Pure. A change counts if two rounds in a
 * row show it; a round that no checker answered changes nothing.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

struct report;

#define WATCH_LOOKS_MAX 5 /* rounds in a row whose reports all differ */

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

/* Takes the report. After WATCH_FIRST, _SAME and _CHANGED it is `firm`; for a family that
 * no checker answered for, `firm` keeps the earlier report. */
enum watch_step watch_take(struct watch *watch, struct report *report);

void watch_done(struct watch *watch);

/* The pause between two rounds: `interval`, varied by up to a tenth, so that verifiers that
 * were started together do not ask together. `random` is any number. */
struct span watch_pause(struct span interval, uint32_t random);
