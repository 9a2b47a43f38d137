/* SPDX-License-Identifier: MIT
 *
 * How many sockets this engine may have in flight: the limit that all workers share, half
 * of what connection tracking has left, and a ceiling of its own that a local fault halves
 * and every returned socket lifts by one.
 *
 * It also decides who may have the next socket. A caller gets one only while it holds fewer
 * than SHARE_FIRST times as many sockets as are free; for a further attempt at a port that
 * has one open, fewer than SHARE_FURTHER times as many. (Choudhury and Hahne, "Dynamic
 * queue length thresholds in a shared-memory ATM switch", 1996.) So N callers that want all
 * sockets come to hold the same number each, and leave one in 8N + 1 free. A caller that
 * comes later, at any worker, can use these: its first ports come before any others. A
 * caller that is alone gets eight ninths of what is not in the reserve, and three quarters
 * for further attempts. The last socket is for one that holds none.
 *
 * Silent ports return their sockets late: callers that come one after the other could take
 * all before that. A sixteenth is a reserve. A caller that holds no socket and gets no
 * other borrows one from it, for one port; the port gives it back when it would need
 * a further attempt, and begins again later, as if it had not been probed. So an open port
 * is found at once, and a silent one keeps the socket for as long as an answer takes.
 *
 * The same rule holds for all callers of a network together (share_take), except for the
 * first socket of each: one site with many addresses would otherwise leave next to nothing.
 *
 * Only the number of free sockets is common to all workers, not what a caller holds: one
 * that is connected to several workers has a share at each.
 */
#include "probe/conntrack.h"
#include "probe/engine_state.h"

#define TRACK_READ_MS 250
#define SHARE_FIRST   8
#define SHARE_FURTHER 3
#define RESERVE       16 /* one in so many */

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

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t left(size_t limit, size_t used)
{
    return used < limit ? limit - used : 0;
}

static bool is_within_share(size_t held, size_t free_count, bool is_further)
{
    if (free_count == 0)
        return false;
    if (held == 0 && !is_further)
        return true;
    return held / (is_further ? SHARE_FURTHER : SHARE_FIRST) < free_count - 1;
}

/* What this engine may have beside its own. */
static size_t own_left(struct engine *engine)
{
    return left(min(engine->ceiling, track_limit(engine)), engine->in_flight);
}

static bool take(struct engine *engine, size_t *held, bool is_further, size_t reserve)
{
    struct probe_limit *limit = engine->config.limit;
    size_t own = own_left(engine);

    /* Do not count first and undo it later: other workers and the metrics would see it. */
    size_t before = atomic_load_explicit(&limit->in_flight, memory_order_relaxed);
    do {
        size_t free_count = min(own, left(limit->max - reserve, before));
        if (!is_within_share(*held, free_count, is_further))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&limit->in_flight, &before, before + 1,
                                                    memory_order_relaxed,
                                                    memory_order_relaxed));
    engine->in_flight++;
    ++*held;
    return true;
}

bool quota_take(struct engine *engine, size_t *held, bool is_further)
{
    return take(engine, held, is_further, engine->config.limit->max / RESERVE);
}

bool quota_allows(struct engine *engine, size_t held, bool is_further)
{
    const struct probe_limit *limit = engine->config.limit;
    size_t used = atomic_load_explicit(&limit->in_flight, memory_order_relaxed);
    size_t all_left = left(limit->max - limit->max / RESERVE, used);
    return is_within_share(held, min(own_left(engine), all_left), is_further);
}

bool quota_borrow(struct engine *engine, size_t *held)
{
    return *held == 0 && take(engine, held, false, 0);
}

void quota_return(struct engine *engine, size_t *held)
{
    atomic_fetch_sub_explicit(&engine->config.limit->in_flight, 1, memory_order_relaxed);
    engine->in_flight--;
    --*held;
    if (engine->ceiling < engine->config.limit->max)
        engine->ceiling++;
}

void quota_shrink(struct engine *engine)
{
    engine->ceiling = engine->in_flight > 1 ? engine->in_flight / 2 : 1;
}
