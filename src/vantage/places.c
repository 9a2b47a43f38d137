/* SPDX-License-Identifier: MIT */
#include "vantage/places.h"

#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define OTHERS_MAX (PLACES_MAX - 1)

struct place {
    char name[PLACE_NAME_SIZE];
    struct instant heard;
    unsigned misses; /* in a row */
    struct place_count count;
};

struct places {
    pthread_mutex_t mutex;
    bool is_listed; /* the names are the operator's: they stay */
    char own[PLACE_NAME_SIZE];
    size_t count;
    struct place items[OTHERS_MAX];
};

bool places_new(const struct place_list *listed, const char *own, struct places **ret,
                struct err *err)
{
    struct places *places = calloc(1, sizeof *places);
    if (!places)
        return err_sys(err, ENOMEM, "places");

    int errnum = pthread_mutex_init(&places->mutex, NULL);
    assert(errnum == 0);
    strncpy(places->own, own, PLACE_NAME_MAX);
    places->is_listed = listed->count > 0;
    for (size_t i = 0; i < listed->count && places->count < OTHERS_MAX; i++)
        if (strcmp(listed->names[i], own) != 0)
            memcpy(places->items[places->count++].name, listed->names[i], PLACE_NAME_SIZE);
    *ret = places;
    return true;
}

struct places *places_free(struct places *places)
{
    if (!places)
        return NULL;

    pthread_mutex_destroy(&places->mutex);
    free(places);
    return NULL;
}

static void lock(struct places *places)
{
    int errnum = pthread_mutex_lock(&places->mutex);
    assert(errnum == 0);
}

static void unlock(struct places *places)
{
    int errnum = pthread_mutex_unlock(&places->mutex);
    assert(errnum == 0);
}

static struct place *find(struct places *places, const char *name)
{
    for (size_t i = 0; i < places->count; i++)
        if (strcmp(places->items[i].name, name) == 0)
            return &places->items[i];
    return NULL;
}

static bool is_forgotten(const struct place *place, struct instant now)
{
    return instant_since(now, place->heard).ns >= span_seconds(PLACES_HEARD_SECONDS).ns;
}

/* Without a list: drops the names that were not heard for too long. */
static void forget(struct places *places, struct instant now)
{
    size_t kept = 0;
    for (size_t i = 0; i < places->count && !places->is_listed; i++)
        if (!is_forgotten(&places->items[i], now))
            places->items[kept++] = places->items[i];
    if (!places->is_listed)
        places->count = kept;
}

void places_expect(struct places *places, struct instant now, struct expected_places *ret)
{
    lock(places);
    forget(places, now);
    ret->count = places->count;
    for (size_t i = 0; i < places->count; i++) {
        memcpy(ret->items[i].name, places->items[i].name, PLACE_NAME_SIZE);
        ret->items[i].is_awaited = places->items[i].misses < PLACES_MISSES_MAX;
    }
    unlock(places);
}

static struct place *find_or_add(struct places *places, const char *name,
                                 struct instant now)
{
    struct place *place = find(places, name);
    if (place || places->is_listed || strcmp(name, places->own) == 0)
        return place;

    forget(places, now);
    if (places->count == OTHERS_MAX)
        return NULL;
    place = &places->items[places->count++];
    *place = (struct place){.misses = 0};
    strncpy(place->name, name, PLACE_NAME_MAX);
    return place;
}

void places_heard(struct places *places, const char *name, struct instant now)
{
    lock(places);
    struct place *place = find_or_add(places, name, now);
    if (place) {
        place->heard = now;
        place->misses = 0;
    }
    unlock(places);
}

void places_answered(struct places *places, const char *name, bool has_refused)
{
    lock(places);
    struct place *place = find(places, name);
    if (place) {
        place->misses = 0;
        place->count.answers += !has_refused;
        place->count.refusals += has_refused;
    }
    unlock(places);
}

void places_missed(struct places *places, const char *name)
{
    lock(places);
    struct place *place = find(places, name);
    if (place) {
        place->misses += place->misses < PLACES_MISSES_MAX;
        place->count.misses++;
    }
    unlock(places);
}

size_t places_count(struct places *places, struct place_count ret[static PLACES_MAX])
{
    lock(places);
    size_t count = places->count;
    for (size_t i = 0; i < count; i++) {
        ret[i] = places->items[i].count;
        memcpy(ret[i].name, places->items[i].name, PLACE_NAME_SIZE);
        ret[i].is_awaited = places->items[i].misses < PLACES_MISSES_MAX;
    }
    unlock(places);
    return count;
}
