/* SPDX-License-Identifier: MIT
 *
 * The places that a front expects to answer. They are the operator's list
 * (PORT_CHECKER_VANTAGES), or without one the names whose heartbeat was heard within
 * PLACES_HEARD_SECONDS. The front's own place is never among them.
 *
 * A place that did not answer PLACES_MISSES_MAX times in a row is still expected, but not
 * waited for, until its next heartbeat or answer.
 *
 * Shared by all workers and thread-safe; no call takes long.
 */
#pragma once

#include "base/clock.h"
#include "base/place_name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct places;

#define PLACES_HEARTBEAT_SECONDS 5
#define PLACES_HEARD_SECONDS     (24 * 3600)
#define PLACES_MISSES_MAX        2

/* What a check may expect at one moment; without the own place. */
struct expected_places {
    size_t count;
    struct expected_place {
        char name[PLACE_NAME_SIZE];
        bool is_awaited;
    } items[PLACES_MAX - 1];
};

/* `listed` may be empty. `own` is the name of the front's own place. */
bool places_new(const struct place_list *listed, const char *own, struct places **ret,
                struct err *err);
struct places *places_free(struct places *places);

void places_expect(struct places *places, struct instant now, struct expected_places *ret);

/* A heartbeat. A name beyond PLACES_MAX is ignored, unless another can be forgotten. */
void places_heard(struct places *places, const char *name, struct instant now);

/* What became of a place that was expected. */
void places_answered(struct places *places, const char *name, bool has_refused);
void places_missed(struct places *places, const char *name);

/* For the metrics: the same since each place was first known. Returns how many there are.
 */
struct place_count {
    char name[PLACE_NAME_SIZE];
    bool is_awaited;
    uint64_t answers, refusals, misses;
};
size_t places_count(struct places *places, struct place_count ret[static PLACES_MAX]);
