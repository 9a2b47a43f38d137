/* SPDX-License-Identifier: MIT
 *
 * Time with a type. An instant is a point on CLOCK_MONOTONIC, a span is a length of
 * time; both count nanoseconds, so that adding a point to a point does not compile.
 * Pure code gets `now` as an argument; code with effects asks its loop; no code stores
 * `now`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_MS     INT64_C(1000000)
#define NS_PER_SECOND INT64_C(1000000000)

struct instant {
    int64_t ns;
};

struct span {
    int64_t ns;
};

/* Reads CLOCK_MONOTONIC. */
struct instant clock_now(void);

/* Milliseconds since 1970, for what other machines read. It may jump. */
int64_t clock_unix_ms(void);

static inline struct span span_ms(int64_t ms)
{
    return (struct span){ms * NS_PER_MS};
}

static inline struct span span_seconds(int64_t seconds)
{
    return (struct span){seconds * NS_PER_SECOND};
}

static inline double span_to_ms(struct span s)
{
    return (double)s.ns / (double)NS_PER_MS;
}

static inline double span_to_seconds(struct span s)
{
    return (double)s.ns / (double)NS_PER_SECOND;
}

static inline struct instant instant_add(struct instant t, struct span s)
{
    return (struct instant){t.ns + s.ns};
}

static inline struct instant instant_back(struct instant t, struct span s)
{
    return (struct instant){t.ns - s.ns};
}

/* From `earlier` to `later`; negative if `later` is in fact earlier. */
static inline struct span instant_since(struct instant later, struct instant earlier)
{
    return (struct span){later.ns - earlier.ns};
}

static inline bool instant_before(struct instant a, struct instant b)
{
    return a.ns < b.ns;
}

static inline struct timespec instant_timespec(struct instant t)
{
    return (struct timespec){.tv_sec = t.ns / NS_PER_SECOND,
                             .tv_nsec = t.ns % NS_PER_SECOND};
}

static inline struct instant instant_min(struct instant a, struct instant b)
{
    return a.ns < b.ns ? a : b;
}
