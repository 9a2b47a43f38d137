/* SPDX-License-Identifier: MIT */
#include "vantage/gather.h"

#include "base/container.h"
#include "base/text.h"
#include "loop/loop.h"
#include "vantage/quorum.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define NOT_AWAITED   "absent"
#define NO_RESPONDERS "no_responders"

/* What is kept of a verdict of another place: many checks of many ports can wait. */
struct kept_verdict {
    uint32_t rtt_us;
    uint16_t proof_port;
    uint8_t state, errnum, proof;
    bool has_rtt;
};

struct gather_place {
    struct expected_place expected;
    bool is_heard; /* something came from it */
    bool is_at_work;
    bool has_answered;
    const char *reason;            /* why it is missing; NULL = not known yet */
    struct kept_verdict *verdicts; /* owned; NULL until it has answered with verdicts */
};

struct gather {
    struct gather_config config;
    struct instant deadline;
    gather_complete_fn *complete;
    void *ctx;
    struct instant begun;
    struct instant own_ended;        /* the last own verdict */
    struct timer timer;              /* runs from then on */
    size_t step;                     /* the next one */
    struct vantage_request *request; /* NULL = none, or ended */
    bool is_repeated;                /* the request */
    bool is_made;                    /* gather_new() has returned */
    bool is_complete;
    size_t asked; /* of config.asked */
    size_t port_count;
    struct port_verdict *own; /* owned; port 0 = not yet */
    size_t place_count;       /* without the own one */
    struct gather_place places[PLACES_MAX - 1];
};

/* ---- completion ------------------------------------------------------------------- */

static bool is_open(const struct gather_place *place)
{
    return !place->has_answered && !place->reason;
}

static bool is_awaited(const struct gather_place *place)
{
    return place->expected.is_awaited && is_open(place);
}

static bool is_quiet(const struct gather_place *place)
{
    return is_awaited(place) && !place->is_at_work;
}

static bool has_any(const struct gather *gather,
                    bool (*is_one)(const struct gather_place *place))
{
    for (size_t i = 0; i < gather->place_count; i++)
        if (is_one(&gather->places[i]))
            return true;
    return false;
}

static void request_end(struct gather *gather, bool is_told)
{
    if (gather->request)
        vantage_cancel(gather->request, is_told || gather->is_repeated);
    gather->request = NULL;
}

/* For a reason that speaks against the place. */
static void miss(struct gather *gather, struct gather_place *place, const char *reason)
{
    place->reason = place->expected.is_awaited ? reason : NOT_AWAITED;
    if (place->expected.is_awaited)
        places_missed(gather->config.places, place->expected.name);
}

/* What remains is missing; only an answer that did not come in time speaks against its
 * place. */
static void complete(struct gather *gather, enum vantage_end end)
{
    bool is_any_open = has_any(gather, is_open);
    for (size_t i = 0; i < gather->place_count; i++) {
        struct gather_place *place = &gather->places[i];
        if (!is_open(place))
            continue;
        if (end == VANTAGE_END_DEADLINE)
            miss(gather, place, vantage_end_text(end));
        else
            place->reason = vantage_end_text(end);
    }
    gather->is_complete = true;
    request_end(gather, is_any_open);
    loop_timer_stop(gather->config.loop, &gather->timer);
    if (gather->is_made)
        gather->complete(gather->ctx);
}

/* ---- places that are late --------------------------------------------------------- */

static struct place_list quiet_places(const struct gather *gather)
{
    struct place_list places = {.count = 0};
    for (size_t i = 0; i < gather->place_count; i++)
        if (is_quiet(&gather->places[i]))
            memcpy(places.names[places.count++], gather->places[i].expected.name,
                   PLACE_NAME_SIZE);
    return places;
}

static bool inquire(struct gather *gather)
{
    struct place_list places = quiet_places(gather);
    vantage_inquire(gather->request, &places);
    return true;
}

static bool ask_again(struct gather *gather)
{
    struct place_list places = quiet_places(gather);
    if (places.count > 0) {
        gather->is_repeated = true;
        vantage_repeat(gather->request, &places);
    }
    return true;
}

static bool miss_all(struct gather *gather)
{
    complete(gather, VANTAGE_END_DEADLINE);
    return false;
}

static bool miss_quiet(struct gather *gather)
{
    for (size_t i = 0; i < gather->place_count; i++)
        if (is_quiet(&gather->places[i]))
            miss(gather, &gather->places[i], vantage_end_text(VANTAGE_END_DEADLINE));
    return has_any(gather, is_awaited) || miss_all(gather);
}

/* The last one counts from the time at which silence is a verdict. */
static const struct step {
    int64_t ms;                          /* since the last own verdict */
    bool (*take)(struct gather *gather); /* false: the gathering is complete */
} steps[] = {
    {GATHER_INQUIRE_MS, inquire},
    {GATHER_REPEAT_MS, ask_again},
    {GATHER_WAIT_MS, miss_quiet},
    {GATHER_WAIT_MS, miss_all},
};

#define LAST_STEP (sizeof steps / sizeof *steps - 1)

static void wait_for_step(struct gather *gather)
{
    const struct step *step = &steps[gather->step];
    struct instant silent = instant_add(gather->begun, gather->config.silence);
    struct instant from = gather->own_ended;
    if (gather->step == LAST_STEP && instant_before(from, silent))
        from = silent;
    struct instant at = instant_add(from, span_ms(step->ms));
    if (!loop_timer_set(gather->config.loop, &gather->timer,
                        instant_min(at, gather->deadline)))
        complete(gather, VANTAGE_END_DEADLINE);
}

static void time_is_over(struct timer *timer)
{
    struct gather *gather = CONTAINER_OF(timer, struct gather, timer);
    if (!instant_before(loop_now(gather->config.loop), gather->deadline))
        gather->step = LAST_STEP;
    if (steps[gather->step++].take(gather))
        wait_for_step(gather);
}

/* ---- answers ---------------------------------------------------------------------- */

static struct gather_place *find(struct gather *gather, const char *name)
{
    for (size_t i = 0; i < gather->place_count; i++)
        if (strcmp(gather->places[i].expected.name, name) == 0)
            return &gather->places[i];
    return NULL;
}

static bool place_is_admitted(void *ctx, const char *name)
{
    struct gather_place *place = find(ctx, name);
    bool is_first = place && !place->is_heard;
    if (is_first)
        place->is_heard = true;
    return is_first;
}

static struct kept_verdict keep(const struct port_verdict *verdict)
{
    return (struct kept_verdict){
        .rtt_us = (uint32_t)(verdict->rtt.ns / 1000),
        .proof_port = verdict->proof_port,
        .state = (uint8_t)verdict->state,
        .errnum = (uint8_t)verdict->errnum, /* of VERDICT_ERROR_MAP */
        .proof = (uint8_t)verdict->proof,
        .has_rtt = verdict->has_rtt,
    };
}

static struct port_verdict recall(const struct kept_verdict *kept, uint16_t port)
{
    return (struct port_verdict){
        .port = port,
        .state = (enum port_state)kept->state,
        .errnum = kept->errnum,
        .has_rtt = kept->has_rtt,
        .rtt.ns = (int64_t)kept->rtt_us * 1000,
        .proof = (enum proof)kept->proof,
        .proof_port = kept->proof_port,
    };
}

/* NULL without memory. */
static struct kept_verdict *keep_all(const struct port_verdict *verdicts, size_t count)
{
    struct kept_verdict *kept = malloc(count * sizeof *kept);
    for (size_t i = 0; kept && i < count; i++)
        kept[i] = keep(&verdicts[i]);
    return kept;
}

static void place_has_answered(void *ctx, const struct vantage_answer *answer)
{
    struct gather *gather = ctx;
    struct gather_place *place = find(gather, answer->place);
    if (!place || !is_open(place))
        return;
    if (answer->verdicts) {
        place->verdicts = keep_all(answer->verdicts, gather->port_count);
        if (!place->verdicts)
            return; /* as if it had not come */
    } else {
        place->reason = vantage_refusal_text(answer->refusal);
    }
    place->has_answered = true;
    places_answered(gather->config.places, place->expected.name, !place->verdicts);
    if (!has_any(gather, is_awaited))
        complete(gather, VANTAGE_END_DEADLINE);
}

static void place_is_at_work(void *ctx, const char *name)
{
    struct gather_place *place = find(ctx, name);
    if (place)
        place->is_at_work = true;
}

static void place_is_unmanned(void *ctx, const char *name)
{
    struct gather *gather = ctx;
    struct gather_place *place = find(gather, name);
    if (!place || !is_open(place))
        return;

    miss(gather, place, NO_RESPONDERS);
    if (!has_any(gather, is_awaited))
        complete(gather, VANTAGE_END_DEADLINE);
}

static void no_more_answers(void *ctx, enum vantage_end end)
{
    struct gather *gather = ctx;
    gather->request = NULL;
    complete(gather, end);
}

size_t gather_expected(const struct gather_config *config)
{
    struct expected_places expected;
    size_t count = 1;
    places_expect(config->places, loop_now(config->loop), &expected);
    for (size_t i = 0; i < expected.count; i++)
        count += expected.items[i].is_awaited;
    return count;
}

/* ---- life ------------------------------------------------------------------------- */

static bool id_make(char ret_id[static VANTAGE_ID_LEN + 1])
{
    uint8_t random[VANTAGE_ID_LEN / 2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return false;

    text_hex(random, sizeof random, ret_id);
    ret_id[VANTAGE_ID_LEN] = '\0';
    return true;
}

static bool ask(struct gather *gather, const struct vantage_job *asked)
{
    struct vantage_job job = *asked;
    struct place_list places = {.count = gather->place_count};
    struct instant now = loop_now(gather->config.loop);
    int64_t left = instant_since(gather->deadline, now).ns / NS_PER_MS;
    int64_t ms = left - GATHER_MARGIN_MS;
    const struct vantage_answers answers = {
        .admit = place_is_admitted,
        .answered = place_has_answered,
        .at_work = place_is_at_work,
        .unmanned = place_is_unmanned,
        .ended = no_more_answers,
        .ctx = gather,
    };
    if (ms < 1 || !id_make(job.id))
        return false;

    for (size_t i = 0; i < gather->place_count; i++)
        memcpy(places.names[i], gather->places[i].expected.name, PLACE_NAME_SIZE);
    job.budget_ms = (unsigned)(ms < VANTAGE_BUDGET_MS ? ms : VANTAGE_BUDGET_MS);
    job.exp_ms = clock_unix_ms() + left;
    gather->asked = job.port_count;
    *gather->config.asked += gather->asked;
    return vantage_ask(gather->config.asker, &job, &places, gather->deadline, &answers,
                       &gather->request);
}

static struct gather *allocate(size_t port_count)
{
    struct gather *gather = calloc(1, sizeof *gather);
    struct port_verdict *own = calloc(port_count, sizeof *own);
    if (!gather || !own) {
        free(gather);
        free(own);
        return NULL;
    }
    gather->port_count = port_count;
    gather->own = own;
    timer_init(&gather->timer, time_is_over);
    return gather;
}

static void begin(struct gather *gather, const struct vantage_job *job)
{
    if (!has_any(gather, is_awaited))
        complete(gather, VANTAGE_END_DEADLINE);
    else if (job->port_count > VANTAGE_PORTS_MAX)
        complete(gather, VANTAGE_END_TOO_LARGE);
    else if (job->port_count > GATHER_PORTS_MAX - *gather->config.asked)
        complete(gather, VANTAGE_END_TOO_MANY);
    else if (!ask(gather, job))
        complete(gather, VANTAGE_END_NOT_CONNECTED);
}

struct gather *gather_new(const struct gather_config *config, const struct vantage_job *job,
                          struct instant deadline, gather_complete_fn *fn, void *ctx)
{
    struct expected_places expected;
    places_expect(config->places, loop_now(config->loop), &expected);
    struct gather *gather = expected.count > 0 ? allocate(job->port_count) : NULL;
    if (!gather)
        return NULL;

    gather->config = *config;
    gather->begun = loop_now(config->loop);
    gather->deadline = deadline;
    gather->complete = fn;
    gather->ctx = ctx;
    gather->place_count = expected.count;
    for (size_t i = 0; i < expected.count; i++)
        gather->places[i].expected = expected.items[i];
    begin(gather, job);
    gather->is_made = true;
    return gather;
}

struct gather *gather_free(struct gather *gather)
{
    if (!gather)
        return NULL;

    request_end(gather, has_any(gather, is_open));
    *gather->config.asked -= gather->asked;
    loop_timer_stop(gather->config.loop, &gather->timer);
    for (size_t i = 0; i < gather->place_count; i++)
        free(gather->places[i].verdicts);
    free(gather->own);
    free(gather);
    return NULL;
}

/* ---- own verdicts ----------------------------------------------------------------- */

void gather_own(struct gather *gather, size_t index, const struct port_verdict *verdict)
{
    assert(index < gather->port_count && verdict->port != 0);
    gather->own[index] = *verdict;
}

void gather_own_ended(struct gather *gather)
{
    gather->own_ended = loop_now(gather->config.loop);
    if (!gather->is_complete)
        wait_for_step(gather);
}

bool gather_has_own(const struct gather *gather, size_t index)
{
    return gather->own[index].port != 0;
}

bool gather_is_complete(const struct gather *gather)
{
    return gather->is_complete;
}

/* ---- the result ------------------------------------------------------------------- */

size_t gather_places(const struct gather *gather)
{
    return gather->place_count + 1;
}

struct gather_view gather_view(const struct gather *gather, size_t place, size_t index)
{
    struct gather_view view = {.place = gather->config.own, .verdict = gather->own[index]};
    if (place == 0)
        return view;

    const struct gather_place *other = &gather->places[place - 1];
    view.place = other->expected.name;
    view.reason = other->verdicts ? NULL : other->reason;
    view.is_refusal = other->has_answered && !other->verdicts;
    if (other->verdicts)
        view.verdict = recall(&other->verdicts[index], view.verdict.port);
    return view;
}

bool gather_is_undecided(const struct gather *gather, size_t index)
{
    for (size_t i = 0; i < gather_places(gather); i++) {
        struct gather_view view = gather_view(gather, i, index);
        if (!view.reason && view.verdict.state != PORT_STATE_OPEN)
            return false;
    }
    return gather_verdict(gather, index).state == PORT_STATE_LIMITED;
}

struct gather_summary gather_summary(const struct gather *gather)
{
    struct gather_summary summary = {.places = gather_places(gather), .answered = 1};
    for (size_t i = 0; i < gather->place_count; i++)
        summary.answered += gather->places[i].verdicts != NULL;
    summary.needed =
        summary.answered > 1 ? quorum_needed(summary.places, gather->config.quorum) : 1;
    return summary;
}

struct port_verdict gather_verdict(const struct gather *gather, size_t index)
{
    struct gather_view views[PLACES_MAX];
    const struct port_verdict *verdicts[PLACES_MAX];
    size_t count = gather_places(gather);
    assert(gather_has_own(gather, index));
    for (size_t i = 0; i < count; i++) {
        views[i] = gather_view(gather, i, index);
        verdicts[i] = views[i].reason ? NULL : &views[i].verdict;
    }
    return quorum_merge(verdicts, count, quorum_needed(count, gather->config.quorum));
}
