/* SPDX-License-Identifier: MIT
 *
 * How many of our SYNs go unanswered although the port answers: of one address, or of all.
 * Pure. Counted over the last 30 to 60 seconds, in two halves of LOSS_SECONDS / 2.
 */
#pragma once

#include "base/clock.h"

#define LOSS_SECONDS 60

/* All zero = unknown. */
struct loss {
    struct instant since; /* when the newer half began */
    unsigned trials[2];   /* SYNs; the newer half first */
    unsigned losses[2];   /* those of them that were not answered */
};

/* A port answered: `trials` SYNs were sent to it, the answer was to the last of them or to
 * another one; `losses` of them had no answer. */
void loss_add(struct loss *loss, unsigned trials, unsigned losses, struct instant now);

/* What counts at `now`. */
void loss_counts(const struct loss *loss, struct instant now, unsigned *ret_trials,
                 unsigned *ret_losses);

/* The share of SYNs that go unanswered, (1 + losses) / (10 + trials): 0.1 while
 * unknown. */
double loss_rate(const struct loss *loss, struct instant now);
