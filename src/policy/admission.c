/* SPDX-License-Identifier: MIT */
#include "policy/admission.h"

#include "base/container.h"
#include "base/err.h"
#include "net/address_table.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

#define OLDEST_MAX  32  /* found by one search */
#define RELIEVE_MAX 512 /* per call */
#define NETWORK     ADDRESS_KEY_KIND

/* Evicted connections whose worker has not got to their end: it may be busy for some
 * milliseconds, in which the others accept hundreds. */
#define ENDING_MAX  1024

/* What `since` of a place holds instead of a time. */
#define WORKING     INT64_MAX /* or the place is free */
#define EVICTED     (INT64_MAX - 1)

/* Of a newcomer: workers read the clock once a turn, so that the waits of another worker
 * may have begun after its time. */
#define ANY_WAIT    ((struct instant){EVICTED - 1})

/* The connections that have been waiting longest, the longest wait first. One that has
 * worked meanwhile has another time now, and all others are later than these, so that the
 * list is valid until it is used up. */
struct oldest {
    unsigned next, count;
    struct {
        int64_t since;
        uint32_t place;
    } items[OLDEST_MAX];
};

/* A caller or a network with at least one connection, or an unlimited one that works for
 * it. */
struct group {
    struct address_entry entry;
    size_t connections;
    size_t sponsored;       /* unlimited ones that work for it, or may; only of a network */
    _Atomic size_t working; /* of both; counted only for networks */
    struct oldest *oldest;  /* owned; only of a network that has reached its limit */
};

struct place {
    int fd;               /* borrowed */
    uint32_t next_free;   /* while the place is free */
    struct group *caller; /* these two NULL if it is unlimited, evicted or free */
    struct group *network;
    struct group *sponsor; /* what an unlimited one works for; only its worker looks */
};

struct admission {
    pthread_mutex_t lock; /* of everything except what is atomic */
    struct admission_limits limits;
    _Atomic size_t working; /* connections */
    size_t connections;     /* that have not left and were not evicted */
    size_t places_used;     /* by them and by those that were evicted and have not left */
    struct address_table groups; /* its entries are owned */
    struct oldest oldest;

    /* More places than connections: ENDING_MAX. */
    uint32_t place_count;
    uint32_t places_ever; /* those beyond have never been used */
    uint32_t first_free;  /* of those below; place_count = none */
    struct place *places;
    _Atomic int64_t *since;
};

/* --- life ----------------------------------------------------------------------------- */

static bool arrays_make(struct admission *admission, struct err *err)
{
    size_t count =
        admission->limits.connections + admission->limits.connections / 8 + ENDING_MAX;
    if (count >= UINT32_MAX)
        return err_set(err, ERR_INVALID, "the limits of connections are invalid");

    admission->place_count = admission->first_free = (uint32_t)count;
    admission->places = calloc(count, sizeof *admission->places);
    admission->since = calloc(count, sizeof *admission->since);
    if (!admission->places || !admission->since)
        return err_sys(err, ENOMEM, "table of connections");
    /* A caller and a network of each, and those of a newcomer; and the sponsors. */
    size_t groups = 2 * (admission->limits.connections + 1) + count;
    return address_table_init(&admission->groups, groups, err);
}

bool admission_new(const struct admission_limits *limits, struct admission **ret,
                   struct err *err)
{
    if (limits->connections == 0 || limits->per_caller == 0 || limits->per_network == 0)
        return err_set(err, ERR_INVALID, "the limits of connections are invalid");

    struct admission *admission = calloc(1, sizeof *admission);
    if (!admission)
        return err_sys(err, ENOMEM, "table of connections");

    *admission = (struct admission){
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .limits = *limits,
    };
    if (!arrays_make(admission, err)) {
        admission_free(admission);
        return false;
    }
    *ret = admission;
    return true;
}

static struct group *group_of(struct address_entry *entry)
{
    return entry ? CONTAINER_OF(entry, struct group, entry) : NULL;
}

static void group_free(struct group *group)
{
    free(group->oldest);
    free(group);
}

struct admission *admission_free(struct admission *admission)
{
    if (!admission)
        return NULL;

    struct address_entry *entry;
    for (size_t at = 0; (entry = address_table_next(&admission->groups, &at));)
        group_free(group_of(entry));
    address_table_done(&admission->groups);
    pthread_mutex_destroy(&admission->lock);
    free(admission->places);
    free(admission->since);
    free(admission);
    return NULL;
}

/* --- groups --------------------------------------------------------------------------- */

/* Finds or adds it. NULL without memory. */
static struct group *group_get(struct admission *admission, const struct address_key *key)
{
    struct group *group = group_of(address_table_find(&admission->groups, key));
    if (group)
        return group;

    group = calloc(1, sizeof *group);
    if (group && !address_table_add(&admission->groups, key, &group->entry)) {
        free(group);
        return NULL;
    }
    return group;
}

/* Frees it if it has no connection. NULL is fine. */
static void group_put(struct admission *admission, struct group *group)
{
    if (!group || group->connections > 0 || group->sponsored > 0)
        return;
    address_table_remove(&admission->groups, &group->entry);
    group_free(group);
}

/* Finds or adds it. NULL without memory. */
static struct group *network_get(struct admission *admission, const struct address *peer)
{
    struct address_key key = address_key_network(peer);
    key.words[ADDRESS_KEY_WORDS - 1] += NETWORK;
    return group_get(admission, &key);
}

static struct group *sponsor_find(struct admission *admission, struct place *place,
                                  const struct address *caller)
{
    place->sponsor = network_get(admission, caller);
    if (place->sponsor)
        place->sponsor->sponsored++;
    return place->sponsor;
}

/* It may have none. */
static void sponsor_leave(struct admission *admission, struct place *place)
{
    struct group *sponsor = place->sponsor;
    place->sponsor = NULL;
    if (sponsor)
        sponsor->sponsored--;
    group_put(admission, sponsor);
}

static void group_leave(struct admission *admission, struct group *group)
{
    if (group)
        group->connections--;
    group_put(admission, group);
}

/* --- who gives way -------------------------------------------------------------------- */

static void oldest_add(struct oldest *oldest, int64_t since, uint32_t place)
{
    if (oldest->count == OLDEST_MAX) {
        if (since >= oldest->items[OLDEST_MAX - 1].since)
            return;
        oldest->count--;
    }
    unsigned at = oldest->count++;
    for (; at > 0 && oldest->items[at - 1].since > since; at--)
        oldest->items[at] = oldest->items[at - 1];
    oldest->items[at].since = since;
    oldest->items[at].place = place;
}

/* Of those before `until`. `network` NULL: of all. */
static void oldest_search(const struct admission *admission, struct oldest *oldest,
                          const struct group *network, struct instant until)
{
    oldest->next = oldest->count = 0;
    for (uint32_t i = 0; i < admission->places_ever; i++) {
        int64_t since = atomic_load_explicit(&admission->since[i], memory_order_relaxed);
        if (since <= until.ns && (!network || admission->places[i].network == network))
            oldest_add(oldest, since, i);
    }
}

static void uncount(struct admission *admission, struct place *place)
{
    admission->connections--;
    group_leave(admission, place->caller);
    group_leave(admission, place->network);
    place->caller = place->network = NULL;
}

/* Takes the next of the list that is still waiting. False if there are none before
 * `until`. */
static bool oldest_evict(struct admission *admission, struct oldest *oldest,
                         struct instant until)
{
    for (; oldest->next < oldest->count; oldest->next++) {
        int64_t since = oldest->items[oldest->next].since;
        uint32_t place = oldest->items[oldest->next].place;
        if (since > until.ns)
            return false;
        if (!atomic_compare_exchange_strong(&admission->since[place], &since, EVICTED))
            continue;

        oldest->next++;
        shutdown(admission->places[place].fd, SHUT_RDWR);
        uncount(admission, &admission->places[place]);
        return true;
    }
    return false;
}

static bool evict(struct admission *admission, struct oldest *oldest,
                  const struct group *network, struct instant until)
{
    if (oldest_evict(admission, oldest, until))
        return true;
    oldest_search(admission, oldest, network, until);
    return oldest_evict(admission, oldest, until);
}

static bool evict_of_network(struct admission *admission, struct group *network)
{
    if (!network->oldest)
        network->oldest = calloc(1, sizeof *network->oldest);
    return network->oldest && evict(admission, network->oldest, network, ANY_WAIT);
}

/* --- in and out ----------------------------------------------------------------------- */

/* Makes room for one more in all. */
static enum admission_answer make_room(struct admission *admission)
{
    bool has_room = admission->connections < admission->limits.connections ||
                    evict(admission, &admission->oldest, NULL, ANY_WAIT);
    return has_room && admission->places_used < admission->place_count ? ADMISSION_GRANTED
                                                                       : ADMISSION_FULL;
}

/* The same in these groups too. Both stay, although evicting may take their last
 * connection. */
static enum admission_answer make_room_in(struct admission *admission, struct group *caller,
                                          struct group *network)
{
    if (caller->connections >= admission->limits.per_caller)
        return ADMISSION_CALLER_FULL;

    caller->connections++;
    network->connections++;
    enum admission_answer answer = ADMISSION_GRANTED;
    if (network->connections > admission->limits.per_network &&
        !evict_of_network(admission, network))
        answer = ADMISSION_NETWORK_FULL;
    if (answer == ADMISSION_GRANTED)
        answer = make_room(admission);
    if (answer != ADMISSION_GRANTED) {
        caller->connections--;
        network->connections--;
    }
    return answer;
}

static enum admission_answer join(struct admission *admission, const struct address *peer,
                                  struct place *ret)
{
    struct address_key key = address_key_caller(peer);
    ret->caller = group_get(admission, &key);
    ret->network = network_get(admission, peer);
    enum admission_answer answer = ADMISSION_FULL;
    if (ret->caller && ret->network)
        answer = make_room_in(admission, ret->caller, ret->network);
    if (answer != ADMISSION_GRANTED) {
        group_put(admission, ret->caller);
        group_put(admission, ret->network);
    }
    return answer;
}

static uint32_t place_take(struct admission *admission)
{
    uint32_t number = admission->first_free;
    if (number == admission->place_count)
        return admission->places_ever++;
    admission->first_free = admission->places[number].next_free;
    return number;
}

enum admission_answer admission_enter(struct admission *admission,
                                      const struct address *peer, bool is_unlimited, int fd,
                                      struct instant now, uint32_t *ret_place)
{
    pthread_mutex_lock(&admission->lock);
    struct place place = {.fd = fd};
    enum admission_answer answer =
        is_unlimited ? make_room(admission) : join(admission, peer, &place);
    if (answer == ADMISSION_GRANTED) {
        *ret_place = place_take(admission);
        admission->places[*ret_place] = place;
        admission->places_used++;
        admission->connections++;
        atomic_store_explicit(&admission->since[*ret_place], now.ns, memory_order_relaxed);
    }
    pthread_mutex_unlock(&admission->lock);
    return answer;
}

/* Call it only for a place that works and does not give way: its network then stays. */
static void count_working(struct admission *admission, uint32_t place, size_t change)
{
    const struct place *it = &admission->places[place];
    struct group *network = it->network ? it->network : it->sponsor;
    atomic_fetch_add_explicit(&admission->working, change, memory_order_relaxed);
    if (network)
        atomic_fetch_add_explicit(&network->working, change, memory_order_relaxed);
}

bool admission_may_work(struct admission *admission, uint32_t number,
                        const struct address *caller)
{
    struct place *place = &admission->places[number];
    size_t limit = admission->limits.connections;
    size_t most = limit - limit / ADMISSION_WORK_RESERVE;
    size_t working = atomic_load_explicit(&admission->working, memory_order_relaxed);
    if (working >= most)
        return false;

    pthread_mutex_lock(&admission->lock); /* an eviction may end the network */
    sponsor_leave(admission, place);      /* of the last request */
    const struct group *network =
        place->network ? place->network : sponsor_find(admission, place, caller);
    size_t own =
        network ? atomic_load_explicit(&network->working, memory_order_relaxed) : SIZE_MAX;
    pthread_mutex_unlock(&admission->lock);
    return own < ADMISSION_WORK_SHARE * (most - working);
}

/* Only the worker that owns the connection lets it work and wait; others only evict it. */
bool admission_work(struct admission *admission, uint32_t place)
{
    _Atomic int64_t *place_since = &admission->since[place];
    int64_t since = atomic_load_explicit(place_since, memory_order_relaxed);
    if (since == WORKING)
        return true;
    if (since == EVICTED || !atomic_compare_exchange_strong(place_since, &since, WORKING))
        return false;
    count_working(admission, place, 1);
    return true;
}

bool admission_wait(struct admission *admission, uint32_t place, struct instant since)
{
    _Atomic int64_t *place_since = &admission->since[place];
    int64_t before = atomic_load_explicit(place_since, memory_order_relaxed);
    if (before == WORKING) {
        count_working(admission, place, (size_t)-1);
        if (admission->places[place].sponsor) {
            pthread_mutex_lock(&admission->lock);
            sponsor_leave(admission, &admission->places[place]);
            pthread_mutex_unlock(&admission->lock);
        }
    }
    return before != EVICTED &&
           atomic_compare_exchange_strong(place_since, &before, since.ns);
}

bool admission_leave(struct admission *admission, uint32_t number)
{
    struct place *place = &admission->places[number];
    pthread_mutex_lock(&admission->lock);
    int64_t since = atomic_exchange(&admission->since[number], WORKING);
    bool is_evicted = since == EVICTED;
    if (since == WORKING)
        count_working(admission, number, (size_t)-1);
    if (!is_evicted)
        uncount(admission, place);
    sponsor_leave(admission, place);
    assert(admission->places_used > 0);
    admission->places_used--;
    place->next_free = admission->first_free;
    admission->first_free = number;
    pthread_mutex_unlock(&admission->lock);
    return is_evicted;
}

/* --- under pressure ------------------------------------------------------------------- */

/* Linear between half of the limit and the limit. */
static struct span wait_max(const struct admission *admission)
{
    int64_t limit = (int64_t)admission->limits.connections;
    int64_t beyond_half = 2 * (int64_t)admission->connections - limit;
    int64_t range = ADMISSION_WAIT_MOST.ns - ADMISSION_WAIT_LEAST.ns;
    return (struct span){ADMISSION_WAIT_MOST.ns - range / limit * beyond_half};
}

static bool is_pressed(const struct admission *admission)
{
    return 2 * admission->connections > admission->limits.connections;
}

bool admission_relieve(struct admission *admission, struct instant now)
{
    pthread_mutex_lock(&admission->lock);
    unsigned left = RELIEVE_MAX;
    while (
        left > 0 && is_pressed(admission) &&
        evict(admission, &admission->oldest, NULL, instant_back(now, wait_max(admission))))
        left--;
    bool remains = is_pressed(admission);
    pthread_mutex_unlock(&admission->lock);
    return remains;
}

size_t admission_connections(struct admission *admission)
{
    pthread_mutex_lock(&admission->lock);
    size_t connections = admission->places_used;
    pthread_mutex_unlock(&admission->lock);
    return connections;
}
