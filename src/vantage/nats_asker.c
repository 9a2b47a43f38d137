/* SPDX-License-Identifier: MIT */
#include "vantage/nats_asker.h"

#include "base/container.h"
#include "base/err.h"
#include "base/text.h"
#include "loop/loop.h"
#include "vantage/courier.h"
#include "vantage/mailbox.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define BUCKETS 256 /* by the first two digits of the id */

struct nats_request {
    struct vantage_request head;
    LIST_ENTRY(nats_request) link;
    struct nats_asker *asker; /* borrowed */
    struct vantage_answers answers;
    struct timer timer;
    bool is_repeated;
    struct vantage_job job; /* its ports are below */
    uint16_t ports[];
};

struct nats_asker {
    struct vantage_asker head;
    struct loop *loop; /* these two borrowed */
    struct courier *courier;
    size_t worker;
    LIST_HEAD(, nats_request) requests[BUCKETS];
};

static size_t bucket_of(const char *id)
{
    return (size_t)(text_hex_value(id[0]) << 4 | text_hex_value(id[1]));
}

static void request_free(struct nats_request *request)
{
    loop_timer_stop(request->asker->loop, &request->timer);
    LIST_REMOVE(request, link);
    free(request);
}

static void request_end(struct nats_request *request, enum vantage_end end)
{
    struct vantage_answers answers = request->answers;
    request_free(request);
    answers.ended(answers.ctx, end);
}

static void time_is_over(struct timer *timer)
{
    request_end(CONTAINER_OF(timer, struct nats_request, timer), VANTAGE_END_DEADLINE);
}

static struct nats_request *find(const struct nats_asker *asker, const char *id)
{
    struct nats_request *request;
    LIST_FOREACH(request, &asker->requests[bucket_of(id)], link)
        if (memcmp(request->job.id, id, VANTAGE_ID_LEN) == 0)
            return request;
    return NULL;
}

/* ---- the interface ------------------------------------------------------------------- */

static struct nats_request *request_new(struct nats_asker *asker,
                                        const struct vantage_job *job,
                                        const struct vantage_answers *answers)
{
    size_t size = job->port_count * sizeof *job->ports;
    struct nats_request *request = malloc(sizeof *request + size);
    if (!request)
        return NULL;

    *request = (struct nats_request){
        .head = {.asker = &asker->head},
        .asker = asker,
        .answers = *answers,
        .job = *job,
    };
    memcpy(request->ports, job->ports, size);
    request->job.ports = request->ports;
    timer_init(&request->timer, time_is_over);
    LIST_INSERT_HEAD(&asker->requests[bucket_of(job->id)], request, link);
    return request;
}

/* The same text each time. */
static bool dispatch(const struct nats_request *request, const struct place_list *places)
{
    const struct nats_asker *asker = request->asker;
    size_t len;
    char *text = vantage_job_write(&request->job, &len);
    return text && courier_ask(asker->courier, asker->worker, request->job.id, places,
                               request->is_repeated, text, len);
}

static bool ask(struct vantage_asker *head, const struct vantage_job *job,
                const struct place_list *places, struct instant deadline,
                const struct vantage_answers *answers, struct vantage_request **ret)
{
    struct nats_asker *asker = CONTAINER_OF(head, struct nats_asker, head);
    if (!courier_is_up(asker->courier))
        return false;
    struct nats_request *request = request_new(asker, job, answers);
    if (!request)
        return false;

    if (!loop_timer_set(asker->loop, &request->timer, deadline) ||
        !dispatch(request, places)) {
        request_free(request);
        return false;
    }
    *ret = &request->head;
    return true;
}

static void repeat(struct vantage_request *head, const struct place_list *places)
{
    struct nats_request *request = CONTAINER_OF(head, struct nats_request, head);
    request->is_repeated = true;
    dispatch(request, places);
}

static void inquire(struct vantage_request *head, const struct place_list *places)
{
    const struct nats_request *request = CONTAINER_OF(head, struct nats_request, head);
    const struct nats_asker *asker = request->asker;
    courier_inquire(asker->courier, asker->worker, request->job.id, places);
}

static void cancel(struct vantage_request *head, bool is_told)
{
    struct nats_request *request = CONTAINER_OF(head, struct nats_request, head);
    if (is_told)
        courier_cancel(request->asker->courier, request->job.id);
    request_free(request);
}

/* ---- letters ------------------------------------------------------------------------- */

static void end_all(struct nats_asker *asker, enum vantage_end end)
{
    for (size_t i = 0; i < BUCKETS; i++)
        while (!LIST_EMPTY(&asker->requests[i]))
            request_end(LIST_FIRST(&asker->requests[i]), end);
}

static void read_answer(struct nats_request *request, const struct letter *letter)
{
    struct vantage_answers answers = request->answers;
    struct vantage_answer answer;
    if (!answers.admit(answers.ctx, letter->place) ||
        !vantage_answer_parse(letter->data, letter->len, &request->job, &answer))
        return;

    if (strcmp(answer.place, letter->place) == 0)
        answers.answered(answers.ctx, &answer);
    vantage_answer_done(&answer);
}

void nats_asker_read(struct nats_asker *asker, const struct letter *letter)
{
    if (letter->kind == LETTER_DISCONNECTED) {
        end_all(asker, VANTAGE_END_NOT_CONNECTED);
        return;
    }
    struct nats_request *request = find(asker, letter->id);
    if (!request)
        return;
    if (letter->kind == LETTER_ANSWER)
        read_answer(request, letter);
    else if (letter->kind == LETTER_AT_WORK)
        request->answers.at_work(request->answers.ctx, letter->place);
    else if (letter->kind == LETTER_NOT_SENT)
        request_end(request, VANTAGE_END_NOT_CONNECTED);
    /* A process that leaves finishes its jobs: the repeated job may be one of them. */
    else if (!request->is_repeated)
        request->answers.unmanned(request->answers.ctx, letter->place);
}

/* ---- life ---------------------------------------------------------------------------- */

bool nats_asker_new(struct loop *loop, struct courier *courier, size_t worker,
                    struct nats_asker **ret, struct err *err)
{
    struct nats_asker *asker = calloc(1, sizeof *asker);
    if (!asker)
        return err_sys(err, ENOMEM, "NATS");

    asker->head = (struct vantage_asker){
        .ask = ask, .inquire = inquire, .repeat = repeat, .cancel = cancel};
    asker->loop = loop;
    asker->courier = courier;
    asker->worker = worker;
    for (size_t i = 0; i < BUCKETS; i++)
        LIST_INIT(&asker->requests[i]);
    *ret = asker;
    return true;
}

struct nats_asker *nats_asker_free(struct nats_asker *asker)
{
    for (size_t i = 0; asker && i < BUCKETS; i++)
        assert(LIST_EMPTY(&asker->requests[i]));
    free(asker);
    return NULL;
}

struct vantage_asker *nats_asker_interface(struct nats_asker *asker)
{
    return &asker->head;
}
