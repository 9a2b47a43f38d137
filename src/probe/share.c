/* SPDX-License-Identifier: MIT
 *
 * Callers: which jobs of each have something to start, whose turn it is, and which callers
 * wait until quota.c allows them a socket. A caller is known while it has a job.
 *
 * The first port of a caller whose network holds no socket comes before the ports of all
 * others: with a thousand callers, a turn of each takes a while.
 */
#include "base/container.h"
#include "probe/engine_state.h"

#include <stdlib.h>

static struct address_key key_of(const struct address *caller)
{
    return caller ? address_key_caller(caller) : (struct address_key){0};
}

/* Finds or adds it. NULL without memory. */
static struct share_network *network_get(struct engine *engine,
                                         const struct address *caller)
{
    struct address_key key = caller ? address_key_network(caller) : (struct address_key){0};
    key.words[ADDRESS_KEY_WORDS - 1] += ADDRESS_KEY_KIND;
    struct address_entry *entry = address_table_find(&engine->callers, &key);
    struct share_network *network = entry ? CONTAINER_OF(entry, struct share_network, entry)
                                          : calloc(1, sizeof *network);
    if (!entry && network && !address_table_add(&engine->callers, &key, &network->entry)) {
        free(network);
        return NULL;
    }
    if (network)
        network->shares++;
    return network;
}

static void network_put(struct engine *engine, struct share_network *network)
{
    if (!network || --network->shares > 0)
        return;
    address_table_remove(&engine->callers, &network->entry);
    free(network);
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
    struct share_network *network = share ? network_get(engine, caller) : NULL;
    if (!network || !address_table_add(&engine->callers, &key, &share->entry)) {
        network_put(engine, network);
        free(share);
        return NULL;
    }
    share->network = network;
    share->jobs = 1;
    TAILQ_INIT(&share->running);
    return share;
}

void share_put(struct engine *engine, struct share *share)
{
    if (--share->jobs > 0)
        return;
    address_table_remove(&engine->callers, &share->entry);
    network_put(engine, share->network);
    free(share);
}

/* --- turns ---------------------------------------------------------------------------- */

/* Behind those that are in this queue; NULL = in none from now on. */
static void move(struct share *share, struct share_queue *queue)
{
    if (share->queue)
        TAILQ_REMOVE(share->queue, share, link);
    if (queue)
        TAILQ_INSERT_TAIL(queue, share, link);
    share->queue = queue;
}

static struct share_queue *queue_for(struct engine *engine, const struct share *share)
{
    return share->network->held > 0 ? &engine->shares : &engine->first_shares;
}

void share_begin(struct engine *engine, struct share *share)
{
    move(share, queue_for(engine, share));
}

void share_end(struct share *share)
{
    move(share, NULL);
}

struct share *share_next(struct engine *engine)
{
    struct share *share;
    while ((share = TAILQ_FIRST(&engine->first_shares)) && share->network->held > 0)
        move(share, &engine->shares);
    return share ? share : TAILQ_FIRST(&engine->shares);
}

void share_rotate(struct engine *engine, struct share *share)
{
    move(share, &engine->shares);
}

void share_fall_short(struct engine *engine, struct share *share)
{
    move(share, &engine->short_shares);
    share->short_at = engine_now(engine);
}

void shares_retry(struct engine *engine)
{
    struct share *share;
    while ((share = TAILQ_FIRST(&engine->short_shares)))
        move(share, queue_for(engine, share));
}

/* --- sockets -------------------------------------------------------------------------- */

static bool note_taken(struct share *share, bool is_taken)
{
    if (is_taken)
        share->network->held++;
    return is_taken;
}

bool share_take(struct engine *engine, struct share *share, bool is_further)
{
    size_t all = share->network->held;
    if (share->held > 0 && all > share->held && !quota_allows(engine, all, is_further))
        return false;
    return note_taken(share, quota_take(engine, &share->held, is_further));
}

bool share_borrow(struct engine *engine, struct share *share)
{
    return note_taken(share, quota_borrow(engine, &share->held));
}

void share_return(struct engine *engine, struct share *share)
{
    share->network->held--;
    quota_return(engine, &share->held);
}

bool share_is_short(const struct engine *engine, const struct share *share)
{
    return share->queue == &engine->short_shares;
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
