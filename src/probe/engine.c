/* SPDX-License-Identifier: MIT
 *
 * Jobs: how they start, take turns, and end.
 *
 * A turn of the engine starts at most TURN_STARTS attempts, one per caller in rotation, and
 * one per job in rotation among the jobs of a caller: neither a job of a thousand ports nor
 * a caller of a hundred jobs delays a job of one port. A caller that may have no further
 * socket is passed over until the next turn. A job whose address may not be probed faster
 * waits at that address and costs nothing in the meantime.
 */
#include "probe/engine.h"

#include "base/container.h"
#include "base/fd.h"
#include "base/text.h"
#include "probe/engine_state.h"
#include "probe/source_ports.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define TRIM_PORTS          4096
#define TURN_STARTS         64
#define LINEAR_TIMEOUTS_MAX 127    /* as the kernel bounds it */
#define DOUBT_WATCH_MS      250    /* how often to look for signs of our own trouble */
#define PORTS_MAX           262144 /* ports of all jobs: some 50 MB */
#define SHORT_MS            5      /* when to look again while others hold all the quota */

/* --- the end of a job --------------------------------------------------------------- */

/* The fault that keeps one of its ports from a verdict and has not been cleared; NULL if
 * there is no such fault. */
static const struct local_fault *job_local_fault(const struct job *job)
{
    for (size_t i = 0; i < job->port_count; i++)
        if (job->ports[i].phase != PORT_SETTLED && job->ports[i].local_fault.text)
            return &job->ports[i].local_fault;
    return NULL;
}

static void job_fail_late(struct job *job)
{
    const struct local_fault *fault = job_local_fault(job);
    struct err reason;
    if (!fault)
        err_set(&reason, ERR_LIMIT,
                "this checker is too busy: %zu of %zu ports were not judged in time",
                job->unsettled, job->port_count);
    else if (fault->errnum)
        err_sys(&reason, fault->errnum, "%s", fault->text);
    else
        err_set(&reason, ERR_SYSTEM, "%s", fault->text);
    job_fail(job, fault ? JOB_FAULT : JOB_OVERLOADED, &reason);
}

/* The timers of every port and of every job's address, its own two and those of its
 * controls, if a job of `ports` is added. */
static size_t timers_needed(const struct engine *engine, size_t ports)
{
    return engine->port_count + ports + (engine->job_count + 1) * (2 + CONTROL_PROBES_MAX);
}

static void job_deadline(struct timer *timer)
{
    struct job *job = CONTAINER_OF(timer, struct job, deadline);
    if (limited_deadline(job) && job->unsettled > 0)
        job_fail_late(job);
}

static void host_release(struct engine *engine, struct host *host)
{
    if (host->users == 1) {
        control_probes_end(host);
        timers_stop(&engine->timers, &host->limit.timer);
        if (host->has_news)
            TAILQ_REMOVE(&engine->news, host, news_link);
        host->has_news = host->is_to_limit = false;
    }
    host_table_put(engine->hosts, host);
}

static void job_free(struct job *job)
{
    struct engine *engine = job->engine;
    struct host *host = job->host;

    job_leave_place(job);
    loop_timer_stop(engine->loop, &job->deadline);
    LIST_REMOVE(job, engine_link);
    LIST_REMOVE(job, host_link);
    if (engine->ending == job)
        engine->ending = NULL;
    engine->port_count -= job->port_count;
    if (--engine->job_count == 0)
        loop_watch_stalls(engine->loop, false);
    trim_note(&engine->trim, job->port_count);

    /* Jobs that wait behind this one at its address must not wait for it. */
    host_wake(engine, host);
    host_release(engine, host);
    share_put(engine, job->share);
    free(job);
    timers_shrink(&engine->timers, timers_needed(engine, 0));
}

static bool is_unanswered(const struct port *port)
{
    const struct evidence *evidence = &port->evidence;
    bool is_refused = port->phase == PORT_LIMITED && port->job->host->limit.is_by_refusal;
    return port->is_tried && port->phase != PORT_SETTLED && port->phase != PORT_PROVING &&
           evidence->refusals + evidence->errors + evidence->prohibitions == 0 &&
           !is_refused;
}

size_t engine_cancel(struct job *job, size_t *ret_silent)
{
    size_t untried = job->untried;
    size_t silent = job->result.silent;
    for (size_t i = 0; i < job->port_count; i++)
        silent += is_unanswered(&job->ports[i]);
    if (ret_silent)
        *ret_silent = silent;
    job_abandon_ports(job);
    job_free(job);
    return untried;
}

const struct port_verdict *job_verdict(const struct job *job, size_t index)
{
    assert(index < job->port_count && job->result.end == JOB_JUDGED);
    return &job->ports[index].verdict;
}

/* --- taking a job ------------------------------------------------------------------- */

/* Firewalls take notice of ports that are asked in ascending order, and some let through
 * only the first: these are the ports that the caller named first. */
static void job_shuffle(struct job *job)
{
    for (size_t i = 0; i < job->port_count; i++) {
        size_t j = i;
        if (i > JOB_PORTS_FIRST)
            j = JOB_PORTS_FIRST +
                (size_t)(engine_random(job->engine) % (i + 1 - JOB_PORTS_FIRST));
        job->order[i] = job->order[j];
        job->order[j] = (uint16_t)i;
    }
}

static struct job *job_new(struct engine *engine, const struct job_request *request)
{
    size_t count = request->port_count;
    struct job *job =
        malloc(sizeof *job + count * (sizeof *job->ports + sizeof *job->order));
    if (!job)
        return NULL;

    *job = (struct job){
        .engine = engine,
        .target = request->target,
        .settled = request->settled,
        .done = request->done,
        .ctx = request->ctx,
        .port_count = count,
        .unsettled = count,
        .untried = count,
        .order = (void *)&job->ports[count],
    };
    if (request->token) {
        job->has_token = true;
        job->token = *request->token;
    }
    TAILQ_INIT(&job->again);
    timer_init(&job->deadline, job_deadline);
    for (size_t i = 0; i < count; i++)
        port_init(&job->ports[i], job, request->ports[i]);
    job_shuffle(job);
    return job;
}

static void host_timer(struct timer *timer)
{
    struct host *host = CONTAINER_OF(timer, struct host, timer);
    host_wake(host->engine, host);
}

static bool job_attach(struct engine *engine, struct job *job,
                       const struct job_request *request)
{
    job->share = share_get(engine, request->caller);
    if (!job->share)
        return false;
    job->host = host_table_get(engine->hosts, &job->target);
    if (!job->host) {
        share_put(engine, job->share);
        return false;
    }
    if (!loop_timer_set(engine->loop, &job->deadline, request->deadline)) {
        host_table_put(engine->hosts, job->host);
        share_put(engine, job->share);
        return false;
    }
    job->host->engine = engine;
    job->host->timer.fire = host_timer;
    if (job->host->users == 1)
        host_session_begin(job->host, engine_now(engine));
    LIST_INSERT_HEAD(&job->host->jobs, job, host_link);
    return true;
}

bool engine_start(struct engine *engine, const struct job_request *request,
                  struct job **ret, struct err *err)
{
    assert(request->port_count > 0 && request->port_count <= UINT16_MAX && request->done);
    if (request->port_count > PORTS_MAX - engine->port_count)
        return err_set(err, ERR_LIMIT, "this checker is already checking %zu ports",
                       engine->port_count);
    if (!timers_reserve(&engine->timers, timers_needed(engine, request->port_count)))
        return err_sys(err, ENOMEM, "starting a check");

    struct job *job = job_new(engine, request);
    if (!job || !job_attach(engine, job, request)) {
        free(job);
        return err_sys(err, ENOMEM, "starting a check");
    }
    LIST_INSERT_HEAD(&engine->jobs, job, engine_link);
    engine->port_count += job->port_count;
    if (engine->job_count++ == 0)
        loop_watch_stalls(engine->loop, true);
    if (job->host->limit.is_on)
        limited_join(job);
    else
        job_run(job);
    loop_again(engine->loop);
    *ret = job;
    return true;
}

/* --- turns -------------------------------------------------------------------------- */

/* Each port gets its first attempt before any gets its last. */
static struct port *job_next_port(struct job *job)
{
    struct port *port = TAILQ_FIRST(&job->again);
    bool has_fresh = job->next_fresh < job->port_count;
    if (!port || (has_fresh && port->evidence.attempts + 1 >= SCHEDULE_ATTEMPTS_MAX))
        return &job->ports[job->order[job->next_fresh]];
    return port;
}

static size_t doubted_wave(const struct job *job)
{
    return job->doubted < JOB_SECOND_LOOKS ? job->doubted : JOB_SECOND_LOOKS;
}

/* Sends the port's next SYN and the controls that belong beside it, which is when silence
 * or a refusal needs them: not with a port's first. */
static void attempt_with_controls(struct port *port)
{
    struct job *job = port->job;
    struct engine *engine = job->engine;
    struct host *host = job->host;
    uint16_t number = port->verdict.port;
    bool is_doubted = port->first_negative.ns != 0;
    unsigned before = 0, after = 0;
    int errnum; /* what comes of the port's own attempt tells enough */

    if (port->evidence.attempts > 0 && host_is_answering(host))
        control_plan_next(is_doubted ? &host->controls.refused : &host->controls.silent,
                          is_doubted ? doubted_wave(job) : job->unsettled,
                          engine_random(engine), &before, &after);
    while (before-- > 0)
        control_probe_send(engine, host, number, &errnum);
    port_attempt(port);
    while (after-- > 0 && host->users > 0) /* the job may be gone */
        control_probe_send(engine, host, number, &errnum);
}

/* Where nothing answers at all, only its time-out ends a port, and further attempts do not
 * bring that nearer: a caller that is short of sockets has better uses for them. */
static bool port_take_quota(struct port *port)
{
    struct engine *engine = port->job->engine;
    struct share *share = port->job->share;
    bool is_further = !LIST_EMPTY(&port->attempts);
    if (is_further && !host_is_answering(port->job->host) && share_was_short(engine, share))
        return false;
    if (share_take(engine, share, is_further)) {
        port->is_on_loan = false;
        return true;
    }
    if (is_further || !share_may_borrow(engine, share) || !share_borrow(engine, share))
        return false;
    port->is_on_loan = true;
    return true;
}

/* Starts one attempt of one job. False when it may have no socket now. */
static bool share_start_one(struct engine *engine, struct share *share)
{
    struct job *job = TAILQ_FIRST(&share->running);
    struct instant until;
    if (!job_has_work(job)) {
        job_leave_place(job);
        host_wake_next(engine, job->host);
        return true;
    }
    if (!host_may_start(job->host, engine_now(engine), &until)) {
        job_wait(job, until);
        return true;
    }
    struct port *port = job_next_port(job);
    bool has_quota = port_take_quota(port);
    if (!has_quota && LIST_EMPTY(&port->attempts))
        return false;
    share_rotate(engine, share);

    /* Jobs that wait for this address come before this job's next port: if its window opens
     * one place at a time, the same job would take every place. */
    job_take_port(job, port);
    job_leave_place(job);
    host_wake_next(engine, job->host);
    if (job_has_work(job))
        job_run(job);
    if (has_quota)
        attempt_with_controls(port);
    else
        port_do_without(port);
    return true;
}

/* How many steps were taken. */
static unsigned engine_start_some(struct engine *engine)
{
    unsigned steps = 0;
    struct share *share;
    shares_retry(engine);
    while (steps < TURN_STARTS && (share = share_next(engine))) {
        if (share_start_one(engine, share))
            steps++;
        else
            share_fall_short(engine, share);
    }
    return steps;
}

static void engine_report_finished(struct engine *engine)
{
    struct job *job;
    while ((job = TAILQ_FIRST(&engine->finished))) {
        job->done(job->ctx, job, &job->result);
        job_free(job);
    }
}

/* Makes the loop wake us when the earliest of our own timers is due. */
static void engine_set_wake(struct engine *engine)
{
    struct instant next;
    bool is_needed = timers_next(&engine->timers, &next);
    if (!TAILQ_EMPTY(&engine->short_shares)) {
        struct instant again = instant_add(engine_now(engine), span_ms(SHORT_MS));
        next = is_needed ? instant_min(next, again) : again;
        is_needed = true;
    }
    if (!is_needed) {
        loop_timer_stop(engine->loop, &engine->wake);
        return;
    }

    struct instant at = instant_add(next, loop_stalled(engine->loop));
    if (!timer_is_set(&engine->wake) || engine->wake.deadline.ns != at.ns)
        loop_timer_set(engine->loop, &engine->wake, at);
}

static void engine_take_news(struct engine *engine)
{
    struct host *host;
    while ((host = TAILQ_FIRST(&engine->news))) {
        TAILQ_REMOVE(&engine->news, host, news_link);
        host->has_news = false;
        limited_news(engine, host);
    }
}

static bool engine_turn(void *ctx)
{
    struct engine *engine = ctx;
    timers_fire(&engine->timers, engine_now(engine));
    engine_take_news(engine);

    if (engine->in_flight > 0)
        doubt_look(engine, span_ms(DOUBT_WATCH_MS));
    unsigned steps = engine_start_some(engine);
    engine_report_finished(engine);
    engine_set_wake(engine);
    return steps == TURN_STARTS;
}

static void engine_wake(struct timer *timer)
{
    (void)timer; /* the turn that it caused does the work */
}

/* --- life --------------------------------------------------------------------------- */

/* How often the kernel repeats a SYN every second before it slows down; 0 before 6.5. */
static unsigned linear_timeouts_read(void)
{
    char digits[16];
    size_t len;
    uint64_t value = 0;
    if (fd_read_file("/proc/sys/net/ipv4/tcp_syn_linear_timeouts", digits, sizeof digits,
                     &len, NULL) &&
        len > 0)
        text_parse_u64(digits, len - 1, LINEAR_TIMEOUTS_MAX, &value);
    return (unsigned)value;
}

bool engine_new(struct loop *loop, const struct engine_config *config, struct engine **ret,
                struct err *err)
{
    struct engine *engine = calloc(1, sizeof *engine);
    if (!engine)
        return err_sys(err, ENOMEM, "probe engine");

    engine->loop = loop;
    engine->config = *config;
    engine->rules = (struct schedule_rules){
        .timeout = config->timeout,
        .refusals_needed = config->refusals_needed,
        .refusal_delay = config->refusal_delay,
        .linear_timeouts = linear_timeouts_read(),
    };
    engine->ceiling = config->limit->max;
    timers_init(&engine->timers);
    timer_init(&engine->wake, engine_wake);
    trim_init(&engine->trim, loop, TRIM_PORTS);
    LIST_INIT(&engine->jobs);
    TAILQ_INIT(&engine->first_shares);
    TAILQ_INIT(&engine->shares);
    TAILQ_INIT(&engine->short_shares);
    TAILQ_INIT(&engine->finished);
    TAILQ_INIT(&engine->news);
    if (getrandom(&engine->random, sizeof engine->random, 0) != sizeof engine->random) {
        free(engine);
        return err_sys(err, errno, "getrandom");
    }
    engine->random |= 1; /* xorshift never leaves zero */
    engine->sources = source_ports_of_system(
        config->part, config->parts > 0 ? config->parts : 1, engine_random(engine));
    if (!host_table_new(HOST_TABLE_MAX, &engine->hosts, err)) {
        free(engine);
        return false;
    }
    if (!address_table_init(&engine->callers, SIZE_MAX, err)) { /* jobs limit them */
        host_table_free(engine->hosts);
        free(engine);
        return false;
    }
    loop_each_turn(loop, engine_turn, engine);
    *ret = engine;
    return true;
}

struct engine *engine_free(struct engine *engine)
{
    if (!engine)
        return NULL;

    struct job *job;
    while ((job = LIST_FIRST(&engine->jobs)))
        engine_cancel(job, NULL);
    loop_each_turn_end(engine->loop, engine_turn, engine);
    loop_timer_stop(engine->loop, &engine->wake);
    trim_done(&engine->trim);
    timers_done(&engine->timers);
    host_table_free(engine->hosts);
    address_table_done(&engine->callers);
    free(engine);
    return NULL;
}

size_t engine_jobs(const struct engine *engine)
{
    return engine->job_count;
}
