/* SPDX-License-Identifier: MIT */
#include "probe/pace.h"

#define RAISE_FAST 0.5 /* of the rate, while no limit is known */
#define RAISE_SLOW 0.3 /* SYNs a second */
#define RAISE_NEAR 0.02
#define NEAR       0.8 /* of the rate at which a control was missed */
#define LOWER      0.7

struct pace pace_begin(void)
{
    return (struct pace){.rate = PACE_FIRST};
}

void pace_answered(struct pace *pace, bool is_raise)
{
    pace->misses = 0;
    pace->backoff = 0;
    bool is_fast = pace->known == 0 || pace->rate < pace->known * LOWER * LOWER;
    bool is_near = pace->rate > pace->known * NEAR;
    double raise = is_fast ? pace->rate * RAISE_FAST : is_near ? RAISE_NEAR : RAISE_SLOW;
    pace->rate += is_raise ? raise : 0;
}

void pace_missed(struct pace *pace, struct span silence)
{
    pace->known = pace->rate;
    pace->rate *= LOWER;
    if (pace->rate < PACE_MIN)
        pace->rate = PACE_MIN;

    if (++pace->misses < PACE_MISSES || silence.ns < PACE_PATIENCE_MS * NS_PER_MS)
        return;
    unsigned doubled = pace->backoff == 0 ? 1 : 2 * pace->backoff;
    pace->backoff = doubled > PACE_BACKOFF_S ? PACE_BACKOFF_S : doubled;
}

bool pace_is_waiting(const struct pace *pace)
{
    return pace->backoff > 0;
}

struct span pace_gap(const struct pace *pace)
{
    if (pace->backoff > 0)
        return span_seconds(pace->backoff);
    return (struct span){(int64_t)((double)NS_PER_SECOND / pace->rate)};
}

bool pace_is_free(const struct pace *pace)
{
    return pace->rate >= PACE_FREE;
}
