/* SPDX-License-Identifier: MIT
 *
 * Owns one open-addressed table of callers with at least one connection. Its hash is
 * seeded, so that nobody can choose addresses that all land on one spot.
 */
#include "policy/admission.h"

#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* An IPv4 address, or the first 64 bits of an IPv6 address. */
struct caller {
    uint64_t network;
    uint32_t connections; /* 0 = free slot */
    int family;
};

struct admission {
    pthread_mutex_t lock;
    size_t connections;
    size_t connections_max;
    size_t per_caller_max;
    uint64_t seed;
    size_t mask;            /* slots - 1 */
    struct caller *callers; /* owned; at most half of the slots are ever in use */
};

bool admission_new(size_t connections_max, size_t per_caller_max, struct admission **ret,
                   struct err *err)
{
    if (connections_max == 0 || per_caller_max == 0 || connections_max > UINT32_MAX / 4)
        return err_set(err, ERR_INVALID, "limits of connections make no sense");

    size_t slots = 16;
    while (slots < connections_max * 2)
        slots *= 2;

    struct admission *admission = calloc(1, sizeof *admission);
    struct caller *callers = calloc(slots, sizeof *callers);
    if (!admission || !callers) {
        free(admission);
        free(callers);
        return err_sys(err, ENOMEM, "table of callers");
    }
    *admission = (struct admission){
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .connections_max = connections_max,
        .per_caller_max = per_caller_max,
        .mask = slots - 1,
        .callers = callers,
    };
    if (getrandom(&admission->seed, sizeof admission->seed, 0) !=
        (ssize_t)sizeof admission->seed) {
        int errnum = errno;
        admission_free(admission);
        return err_sys(err, errnum, "getrandom");
    }

    *ret = admission;
    return true;
}

struct admission *admission_free(struct admission *admission)
{
    if (!admission)
        return NULL;

    pthread_mutex_destroy(&admission->lock);
    free(admission->callers);
    free(admission);
    return NULL;
}

static struct caller caller_of(const struct address *peer)
{
    struct address address = address_unmap(peer);
    size_t len;
    const uint8_t *bytes = address_bytes(&address, &len);

    struct caller caller = {.family = address_family_number(&address)};
    memcpy(&caller.network, bytes,
           len < sizeof caller.network ? len : sizeof caller.network);
    return caller;
}

static size_t caller_home(const struct admission *admission, const struct caller *caller)
{
    /* The finalizer of MurmurHash3, twice, around the seed. */
    uint64_t hash = caller->network ^ admission->seed;
    for (int round = 0; round < 2; round++) {
        hash ^= hash >> 33;
        hash *= UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 33;
        hash += (uint64_t)caller->family + (admission->seed << 7 | admission->seed >> 57);
    }
    return (size_t)(hash ^ hash >> 32) & admission->mask;
}

/* The slot of this caller, or the free one where it belongs. */
static size_t caller_find(const struct admission *admission, const struct caller *caller)
{
    size_t i = caller_home(admission, caller);
    while (admission->callers[i].connections > 0 &&
           (admission->callers[i].network != caller->network ||
            admission->callers[i].family != caller->family))
        i = (i + 1) & admission->mask;
    return i;
}

/* Frees a slot and moves up those behind it that would no longer be found. */
static void caller_forget(struct admission *admission, size_t hole)
{
    struct caller *callers = admission->callers;
    callers[hole].connections = 0;
    for (size_t i = (hole + 1) & admission->mask; callers[i].connections > 0;
         i = (i + 1) & admission->mask) {
        size_t home = caller_home(admission, &callers[i]);
        if (((i - home) & admission->mask) < ((i - hole) & admission->mask))
            continue;
        callers[hole] = callers[i];
        callers[i].connections = 0;
        hole = i;
    }
}

static enum admission_answer enter(struct admission *admission, const struct address *peer,
                                   bool is_unlimited)
{
    if (admission->connections >= admission->connections_max)
        return ADMISSION_FULL;

    if (!is_unlimited) {
        struct caller caller = caller_of(peer);
        size_t slot = caller_find(admission, &caller);
        caller.connections = admission->callers[slot].connections + 1;
        if (caller.connections > admission->per_caller_max)
            return ADMISSION_CALLER_FULL;
        admission->callers[slot] = caller;
    }
    admission->connections++;
    return ADMISSION_GRANTED;
}

enum admission_answer admission_enter(struct admission *admission,
                                      const struct address *peer, bool is_unlimited)
{
    pthread_mutex_lock(&admission->lock);
    enum admission_answer answer = enter(admission, peer, is_unlimited);
    pthread_mutex_unlock(&admission->lock);
    return answer;
}

void admission_leave(struct admission *admission, const struct address *peer,
                     bool is_unlimited)
{
    pthread_mutex_lock(&admission->lock);
    assert(admission->connections > 0);
    admission->connections--;
    if (!is_unlimited) {
        struct caller caller = caller_of(peer);
        size_t slot = caller_find(admission, &caller);
        assert(admission->callers[slot].connections > 0);
        if (--admission->callers[slot].connections == 0)
            caller_forget(admission, slot);
    }
    pthread_mutex_unlock(&admission->lock);
}

size_t admission_connections(struct admission *admission)
{
    pthread_mutex_lock(&admission->lock);
    size_t connections = admission->connections;
    pthread_mutex_unlock(&admission->lock);
    return connections;
}
