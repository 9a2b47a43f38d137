/* SPDX-License-Identifier: MIT
 *
 * How fast an address may be probed that has stopped answering: the SYNs a second that it
 * seems to bear. Pure.
 *
 * It starts at PACE_FIRST. Each answered control raises the rate: by half until a control
 * has been missed, then slowly, and hardly near the rate at which that happened. A missed
 * control lowers it. When nothing answers for PACE_PATIENCE_MS, only controls leave, 1, 2,
 * 4 and then 8 seconds apart: to go on asking would prolong a ban.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>

#define PACE_FIRST       10.0 /* SYNs a second */
#define PACE_MIN         2.0
#define PACE_FREE        100.0 /* from here on the address has no limit that matters here */
#define PACE_MISSES      3     /* controls in a row, with no answer between them ... */
#define PACE_PATIENCE_MS 2500  /* ... for so long */
#define PACE_BACKOFF_S   8

struct pace {
    double rate;
    double known; /* the rate at which a control was missed last; 0 = none was */
    unsigned misses;
    unsigned backoff; /* seconds; 0 = none */
};

struct pace pace_begin(void);

/* Something was answered; `is_raise`: something that allows a higher rate. */
void pace_answered(struct pace *pace, bool is_raise);

/* A control was missed; nothing has answered for `silence`. */
void pace_missed(struct pace *pace, struct span silence);

/* Only controls may leave. */
bool pace_is_waiting(const struct pace *pace);

/* From one SYN to the next. */
struct span pace_gap(const struct pace *pace);

bool pace_is_free(const struct pace *pace);
