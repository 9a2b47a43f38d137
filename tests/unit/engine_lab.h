/* SPDX-License-Identifier: MIT
 *
 * A laboratory for the probe engine inside the test program: the namespaces of
 * network_lab.h, and a rig of loop, engine and checks.
 *
 * A busy machine must not matter. Lower limits of times are exact; an upper limit is the
 * least time that a faulty engine would take, for instance its timeout. What an engine
 * sends in a time is limited from above only if nothing was late, see rig_watch_delays().
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "loop/loop.h"
#include "network_lab.h"
#include "probe/engine.h"

#define RIG_CHECKS 256

/* --- the rig ------------------------------------------------------------------------ */

struct rig;

struct check {
    struct rig *rig;
    struct job *job; /* NULL once done or cancelled */
    size_t count;
    size_t settled;
    size_t last_index;
    bool is_done;
    struct instant done_at;
    struct job_result result;
    struct port_verdict *verdicts; /* owned; of `settled`, by index */
    void (*on_settled)(struct check *check);
};

struct rig {
    struct loop *loop;
    struct engine *engine;
    struct probe_limit limit;
    struct engine_config config;
    const struct proof_token *token; /* of the checks from here on; borrowed */
    const char *caller;              /* the same; NULL = the owner of the engine */
    struct timer guard, idle;
    struct timer extra; /* the test's */
    struct timer tick;  /* see rig_watch_delays() */
    struct instant tick_due;
    struct span delay_max;
    unsigned delays;
    int descriptors;
    struct instant started_at;

    int attempted, controls, controls_answered, settled, deferred, deferred_ever, suspected,
        faults, last_fault;
    size_t in_flight_max;
    void (*on_attempt)(struct rig *rig);
    void (*on_idle)(struct rig *rig); /* once, when all checks have ended; may start more */

    struct check checks[RIG_CHECKS];
    size_t check_count;
    size_t unfinished;
};

static inline void rig_attempted(void *ctx)
{
    struct rig *rig = ctx;
    rig->attempted++;
    size_t in_flight = atomic_load(&rig->limit.in_flight);
    if (in_flight > rig->in_flight_max)
        rig->in_flight_max = in_flight;
    if (rig->on_attempt)
        rig->on_attempt(rig);
}

static inline void rig_controlled(void *ctx, bool is_answered)
{
    struct rig *rig = ctx;
    rig->controls++;
    rig->controls_answered += is_answered;
}

static inline void rig_settled(void *ctx, const struct port_verdict *verdict)
{
    struct rig *rig = ctx;
    (void)verdict;
    rig->settled++;
}

static inline void rig_deferred(void *ctx, int change)
{
    struct rig *rig = ctx;
    rig->deferred += change;
    if (change > 0)
        rig->deferred_ever++;
    assert_true(rig->deferred >= 0);
}

static inline void rig_suspected(void *ctx)
{
    struct rig *rig = ctx;
    rig->suspected++;
}

static inline void rig_fault(void *ctx, int errnum)
{
    struct rig *rig = ctx;
    rig->faults++;
    rig->last_fault = errnum;
}

/* Not within `done` of the last check: what it starts is a session of its own. */
static inline void rig_idle(struct timer *timer)
{
    struct rig *rig = (void *)((char *)timer - offsetof(struct rig, idle));
    void (*on_idle)(struct rig *) = rig->on_idle;
    rig->on_idle = NULL;
    on_idle(rig);
    if (rig->unfinished == 0)
        loop_stop(rig->loop);
}

static inline void rig_guard(struct timer *timer)
{
    (void)timer;
    fail_msg("the check has not ended after 90 seconds");
}

/* A busy machine delays answers, and some of what an engine does depends on that. A test
 * that has called this before rig_run() knows how late the loop was at most, and how many
 * times it was late by RIG_DELAY_MS or more. */
#define RIG_TICK_MS  10
#define RIG_DELAY_MS 30

static inline void rig_tick_set(struct rig *rig)
{
    rig->tick_due = instant_add(clock_now(), span_ms(RIG_TICK_MS));
    assert_true(loop_timer_set(rig->loop, &rig->tick, rig->tick_due));
}

static inline void rig_tick(struct timer *timer)
{
    struct rig *rig = (void *)((char *)timer - offsetof(struct rig, tick));
    struct span delay = instant_since(clock_now(), rig->tick_due);
    if (delay.ns > rig->delay_max.ns)
        rig->delay_max = delay;
    rig->delays += delay.ns >= RIG_DELAY_MS * NS_PER_MS;
    rig_tick_set(rig);
}

static inline void rig_watch_delays(struct rig *rig)
{
    timer_init(&rig->tick, rig_tick);
    rig_tick_set(rig);
}

/* Half a second for an answer; change rig->config before the first check. */
static inline struct rig *rig_new(void)
{
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->descriptors = count_descriptors();
    assert_true(loop_new(&rig->loop, NULL));
    rig->limit.max = 4096;
    rig->config = (struct engine_config){
        .timeout = span_ms(500),
        .refusals_needed = 1,
        .refusal_delay = span_ms(100),
        .limit = &rig->limit,
        .observer = {.ctx = rig,
                     .attempted = rig_attempted,
                     .controlled = rig_controlled,
                     .settled = rig_settled,
                     .deferred = rig_deferred,
                     .suspected = rig_suspected,
                     .local_fault = rig_fault},
    };
    timer_init(&rig->guard, rig_guard);
    timer_init(&rig->idle, rig_idle);
    rig->started_at = clock_now();
    return rig;
}

static inline struct rig *rig_with_ms(int64_t ms)
{
    struct rig *rig = rig_new();
    rig->config.timeout = span_ms(ms);
    return rig;
}

static inline void check_settled(void *ctx, size_t index,
                                 const struct port_verdict *verdict)
{
    struct check *check = ctx;
    assert_true(index < check->count);
    assert_int_equal(check->verdicts[index].port, 0); /* each port once */
    assert_false(check->is_done);
    check->verdicts[index] = *verdict;
    check->last_index = index;
    check->settled++;
    if (check->on_settled)
        check->on_settled(check);
}

static inline void check_end(struct check *check)
{
    struct rig *rig = check->rig;
    check->job = NULL;
    if (--rig->unfinished > 0)
        return;
    if (rig->on_idle)
        assert_true(loop_timer_set(rig->loop, &rig->idle, clock_now()));
    else
        loop_stop(rig->loop);
}

static inline void check_done(void *ctx, const struct job *job,
                              const struct job_result *result)
{
    struct check *check = ctx;
    assert_false(check->is_done);
    assert_ptr_equal(job, check->job);
    check->is_done = true;
    check->done_at = clock_now();
    check->result = *result;
    for (size_t i = 0; result->end == JOB_JUDGED && i < check->count; i++)
        assert_memory_equal(job_verdict(job, i), &check->verdicts[i],
                            sizeof check->verdicts[i]);
    check_end(check);
}

/* Starts a check of `count` ports, judged within `deadline_ms` or not at all. */
static inline struct check *rig_check(struct rig *rig, const char *target,
                                      const uint16_t *ports, size_t count,
                                      int64_t deadline_ms)
{
    struct err err;
    assert_true(rig->check_count < RIG_CHECKS);
    if (!rig->engine)
        assert_true(engine_new(rig->loop, &rig->config, &rig->engine, NULL));

    struct check *check = &rig->checks[rig->check_count++];
    check->rig = rig;
    check->count = count;
    check->verdicts = calloc(count, sizeof *check->verdicts);
    assert_non_null(check->verdicts);
    rig->unfinished++;
    const struct address caller =
        rig->caller ? address_of(rig->caller) : (struct address){0};
    const struct job_request request = {
        .target = address_of(target),
        .caller = rig->caller ? &caller : NULL,
        .token = rig->token,
        .ports = ports,
        .port_count = count,
        .deadline = instant_add(clock_now(), span_ms(deadline_ms)),
        .settled = check_settled,
        .done = check_done,
        .ctx = check,
    };
    if (!engine_start(rig->engine, &request, &check->job, &err))
        fail_msg("%s", err.message);
    return check;
}

static inline struct check *rig_check_one(struct rig *rig, const char *target,
                                          uint16_t port)
{
    return rig_check(rig, target, &port, 1, 20000);
}

static inline void check_cancel(struct check *check)
{
    engine_cancel(check->job, NULL);
    check_end(check);
}

/* Until every check has ended. */
static inline void rig_run(struct rig *rig)
{
    struct err err;
    assert_true(
        loop_timer_set(rig->loop, &rig->guard, instant_add(clock_now(), span_seconds(90))));
    if (!loop_run(rig->loop, &err))
        fail_msg("%s", err.message);
}

/* Nothing may be left behind. */
static inline void rig_free(struct rig *rig)
{
    assert_int_equal(rig->engine ? engine_jobs(rig->engine) : 0, 0);
    rig->engine = engine_free(rig->engine);
    loop_free(rig->loop);
    assert_int_equal(rig->deferred, 0);
    assert_int_equal(atomic_load(&rig->limit.in_flight), 0);
    assert_int_equal(count_descriptors(), rig->descriptors);
    for (size_t i = 0; i < rig->check_count; i++)
        free(rig->checks[i].verdicts);
    free(rig);
}

static inline int64_t rig_age_ms(const struct rig *rig, struct instant at)
{
    return instant_since(at, rig->started_at).ns / NS_PER_MS;
}

static inline void assert_state(const struct check *check, size_t index,
                                enum port_state state)
{
    assert_true(check->is_done);
    if (check->result.end != JOB_JUDGED)
        fail_msg("no verdict: end %d, %s", (int)check->result.end,
                 check->result.reason.message);
    if (check->verdicts[index].state != state)
        fail_msg("port %u is %s, not %s", (unsigned)check->verdicts[index].port,
                 port_state_text(check->verdicts[index].state), port_state_text(state));
}

static inline size_t count_state(const struct check *check, enum port_state state)
{
    size_t count = 0;
    for (size_t i = 0; i < check->count; i++)
        if (check->verdicts[i].port != 0 && check->verdicts[i].state == state)
            count++;
    return count;
}

/* The check ended without a verdict about its other ports because this machine seems to
 * lose what it sends. */
static inline void assert_self_doubt(const struct check *check, size_t settled)
{
    assert_true(check->is_done);
    if (check->result.end != JOB_FAULT)
        fail_msg("end %d: %s", (int)check->result.end, check->result.reason.message);
    assert_non_null(strstr(check->result.reason.message, "lose what it sends"));
    assert_int_equal(check->settled, settled);
    assert_int_equal(count_state(check, PORT_STATE_FILTERED), 0);
}
