/* SPDX-License-Identifier: MIT */
#include "probe/loss.h"

#include <stdint.h>

#define HALF_NS (LOSS_SECONDS * NS_PER_SECOND / 2)

/* What still counts at `now`. */
static struct loss loss_at(const struct loss *loss, struct instant now)
{
    int64_t age = instant_since(now, loss->since).ns;
    if (age < HALF_NS)
        return *loss;
    if (age >= 2 * HALF_NS)
        return (struct loss){.since = now};
    return (struct loss){
        .since = instant_add(loss->since, (struct span){HALF_NS}),
        .trials = {0, loss->trials[0]},
        .losses = {0, loss->losses[0]},
    };
}

void loss_add(struct loss *loss, unsigned trials, unsigned losses, struct instant now)
{
    *loss = loss_at(loss, now);
    loss->trials[0] += trials;
    loss->losses[0] += losses;
}

void loss_counts(const struct loss *loss, struct instant now, unsigned *ret_trials,
                 unsigned *ret_losses)
{
    struct loss current = loss_at(loss, now);
    *ret_trials = current.trials[0] + current.trials[1];
    *ret_losses = current.losses[0] + current.losses[1];
}

double loss_rate(const struct loss *loss, struct instant now)
{
    unsigned trials, losses;
    loss_counts(loss, now, &trials, &losses);
    return (1.0 + losses) / (10.0 + trials);
}
