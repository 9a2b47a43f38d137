/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <time.h>

struct instant clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (struct instant){(int64_t)ts.tv_sec * NS_PER_SECOND + ts.tv_nsec};
}

int64_t clock_unix_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
