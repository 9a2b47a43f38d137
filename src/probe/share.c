/* SPDX-License-Identifier: MIT
 *
 * Callers: which jobs of each have something to start, whose turn it is, and which callers
 * wait until quota.c allows them a socket. A caller is known while it has a job.
 */
#include "base/container.h"
#include "probe/engine_state.h"

#include <stdlib.h>

static struct address_key key_of(const struct address *caller)
{
    return caller ? address_key_caller(caller) : (struct address_key){0};
}

struct share *share_get(struct engine *engine, const struct address *caller)
{
    struct address_key key = key_of(caller);
    struct address_entry *entry = address_table_find(&engine->callers, &key);
    if (entry) {
        struct share *known = CONTAINER_OF(entry, struct share, entry);
        known->jobs++;
        return known;
    }

    struct share *share = calloc(1, sizeof *share);
    if (!share || !address_table_add(&engine->callers, &key, &share->entry)) {
        free(share);
        return NULL;
    }
    share->jobs = 1;
    TAILQ_INIT(&share->running);
    return share;
}

void share_put(struct engine *engine, struct share *share)
{
    if (--share->jobs > 0)
        return;
    address_table_remove(&engine->callers, &share->entry);
    free(share);
}

static struct share_queue *queue_of(struct engine *engine, const struct share *share)
{
    return share->is_short ? &engine->short_shares : &engine->shares;
}

void share_begin(struct engine *engine, struct share *share)
{
    TAILQ_INSERT_TAIL(&engine->shares, share, link);
}

void share_end(struct engine *engine, struct share *share)
{
    TAILQ_REMOVE(queue_of(engine, share), share, link);
    share->is_short = false;
}

void share_rotate(struct engine *engine, struct share *share)
{
    TAILQ_REMOVE(&engine->shares, share, link);
    TAILQ_INSERT_TAIL(&engine->shares, share, link);
}

void share_fall_short(struct engine *engine, struct share *share)
{
    TAILQ_REMOVE(&engine->shares, share, link);
    TAILQ_INSERT_TAIL(&engine->short_shares, share, link);
    share->is_short = true;
    share->short_at = engine_now(engine);
}

static bool is_recent(const struct engine *engine, struct instant at)
{
    return at.ns != 0 &&
           instant_since(engine_now(engine), at).ns < engine->config.timeout.ns;
}

bool share_was_short(const struct engine *engine, const struct share *share)
{
    return is_recent(engine, share->short_at);
}

void share_gave_back(struct engine *engine, struct share *share)
{
    share->loan_at = engine_now(engine);
}

bool share_may_borrow(const struct engine *engine, const struct share *share)
{
    return !is_recent(engine, share->loan_at);
}

void shares_retry(struct engine *engine)
{
    struct share *share;
    TAILQ_FOREACH(share, &engine->short_shares, link)
        share->is_short = false;
    TAILQ_CONCAT(&engine->shares, &engine->short_shares, link);
}
