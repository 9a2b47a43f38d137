/* SPDX-License-Identifier: MIT
 *
 * Asks the vantage points, whatever carries the job: NATS (nats_asker.h), or a script in
 * the tests. An asker belongs to one worker, and all of this to its thread.
 */
#pragma once

#include "base/clock.h"
#include "vantage/answer.h"

#include <stdbool.h>

/* Why no further answer follows. */
#define VANTAGE_END_MAP(X)                                                                 \
    X(DEADLINE, "no_answer")          /* its time is over */                               \
    X(NOT_CONNECTED, "not_connected") /* or not sent */                                    \
    X(TOO_LARGE, "too_many_ports")    /* for one job */                                    \
    X(TOO_MANY, "too_many_checks")    /* wait already */

enum vantage_end {
#define X(NAME, text) VANTAGE_END_##NAME,
    VANTAGE_END_MAP(X)
#undef X
};

const char *vantage_end_text(enum vantage_end end);

struct vantage_request;

/* Never called from within vantage_ask(). Either may cancel the request. */
struct vantage_answers {
    /* Whether an answer of that place is read: only its first one, whatever that is, so
     * that no place can keep us busy. */
    bool (*admit)(void *ctx, const char *place);
    /* One place has answered. The same name can come twice. */
    void (*answered)(void *ctx, const struct vantage_answer *answer);
    /* A process of that place has the job: after vantage_inquire(). */
    void (*at_work)(void *ctx, const char *place);
    /* No process of that place takes jobs. */
    void (*unmanned)(void *ctx, const char *place);
    /* The last call; the request no longer exists. */
    void (*ended)(void *ctx, enum vantage_end end);
    void *ctx;
};

/* The head of an asker of one kind. */
struct vantage_asker {
    bool (*ask)(struct vantage_asker *asker, const struct vantage_job *job,
                const struct place_list *places, struct instant deadline,
                const struct vantage_answers *answers, struct vantage_request **ret);
    void (*inquire)(struct vantage_request *request, const struct place_list *places);
    void (*repeat)(struct vantage_request *request, const struct place_list *places);
    void (*cancel)(struct vantage_request *request, bool is_told);
};

/* The head of a request of one kind. */
struct vantage_request {
    struct vantage_asker *asker; /* borrowed */
};

/* Sends the job, which is copied, to these places, and reports their answers until the
 * deadline. False if it cannot be sent at present; then nothing is reported. */
static inline bool vantage_ask(struct vantage_asker *asker, const struct vantage_job *job,
                               const struct place_list *places, struct instant deadline,
                               const struct vantage_answers *answers,
                               struct vantage_request **ret)
{
    return asker->ask(asker, job, places, deadline, answers, ret);
}

/* Asks these places whether a process of theirs is at work on the job. */
static inline void vantage_inquire(struct vantage_request *request,
                                   const struct place_list *places)
{
    request->asker->inquire(request, places);
}

/* Sends the same job once more to these places: to another process, if the one that had it
 * has died. One that has it does not take it again. */
static inline void vantage_repeat(struct vantage_request *request,
                                  const struct place_list *places)
{
    request->asker->repeat(request, places);
}

/* Ends the request at once. The vantage points stop probing if they are told. */
static inline void vantage_cancel(struct vantage_request *request, bool is_told)
{
    request->asker->cancel(request, is_told);
}
