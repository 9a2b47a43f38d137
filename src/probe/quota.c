/* SPDX-License-Identifier: MIT
 *
 * How many sockets this engine may have in flight: the limit that all workers share, half
 * of what connection tracking has left, and a ceiling of its own that a local fault halves
 * and every returned socket lifts by one.
 */
#include "probe/conntrack.h"
#include "probe/engine_state.h"

#define TRACK_READ_MS 250

/* Half of the free entries, so that other programs on this machine keep their share. The
 * probes in flight already have theirs. */
static size_t track_limit(struct engine *engine)
{
    struct instant now = engine_now(engine);
    struct span age = instant_since(now, engine->track_read_at);
    if (engine->track_read_at.ns != 0 && age.ns < TRACK_READ_MS * NS_PER_MS)
        return engine->track_free;

    size_t free_entries, size;
    engine->track_read_at = now;
    engine->track_free = SIZE_MAX;
    if (conntrack_read(&free_entries, &size))
        engine->track_free = engine->in_flight + free_entries / 2;
    return engine->track_free;
}

static size_t usable(size_t limit, bool is_extra)
{
    return is_extra ? limit - limit / 4 : limit;
}

bool quota_take(struct engine *engine, bool is_extra)
{
    struct probe_limit *limit = engine->config.limit;
    if (engine->in_flight >= usable(engine->ceiling, is_extra) ||
        engine->in_flight >= usable(track_limit(engine), is_extra))
        return false;

    /* Do not count first and undo it later: other workers and the metrics would see it. */
    size_t before = atomic_load_explicit(&limit->in_flight, memory_order_relaxed);
    do {
        if (before >= usable(limit->max, is_extra))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&limit->in_flight, &before, before + 1,
                                                    memory_order_relaxed,
                                                    memory_order_relaxed));
    engine->in_flight++;
    return true;
}

void quota_return(struct engine *engine)
{
    atomic_fetch_sub_explicit(&engine->config.limit->in_flight, 1, memory_order_relaxed);
    engine->in_flight--;
    if (engine->ceiling < engine->config.limit->max)
        engine->ceiling++;
}

void quota_shrink(struct engine *engine)
{
    engine->ceiling = engine->in_flight > 1 ? engine->in_flight / 2 : 1;
}
