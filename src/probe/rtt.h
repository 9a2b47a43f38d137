/* SPDX-License-Identifier: MIT
 *
 * Round-trip time to one address, smoothed as RFC 6298 does it for TCP, but with a clock
 * of nanoseconds and a floor of 10 ms under the variance term. Pure.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>

/* All zero = unknown. */
struct rtt {
    bool is_known;
    struct span smoothed;
    struct span variance;
};

void rtt_add(struct rtt *rtt, struct span sample);

/* How long to wait for an answer before it counts as late: smoothed + max(10 ms, 4 times
 * the variance). Only if the time is known. */
struct span rtt_timeout(const struct rtt *rtt);
