/* SPDX-License-Identifier: MIT */
#include "policy/budget.h"

#include "base/container.h"
#include "base/err.h"
#include "net/address_table.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

/* Every call inserts at most two buckets, so dropping more than two keeps up; the bound
 * keeps a call short even after a flood. */
#define DROPS_PER_CALL  8
#define NEEDED_PER_TAKE 2

/* How far ahead a bucket may be full at most, in bursts: in debt, that is. */
#define DEBT_BURSTS     (1 + BUDGET_SILENT_PORT)

/* Indices are 32 bits wide, and 0 means "none". */
#define ENTRIES_LIMIT   (UINT32_MAX / 4)

enum kind {
    KIND_CALLER,
    KIND_TARGET,
    KIND_COUNT,
};

/* A token bucket, stored as the time when it will be full again: a port moves that time
 * `cost` nanoseconds into the future, and a full bucket has it in the past. So refilling
 * needs no arithmetic and no rounding, and untouched buckets need no work. */
struct bucket {
    struct address_entry entry;
    uint32_t place;  /* in the heap; for a free bucket, the next free one */
    int64_t full_at; /* struct instant */
};

struct budget {
    pthread_mutex_t mutex;
    bool is_unlimited;
    int64_t cost; /* nanoseconds in which one port comes back */
    size_t burst;

    struct address_table table; /* of the buckets in use */
    struct bucket *buckets;     /* owned; 1..max, 0 is not used */
    uint32_t max;
    uint32_t used_max; /* buckets above were never used, and their memory never touched */
    uint32_t free;     /* the first free bucket among those that were used */

    uint32_t *heap; /* owned; 1..count, the first is the next to be full */
    uint32_t count;

    struct bucket shared[KIND_COUNT];
};

/* ---- making ------------------------------------------------------------------------- */

/* The price of a port, chosen so that a whole burst cannot overflow the clock. */
static int64_t cost_of_port(double per_second, size_t burst)
{
    double cost_max =
        (double)(INT64_MAX / (DEBT_BURSTS + BUDGET_PLACES_MAX) / 2) / (double)burst;
    double cost = (double)NS_PER_SECOND / per_second + 0.5;
    if (cost < 1)
        return 1;
    return (int64_t)(cost < cost_max ? cost : cost_max);
}

static bool budget_allocate(struct budget *budget, size_t entries_max, struct err *err)
{
    budget->max = (uint32_t)entries_max;
    budget->buckets = calloc(entries_max + 1, sizeof *budget->buckets);
    budget->heap = calloc(entries_max + 1, sizeof *budget->heap);
    if (!budget->buckets || !budget->heap)
        return err_sys(err, ENOMEM, "a table of %zu budgets", entries_max);

    return address_table_init(&budget->table, entries_max, err);
}

bool budget_new(double per_second, size_t burst, size_t entries_max, struct budget **ret,
                struct err *err)
{
    if (!isfinite(per_second) || per_second < 0)
        return err_set(err, ERR_INVALID, "a rate is a number of ports, 0 or more");

    bool is_unlimited = per_second <= 0;
    if (!is_unlimited && (burst == 0 || entries_max < NEEDED_PER_TAKE ||
                          entries_max > ENTRIES_LIMIT || burst > UINT32_MAX))
        return err_set(err, ERR_INVALID, "a budget of %zu ports for %zu addresses", burst,
                       entries_max);

    struct budget *budget = calloc(1, sizeof *budget);
    if (!budget)
        return err_sys(err, ENOMEM, "a budget");

    int errnum = pthread_mutex_init(&budget->mutex, NULL);
    assert(errnum == 0);
    budget->is_unlimited = is_unlimited;
    if (!is_unlimited) {
        budget->burst = burst;
        budget->cost = cost_of_port(per_second, burst);
        if (!budget_allocate(budget, entries_max, err)) {
            budget_free(budget);
            return false;
        }
    }
    *ret = budget;
    return true;
}

struct budget *budget_free(struct budget *budget)
{
    if (!budget)
        return NULL;

    pthread_mutex_destroy(&budget->mutex);
    address_table_done(&budget->table);
    free(budget->buckets);
    free(budget->heap);
    free(budget);
    return NULL;
}

static void budget_lock(struct budget *budget)
{
    int errnum = pthread_mutex_lock(&budget->mutex);
    assert(errnum == 0);
}

static void budget_unlock(struct budget *budget)
{
    int errnum = pthread_mutex_unlock(&budget->mutex);
    assert(errnum == 0);
}

/* ---- the heap: which bucket is full the soonest ------------------------------------- */

static int64_t heap_key(const struct budget *budget, uint32_t place)
{
    return budget->buckets[budget->heap[place]].full_at;
}

static void heap_put(struct budget *budget, uint32_t place, uint32_t index)
{
    budget->heap[place] = index;
    budget->buckets[index].place = place;
}

static void heap_swap(struct budget *budget, uint32_t a, uint32_t b)
{
    uint32_t index = budget->heap[a];
    heap_put(budget, a, budget->heap[b]);
    heap_put(budget, b, index);
}

/* Moves the bucket at `place` to where its full_at belongs. */
static void heap_sift(struct budget *budget, uint32_t place)
{
    while (place > 1 && heap_key(budget, place) < heap_key(budget, place / 2)) {
        heap_swap(budget, place, place / 2);
        place /= 2;
    }
    for (;;) {
        uint32_t least = place;
        for (uint32_t child = 2 * place; child <= 2 * place + 1; child++) {
            if (child <= budget->count && heap_key(budget, child) < heap_key(budget, least))
                least = child;
        }
        if (least == place)
            return;
        heap_swap(budget, place, least);
        place = least;
    }
}

static void heap_remove(struct budget *budget, uint32_t place)
{
    uint32_t last = budget->count--;
    if (place == last)
        return;

    heap_put(budget, place, budget->heap[last]);
    heap_sift(budget, place);
}

/* ---- the table ---------------------------------------------------------------------- */

static struct address_key key_of(enum kind kind, const struct address *address)
{
    struct address_key key = address_key_caller(address);
    key.words[ADDRESS_KEY_WORDS - 1] += (uint32_t)kind * ADDRESS_KEY_KIND;
    return key;
}

static struct bucket *bucket_find(const struct budget *budget,
                                  const struct address_key *key)
{
    struct address_entry *entry = address_table_find(&budget->table, key);
    return entry ? CONTAINER_OF(entry, struct bucket, entry) : NULL;
}

/* Returns a full bucket, or NULL when all places are taken. It stays at the end of the heap
 * until the caller has charged and updated it: a full bucket would rise to the top and sink
 * again. */
static struct bucket *bucket_add(struct budget *budget, const struct address_key *key,
                                 struct instant now)
{
    uint32_t index = budget->free != 0 ? budget->free : budget->used_max + 1;
    if (index > budget->max)
        return NULL;

    struct bucket *bucket = &budget->buckets[index];
    if (!address_table_add(&budget->table, key, &bucket->entry))
        return NULL;
    if (index == budget->free)
        budget->free = bucket->place;
    else
        budget->used_max = index;

    bucket->full_at = now.ns;
    heap_put(budget, ++budget->count, index);
    return bucket;
}

static void bucket_drop(struct budget *budget, struct bucket *bucket)
{
    address_table_remove(&budget->table, &bucket->entry);
    heap_remove(budget, bucket->place);
    bucket->place = budget->free;
    budget->free = (uint32_t)(bucket - budget->buckets);
}

static bool is_full(const struct bucket *bucket, struct instant now)
{
    return bucket->full_at <= now.ns;
}

/* Forgets buckets that have refilled. */
static void drop_refilled(struct budget *budget, struct instant now)
{
    for (int i = 0; i < DROPS_PER_CALL && budget->count > 0; i++) {
        struct bucket *first = &budget->buckets[budget->heap[1]];
        if (!is_full(first, now))
            return;
        bucket_drop(budget, first);
    }
}

static struct bucket *bucket_for(struct budget *budget, enum kind kind,
                                 const struct address *address, struct instant now)
{
    struct address_key key = key_of(kind, address);
    struct bucket *bucket = bucket_find(budget, &key);
    if (!bucket)
        bucket = bucket_add(budget, &key, now);
    return bucket ? bucket : &budget->shared[kind];
}

/* Moves a bucket to its place after its full_at has changed. */
static void bucket_update(struct budget *budget, struct bucket *bucket, struct instant now)
{
    if (bucket == &budget->shared[KIND_CALLER] || bucket == &budget->shared[KIND_TARGET])
        return;

    if (is_full(bucket, now))
        bucket_drop(budget, bucket);
    else
        heap_sift(budget, bucket->place);
}

/* ---- taking and giving back --------------------------------------------------------- */

/* When the bucket will be full again if `ports` are taken now. */
static int64_t full_at_after(const struct budget *budget, const struct bucket *bucket,
                             size_t ports, struct instant now)
{
    int64_t from = is_full(bucket, now) ? now.ns : bucket->full_at;
    return from + (int64_t)ports * budget->cost;
}

/* How long until the bucket holds `ports` for each of the places; `ports` are at most the
 * burst of one. 0 or less: it already does. */
static struct span wait_for(const struct budget *budget, const struct bucket *bucket,
                            size_t ports, size_t places, struct instant now)
{
    int64_t full_at_latest = now.ns + (int64_t)(budget->burst * places) * budget->cost;
    return (struct span){full_at_after(budget, bucket, ports * places, now) -
                         full_at_latest};
}

static struct budget_answer take(struct budget *budget, struct bucket *caller,
                                 struct bucket *target, size_t ports, size_t places,
                                 struct instant now)
{
    struct span caller_wait = wait_for(budget, caller, ports, places, now);
    struct span target_wait =
        target ? wait_for(budget, target, ports, 1, now) : (struct span){0};

    if (caller_wait.ns > 0 && caller_wait.ns >= target_wait.ns)
        return (struct budget_answer){BUDGET_CALLER, caller_wait};
    if (target_wait.ns > 0)
        return (struct budget_answer){BUDGET_TARGET, target_wait};

    caller->full_at = full_at_after(budget, caller, ports * places, now);
    if (target)
        target->full_at = full_at_after(budget, target, ports, now);
    return (struct budget_answer){.denied = BUDGET_NONE};
}

struct budget_answer budget_take(struct budget *budget, const struct address *caller,
                                 const struct address *target, bool is_foreign,
                                 size_t ports, size_t places, struct instant now)
{
    assert(places >= 1 && places <= BUDGET_PLACES_MAX);
    if (budget->is_unlimited || ports == 0)
        return (struct budget_answer){.denied = BUDGET_NONE};

    if (ports > budget->burst)
        return (struct budget_answer){BUDGET_CALLER, {-1}};

    budget_lock(budget);
    drop_refilled(budget, now);
    struct bucket *callers = bucket_for(budget, KIND_CALLER, caller, now);
    struct bucket *targets =
        is_foreign ? bucket_for(budget, KIND_TARGET, target, now) : NULL;

    struct budget_answer answer = take(budget, callers, targets, ports, places, now);
    bucket_update(budget, callers, now);
    if (targets)
        bucket_update(budget, targets, now);
    budget_unlock(budget);
    return answer;
}

static void give_back(struct budget *budget, enum kind kind, const struct address *address,
                      size_t ports, struct instant now)
{
    struct address_key key = key_of(kind, address);
    struct bucket *bucket = bucket_find(budget, &key);
    if (!bucket)
        return;

    bucket->full_at -= (int64_t)ports * budget->cost;
    bucket_update(budget, bucket, now);
}

void budget_give_back(struct budget *budget, const struct address *caller,
                      const struct address *target, bool is_foreign, size_t ports,
                      size_t places, struct instant now)
{
    assert(places >= 1 && places <= BUDGET_PLACES_MAX);
    if (budget->is_unlimited || ports == 0)
        return;

    if (ports > budget->burst)
        ports = budget->burst;

    budget_lock(budget);
    give_back(budget, KIND_CALLER, caller, ports * places, now);
    if (is_foreign)
        give_back(budget, KIND_TARGET, target, ports, now);
    budget_unlock(budget);
}

void budget_charge_silent(struct budget *budget, const struct address *target,
                          bool is_foreign, size_t ports, struct instant now)
{
    if (budget->is_unlimited || !is_foreign || ports == 0)
        return;

    if (ports > budget->burst)
        ports = budget->burst;

    budget_lock(budget);
    drop_refilled(budget, now);
    struct bucket *bucket = bucket_for(budget, KIND_TARGET, target, now);
    int64_t deepest = now.ns + DEBT_BURSTS * (int64_t)budget->burst * budget->cost;
    int64_t full_at = full_at_after(budget, bucket, ports * (BUDGET_SILENT_PORT - 1), now);
    bucket->full_at = full_at < deepest ? full_at : deepest;
    bucket_update(budget, bucket, now);
    budget_unlock(budget);
}

size_t budget_entries(struct budget *budget)
{
    budget_lock(budget);
    size_t count = budget->count;
    budget_unlock(budget);
    return count;
}
