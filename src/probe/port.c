/* SPDX-License-Identifier: MIT
 *
 * One port of a job: sends its attempts when `schedule` says so, reads what became of
 * them, adds it up as `evidence`, and settles the port once.
 */
#include "base/fd.h"
#include "probe/attempt.h"
#include "probe/engine_state.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SELF_CONNECTS_MAX 3
#define BACKOFF_FIRST_MS  50
#define BACKOFF_DOUBLINGS 3 /* 50, 100, 200, 400 ms */

static void port_look(struct port *port);

/* --- attempts ----------------------------------------------------------------------- */

/* Closing before reporting: what follows may start the next attempt and must find this
 * descriptor already returned to the quota. */
static void attempt_end(struct attempt *attempt)
{
    struct port *port = attempt->port;
    struct engine *engine = port->job->engine;
    struct attempt **at = &port->attempts;
    while (*at != attempt)
        at = &(*at)->next;
    *at = attempt->next;

    loop_watch_drop(engine->loop, -1, &attempt->watch);
    fd_close(&attempt->fd);
    quota_return(engine);
    host_ended(port->job->host, &attempt->window);
    host_wake(engine, port->job->host);
    free(attempt);
}

static void attempts_end(struct port *port)
{
    while (port->attempts)
        attempt_end(port->attempts);
}

/* Takes the port out of whatever it waits for. */
static void port_stop(struct port *port)
{
    struct engine *engine = port->job->engine;
    attempts_end(port);
    timers_stop(&engine->timers, &port->timer);
    if (port->is_again)
        TAILQ_REMOVE(&port->job->again, port, queue_link);
    port->is_again = false;
    if (port->phase == PORT_DEFERRED)
        engine->config.observer.deferred(engine->config.observer.ctx, -1);
    port->phase = PORT_SETTLED;
}

static void settle(struct port *port, enum port_state state, int errnum)
{
    struct engine *engine = port->job->engine;
    port_stop(port);
    port->verdict.state = state;
    port->verdict.errnum = errnum;
    port->verdict.duration = instant_since(engine_now(engine), port->first_syn);
    engine->config.observer.settled(engine->config.observer.ctx, &port->verdict);
    job_port_settled(port->job, port);
}

/* --- what an attempt told ----------------------------------------------------------- */

/* This checker could not try: the port's clock stops, and after a pause it queues again. */
static void port_defer(struct port *port, int errnum)
{
    struct job *job = port->job;
    struct engine *engine = job->engine;
    unsigned doublings =
        port->faults < BACKOFF_DOUBLINGS ? port->faults : BACKOFF_DOUBLINGS;

    if (port->faults < UINT8_MAX)
        port->faults++;
    job->has_fault = true;
    err_sys(&job->result.reason, errnum, "this checker could not open a connection");
    engine->config.observer.local_fault(engine->config.observer.ctx, errnum);

    /* It waits for another turn already, with another attempt still open. */
    if (port->is_again || port->phase == PORT_DEFERRED)
        return;
    engine->config.observer.deferred(engine->config.observer.ctx, 1);
    if (port->phase == PORT_PROBING)
        port->stopped_at = engine_now(engine);
    port->phase = PORT_DEFERRED;
    timers_set(&engine->timers, &port->timer,
               instant_add(engine_now(engine), span_ms(BACKOFF_FIRST_MS << doublings)));
}

/* In words, because only the operator of this checker can mend it. */
static void no_route_reason(const struct job *job, int errnum, struct err *ret)
{
    int family = address_family_number(&job->target);
    const char *text = strerrordesc_np(errnum);

    if (errnum == EPERM || errnum == EACCES)
        err_set(ret, ERR_SYSTEM,
                "a firewall or routing rule of this checker forbids it to reach the IPv%d "
                "address (%s)",
                family, text);
    else
        err_set(ret, ERR_SYSTEM, "this checker has no IPv%d route to the address (%s)",
                family, text);
    ret->errnum = errnum;
}

static void port_no_route(struct port *port, int errnum)
{
    struct job *job = port->job;
    struct engine *engine = job->engine;
    struct err reason;
    no_route_reason(job, errnum, &reason);
    engine->config.observer.local_fault(engine->config.observer.ctx, errnum);
    job_fail(job, JOB_NO_ROUTE, &reason);
}

static void port_answered(struct port *port, const struct attempt_reading *reading)
{
    if (reading->has_rtt) {
        port->verdict.has_rtt = true;
        port->verdict.rtt = reading->rtt;
    }
    host_answered(port->job->host, reading->has_rtt ? &reading->rtt : NULL,
                  reading->was_repeated, engine_now(port->job->engine));
}

static void port_refused(struct port *port, const struct attempt_reading *reading)
{
    struct engine *engine = port->job->engine;
    struct host *host = port->job->host;
    port->last_answer = engine_now(engine);
    port->evidence.refusals++;
    port_answered(port, reading);
    if (host_reset(host, engine_now(engine)))
        host_refresh_silent(engine, host);
    port_look(port);
}

/* A connection with our own address at the far end. Either the socket met itself, or, when
 * others of ours have been waiting for an answer of this address, it may have met one of
 * them. A new source port tells. */
static bool is_doubtful(const struct port *port, const struct attempt_reading *reading)
{
    if (!reading->is_own_host)
        return false;
    if (reading->is_self)
        return true;
    return port->self_met == 0 && port->job->host->unanswered > port->job->host->in_window;
}

static void port_met_self(struct port *port, struct attempt *attempt, bool is_self)
{
    attempt_end(attempt);
    port->self_met++;
    if (!is_self || port->self_met <= SELF_CONNECTS_MAX) {
        if (port->evidence.attempts > 0)
            port->evidence.attempts--;
        job_want(port->job, port);
        return;
    }
    settle(port, PORT_STATE_CLOSED, ECONNREFUSED);
}

static void port_opened(struct port *port, struct attempt *attempt,
                        const struct attempt_reading *reading)
{
    if (is_doubtful(port, reading)) {
        port_met_self(port, attempt, reading->is_self);
        return;
    }
    port_answered(port, reading);
    settle(port, PORT_STATE_OPEN, 0);
}

static void port_unreachable(struct port *port, struct attempt *attempt,
                             const struct attempt_reading *reading)
{
    bool is_counted = attempt->has_error;
    attempt->has_error = true;
    if (!reading->is_alive)
        attempt_end(attempt);
    if (!is_counted) {
        port->last_answer = engine_now(port->job->engine);
        port->evidence.errors++;
        port->evidence.error_errnum = reading->errnum;
    }
    port_look(port);
}

/* Takes one attempt's reading. The port may be settled, and its job gone, afterwards.
 * False when there was nothing to take. */
static bool attempt_take(struct attempt *attempt, bool may_have_error)
{
    struct port *port = attempt->port;
    struct span age = instant_since(clock_now(), attempt->sent_at);
    struct address to = port->job->target;
    address_set_port(&to, port->verdict.port);
    struct attempt_reading reading = attempt_read(attempt->fd, &to, may_have_error, age);

    switch (reading.outcome) {
    case OUTCOME_PENDING:
        return false;
    case OUTCOME_OPEN:
        port_opened(port, attempt, &reading);
        return true;
    case OUTCOME_REFUSED:
        attempt_end(attempt);
        port_refused(port, &reading);
        return true;
    case OUTCOME_UNREACHABLE:
        port_unreachable(port, attempt, &reading);
        return true;
    case OUTCOME_EXPIRED:
        attempt_end(attempt);
        port_look(port);
        return true;
    case OUTCOME_LOCAL_FAULT:
    case OUTCOME_NO_ROUTE:
        attempt_end(attempt);
        if (port->evidence.attempts > 0)
            port->evidence.attempts--;
        port_defer(port, reading.errnum);
        return true;
    }
    return false;
}

static void attempt_event(void *ctx, uint32_t events)
{
    attempt_take(ctx, (events & (EPOLLERR | EPOLLHUP)) != 0);
}

/* --- starting ----------------------------------------------------------------------- */

static void port_sent(struct port *port)
{
    struct job *job = port->job;
    struct engine *engine = job->engine;
    if (!port->is_tried) {
        port->is_tried = true;
        job->untried--;
    }
    if (port->evidence.attempts == 0) {
        port->first_syn = engine_now(engine);
    } else {
        struct span stood_still = instant_since(engine_now(engine), port->stopped_at);
        port->first_syn = instant_add(port->first_syn, stood_still);
    }
    port->evidence.attempts++;
    port->faults = 0;
    port->phase = PORT_PROBING;
    engine->config.observer.attempted(engine->config.observer.ctx);
}

/* connect(2) has sent the SYN; from here on the attempt is watched. */
static bool attempt_watch(struct port *port, int fd, struct instant sent_at)
{
    struct engine *engine = port->job->engine;
    struct attempt *attempt = malloc(sizeof *attempt);
    if (!attempt)
        return false;
    *attempt = (struct attempt){
        .port = port,
        .next = port->attempts,
        .fd = fd,
        .sent_at = sent_at,
    };

    /* Edge-triggered, and registered after connect(2): a fresh socket reports HUP. */
    if (!loop_watch_add(engine->loop, fd, EPOLLOUT | EPOLLET, attempt_event, attempt,
                        &attempt->watch, NULL)) {
        free(attempt);
        return false;
    }
    port->attempts = attempt;
    host_started(port->job->host, &attempt->window, engine_now(engine));
    return true;
}

void port_attempt(struct port *port)
{
    struct engine *engine = port->job->engine;
    struct attempt_reading reading = {0};
    struct address to = port->job->target;
    address_set_port(&to, port->verdict.port);

    AUTO_FD fd = -1;
    struct instant sent_at = clock_now();
    enum outcome outcome = attempt_open(&to, &fd, &reading.errnum);
    if (outcome == OUTCOME_PENDING && attempt_watch(port, fd, sent_at)) {
        fd_take(&fd);
        port_sent(port);
        port_look(port);
        return;
    }

    fd_close(&fd);
    quota_return(engine);
    if (outcome == OUTCOME_REFUSED) {
        port_sent(port);
        port_refused(port, &reading);
    } else if (outcome == OUTCOME_NO_ROUTE) {
        port_no_route(port, reading.errnum);
    } else {
        quota_shrink(engine);
        port_defer(port, reading.errnum ? reading.errnum : ENOMEM);
    }
}

/* --- deciding ----------------------------------------------------------------------- */

static struct schedule_facts port_facts(const struct port *port)
{
    struct schedule_facts facts = {
        .evidence = port->evidence,
        .first_syn = port->first_syn,
        .last_answer = port->last_answer,
    };
    for (const struct attempt *attempt = port->attempts; attempt; attempt = attempt->next) {
        facts.live++;
        if (!attempt->has_error)
            facts.silent++;
    }
    return facts;
}

/* Before any verdict but OPEN: an answer may have come that no event has told of yet.
 * True when one was taken; then the port has been looked at. */
static bool answer_has_come(struct port *port)
{
    for (struct attempt *attempt = port->attempts, *next; attempt; attempt = next) {
        next = attempt->next;
        if (attempt_take(attempt, true))
            return true;
    }
    return false;
}

/* Settles the port if what is known suffices. */
static bool port_judge(struct port *port, bool is_time_up)
{
    enum port_state state;
    int errnum;
    unsigned needed = port->job->engine->rules.refusals_needed;
    if (!evidence_judge(&port->evidence, needed, is_time_up, &state, &errnum))
        return false;

    if (!answer_has_come(port))
        settle(port, state, errnum);
    return true;
}

/* What now? Called after everything that happens to a port. */
static void port_look(struct port *port)
{
    if (port_judge(port, false) || port->phase != PORT_PROBING)
        return;

    struct engine *engine = port->job->engine;
    struct instant until;
    const struct schedule_facts facts = port_facts(port);
    switch (schedule_next(&facts, &engine->rules, &port->job->host->rtt, engine_now(engine),
                          &until)) {
    case SCHEDULE_ATTEMPT:
        job_want(port->job, port);
        return;
    case SCHEDULE_WAIT:
        timers_set(&engine->timers, &port->timer, until);
        return;
    case SCHEDULE_TIME_UP:
        port_judge(port, true);
        return;
    }
}

static void port_timer(struct timer *timer)
{
    struct port *port = (void *)((char *)timer - offsetof(struct port, timer));
    if (port->phase != PORT_DEFERRED) {
        port_look(port);
        return;
    }
    job_want(port->job, port);
}

/* --- life --------------------------------------------------------------------------- */

void port_init(struct port *port, struct job *job, uint16_t number)
{
    *port = (struct port){.job = job, .verdict.port = number};
    timer_init(&port->timer, port_timer);
}

void port_abandon(struct port *port)
{
    port_stop(port);
}
