/* SPDX-License-Identifier: MIT */
#include "policy/admission.h"

#include "base/container.h"
#include "base/err.h"
#include "net/address_table.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* A caller with at least one connection. */
struct caller {
    struct address_entry entry;
    size_t connections;
};

struct admission {
    pthread_mutex_t lock;
    size_t connections;
    size_t connections_max;
    size_t per_caller_max;
    struct address_table callers; /* its entries are owned */
};

bool admission_new(size_t connections_max, size_t per_caller_max, struct admission **ret,
                   struct err *err)
{
    if (connections_max == 0 || per_caller_max == 0)
        return err_set(err, ERR_INVALID, "the limits of connections are invalid");

    struct admission *admission = calloc(1, sizeof *admission);
    if (!admission)
        return err_sys(err, ENOMEM, "table of callers");

    *admission = (struct admission){
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .connections_max = connections_max,
        .per_caller_max = per_caller_max,
    };
    if (!address_table_init(&admission->callers, connections_max, err)) {
        admission_free(admission);
        return false;
    }

    *ret = admission;
    return true;
}

static struct caller *caller_of(struct address_entry *entry)
{
    return entry ? CONTAINER_OF(entry, struct caller, entry) : NULL;
}

struct admission *admission_free(struct admission *admission)
{
    if (!admission)
        return NULL;

    struct address_entry *entry;
    for (size_t at = 0; (entry = address_table_next(&admission->callers, &at));)
        free(caller_of(entry));
    address_table_done(&admission->callers);
    pthread_mutex_destroy(&admission->lock);
    free(admission);
    return NULL;
}

static struct caller *caller_find(const struct admission *admission,
                                  const struct address_key *key)
{
    return caller_of(address_table_find(&admission->callers, key));
}

/* NULL without memory. */
static struct caller *caller_add(struct admission *admission, const struct address_key *key)
{
    struct caller *caller = calloc(1, sizeof *caller);
    if (caller && !address_table_add(&admission->callers, key, &caller->entry)) {
        free(caller);
        return NULL;
    }
    return caller;
}

static enum admission_answer enter(struct admission *admission, const struct address *peer,
                                   bool is_unlimited)
{
    if (admission->connections >= admission->connections_max)
        return ADMISSION_FULL;

    if (!is_unlimited) {
        struct address_key key = address_key_caller(peer);
        struct caller *caller = caller_find(admission, &key);
        if (!caller)
            caller = caller_add(admission, &key);
        if (!caller)
            return ADMISSION_FULL;
        if (caller->connections >= admission->per_caller_max)
            return ADMISSION_CALLER_FULL;
        caller->connections++;
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
        struct address_key key = address_key_caller(peer);
        struct caller *caller = caller_find(admission, &key);
        assert(caller);
        if (--caller->connections == 0) {
            address_table_remove(&admission->callers, &caller->entry);
            free(caller);
        }
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
