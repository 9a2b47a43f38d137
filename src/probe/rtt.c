/* SPDX-License-Identifier: MIT */
#include "probe/rtt.h"

#include <stdlib.h>

void rtt_add(struct rtt *rtt, struct span sample)
{
    if (!rtt->is_known) {
        rtt->is_known = true;
        rtt->smoothed = sample;
        rtt->variance.ns = sample.ns / 2;
        return;
    }
    rtt->variance.ns += (llabs(sample.ns - rtt->smoothed.ns) - rtt->variance.ns) / 4;
    rtt->smoothed.ns += (sample.ns - rtt->smoothed.ns) / 8;
}

struct span rtt_timeout(const struct rtt *rtt)
{
    int64_t margin = 4 * rtt->variance.ns;
    if (margin < 10 * NS_PER_MS)
        margin = 10 * NS_PER_MS;
    return (struct span){rtt->smoothed.ns + margin};
}
