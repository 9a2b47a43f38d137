/* SPDX-License-Identifier: MIT
 *
 * One check that several places make: the front's own verdicts, the answers of the others,
 * and what all of them say together. Belongs to one worker.
 *
 * A gathering is complete when every place that is waited for has answered or is missing. A
 * place is missing when it refuses, when it is not there, when no further answer follows,
 * or if it is late. After the last own verdict, a place that has not answered
 *
 *   is asked whether it is at work   after GATHER_INQUIRE_MS
 *   gets the job once more,          after GATHER_REPEAT_MS
 *     unless it is at work: if the process that had the job was killed, another one of the
 *     same name gets it
 *   is missing, unless it is at work after GATHER_WAIT_MS
 *   is missing                       GATHER_WAIT_MS after the time at which silence is a
 *     verdict: from that place, ports can be filtered that are open from here
 */
#pragma once

#include "vantage/ask.h"
#include "vantage/places.h"

#include <stdbool.h>
#include <stddef.h>

struct loop;

#define GATHER_INQUIRE_MS 1000
#define GATHER_REPEAT_MS  1500
#define GATHER_WAIT_MS    3000

/* Other places have this much less time than the check, so that their answers arrive before
 * its end. */
#define GATHER_MARGIN_MS  500

/* Of all gatherings of a worker that ask other places; a further one asks none. That many
 * take 60 MB with 15 other places (tests/unit/test_vantage_gather.c). */
#define GATHER_PORTS_MAX  262144

struct gather;

/* What is asked, of whom. All borrowed by each gathering until its end. */
struct gather_config {
    struct loop *loop;
    struct vantage_asker *asker;
    struct places *places;
    const char *own;     /* the name of the front's own place */
    size_t quorum;       /* 0 = by the number of places */
    struct span silence; /* that is a verdict: PORT_CHECK_TIMEOUT */
    size_t *asked;       /* ports of all gatherings of this worker; 0 at first */
};

/* Places that a job would be sent to now, and the own one. */
size_t gather_expected(const struct gather_config *config);

/* Called once, when the gathering becomes complete after gather_new() has returned. May end
 * it. */
typedef void(gather_complete_fn)(void *ctx);

/* Sends the job to the places that are expected now; the members `id`, `exp_ms` and
 * `budget_ms` are filled in. `deadline` is that of the whole check. NULL without memory
 * or randomness. If no place can be asked, it is complete at once, without a call. */
struct gather *gather_new(const struct gather_config *config, const struct vantage_job *job,
                          struct instant deadline, gather_complete_fn *complete, void *ctx);

/* Cancels what is still running. */
struct gather *gather_free(struct gather *gather);

bool gather_is_complete(const struct gather *gather);

/* The own verdict about the port at `index`; and that it was the last. */
void gather_own(struct gather *gather, size_t index, const struct port_verdict *verdict);
void gather_own_ended(struct gather *gather);

/* Whether there is an own verdict about that port. */
bool gather_has_own(const struct gather *gather, size_t index);

/* --- once it is complete ----------------------------------------------------------- */

/* What all places say together about that port, which must have an own verdict. */
struct port_verdict gather_verdict(const struct gather *gather, size_t index);

/* Whether that is LIMITED only because places are missing: all others reach the port, but
 * are too few. */
bool gather_is_undecided(const struct gather *gather, size_t index);

/* One of the places, the own one first. */
struct gather_view {
    const char *place;
    const char *reason;          /* why it is missing: a word; NULL = it is not */
    bool is_refusal;             /* the place itself gave the reason */
    struct port_verdict verdict; /* unless it is missing */
};

size_t gather_places(const struct gather *gather);
struct gather_view gather_view(const struct gather *gather, size_t place, size_t index);

struct gather_summary {
    size_t places;   /* expected, the own one included */
    size_t answered; /* with verdicts; the own one included */
    size_t needed;   /* for an open port; 1 if only the own place has answered */
};
struct gather_summary gather_summary(const struct gather *gather);
