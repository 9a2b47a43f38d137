/* SPDX-License-Identifier: MIT
 *
 * An asker that a test plays: it keeps the last job, and the test says what the places
 * answer.
 */
#pragma once

#include "base/container.h"
#include "vantage/ask.h"

#include <stdlib.h>
#include <string.h>

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct scripted_asker {
    struct vantage_asker head;
    struct vantage_request request; /* at most one */
    bool is_connected;
    unsigned asked, inquired, repeated, cancelled, told;
    struct place_list places; /* that were asked last */
    bool is_running;
    struct vantage_job job;
    struct instant deadline;
    struct vantage_answers answers;
};

static inline bool scripted_ask(struct vantage_asker *head, const struct vantage_job *job,
                                const struct place_list *places, struct instant deadline,
                                const struct vantage_answers *answers,
                                struct vantage_request **ret)
{
    struct scripted_asker *asker = CONTAINER_OF(head, struct scripted_asker, head);
    if (!asker->is_connected)
        return false;

    assert_false(asker->is_running);
    asker->asked++;
    asker->is_running = true;
    asker->job = *job;
    asker->places = *places;
    asker->deadline = deadline;
    asker->answers = *answers;
    asker->request.asker = head;
    *ret = &asker->request;
    return true;
}

static inline void scripted_inquire(struct vantage_request *request,
                                    const struct place_list *places)
{
    struct scripted_asker *asker = CONTAINER_OF(request, struct scripted_asker, request);
    assert_true(asker->is_running && places->count > 0);
    asker->inquired++;
    asker->places = *places;
}

static inline void scripted_repeat(struct vantage_request *request,
                                   const struct place_list *places)
{
    struct scripted_asker *asker = CONTAINER_OF(request, struct scripted_asker, request);
    assert_true(asker->is_running);
    asker->repeated++;
    asker->places = *places;
}

static inline void scripted_cancel(struct vantage_request *request, bool is_told)
{
    struct scripted_asker *asker = CONTAINER_OF(request, struct scripted_asker, request);
    assert_true(asker->is_running);
    asker->is_running = false;
    asker->cancelled++;
    asker->told += is_told;
}

static inline struct scripted_asker scripted_asker_of(bool is_connected)
{
    return (struct scripted_asker){
        .head = {.ask = scripted_ask,
                 .inquire = scripted_inquire,
                 .repeat = scripted_repeat,
                 .cancel = scripted_cancel},
        .is_connected = is_connected,
    };
}

/* The place answers with this state for every port. */
static inline void script_answer(struct scripted_asker *asker, const char *place,
                                 enum port_state state, int errnum)
{
    struct vantage_answer answer = {.refusal = REFUSAL_NONE};
    assert_true(asker->is_running);
    answer.verdicts = calloc(asker->job.port_count, sizeof *answer.verdicts);
    assert_non_null(answer.verdicts);
    strncpy(answer.place, place, PLACE_NAME_MAX);
    for (size_t i = 0; i < asker->job.port_count; i++)
        answer.verdicts[i] = (struct port_verdict){
            .port = (uint16_t)(i + 1), .state = state, .errnum = errnum};
    asker->answers.answered(asker->answers.ctx, &answer);
    vantage_answer_done(&answer);
}

static inline void script_refusal(struct scripted_asker *asker, const char *place,
                                  enum vantage_refusal refusal)
{
    struct vantage_answer answer = {.refusal = refusal};
    assert_true(asker->is_running);
    strncpy(answer.place, place, PLACE_NAME_MAX);
    asker->answers.answered(asker->answers.ctx, &answer);
}

static inline void script_at_work(struct scripted_asker *asker, const char *place)
{
    assert_true(asker->is_running);
    asker->answers.at_work(asker->answers.ctx, place);
}

static inline void script_unmanned(struct scripted_asker *asker, const char *place)
{
    assert_true(asker->is_running);
    asker->answers.unmanned(asker->answers.ctx, place);
}

static inline void script_end(struct scripted_asker *asker, enum vantage_end end)
{
    assert_true(asker->is_running);
    asker->is_running = false;
    asker->answers.ended(asker->answers.ctx, end);
}
