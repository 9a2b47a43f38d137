/* SPDX-License-Identifier: MIT
 *
 * One port of a job: sends its attempts, reads their results, collects them as evidence,
 * and takes its next step. It never judges: judge.c decides what the results mean.
 */
#include "base/container.h"
#include "base/libc.h"
#include "probe/attempt.h"
#include "probe/engine_state.h"

#include <errno.h>

#define SELF_CONNECTS_MAX 3

/* A SYN at a limited address: its socket closes before the kernel repeats it. */
#define LIMITED_MIN_MS    300
#define LIMITED_MAX_MS    950

static void port_look(struct port *port);

/* --- what an attempt told ----------------------------------------------------------- */

/* This checker could not try, or what it sent did not get out. A fault that the next SYN
 * clears does not replace one that only an answer clears. */
static void port_note_local_fault(struct port *port, int errnum, bool is_of_sent)
{
    struct engine *engine = port->job->engine;
    if (is_of_sent || !port->local_fault.is_of_sent)
        port->local_fault = (struct local_fault){
            .text = NO_CONNECTION,
            .errnum = errnum,
            .is_of_sent = is_of_sent,
        };
    engine->config.observer.local_fault(engine->config.observer.ctx, errnum);
}

/* In words, because only the operator of this checker can correct it. */
static void no_route_reason(const struct job *job, int errnum, struct err *ret)
{
    int family = address_family_number(&job->target);
    const char *text = libc_error_text(errnum);

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

static void port_refused(struct port *port, const struct attempt_reading *reading,
                         struct instant sent_at)
{
    struct engine *engine = port->job->engine;
    struct host *host = port->job->host;
    port->last_refusal = engine_now(engine);
    port->is_looked_at = false;
    if (port->is_second_look)
        port->job->refused_twice++;
    port_second_look_end(port);
    port_doubt(port);
    port->evidence.refusals++;
    port->evidence.icmp = reading->icmp;
    attempts_heard(port, reading, sent_at, false);
    if (host_reset(host, engine_now(engine)))
        host_refresh_silent(engine, host);
    if (port->phase == PORT_LIMITED)
        host_news(engine, host);
    port_look(port);
}

/* A connection with our own address at the far end. The socket may have connected to
 * itself, or to another of our sockets that was waiting for an answer from this address. A
 * new source port shows which. */
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
    port_settle_as(port, PORT_STATE_CLOSED, ECONNREFUSED);
}

static void port_opened(struct port *port, struct attempt *attempt,
                        const struct attempt_reading *reading)
{
    if (is_doubtful(port, reading)) {
        port_met_self(port, attempt, reading->is_self);
        return;
    }
    if (port->first_negative.ns != 0)
        port->job->opened_late++;
    attempts_heard(port, reading, attempt->window.since, true);
    host_witnessed(port->job->host, port->verdict.port, true,
                   engine_now(port->job->engine));
    port->verdict.icmp = (struct icmp_error){0};
    if (!port->job->has_token) {
        port_settle_as(port, PORT_STATE_OPEN, 0);
        return;
    }
    port_decide(port, PORT_STATE_OPEN, 0);
    port_unqueue(port);
    attempts_end(port, attempt);
    attempt_answered(attempt);
    if (proving_begin(port, attempt))
        port_settle(port);
}

static void port_unreachable(struct port *port, struct attempt *attempt,
                             const struct attempt_reading *reading)
{
    bool is_counted = attempt->has_error;
    attempt->has_error = true;
    if (!reading->is_alive)
        attempt_close(attempt);
    port->local_fault = (struct local_fault){0};
    if (!is_counted) {
        if (reading->is_final) {
            port->evidence.prohibitions++;
            port_doubt(port);
        } else {
            port->evidence.errors++;
        }
        port->evidence.error_errnum = reading->errnum;
        port->evidence.icmp = reading->icmp;
    }
    port_look(port);
}

/* Takes one attempt's reading. The port may be settled, and its job gone, afterwards.
 * False when there was nothing to take. */
static bool attempt_take(struct attempt *attempt, bool may_have_error)
{
    struct port *port = attempt->port;
    if (attempt->fd < 0)
        return false;
    struct instant sent_at = attempt->window.since;
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
        port_refused(port, &reading, sent_at);
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
        port_note_local_fault(port, reading.errnum, true);
        port_pause(port);
        return true;
    }
    return false;
}

static void attempt_event(void *ctx, uint32_t events)
{
    struct attempt *attempt = ctx;
    struct port *port = attempt->port;
    if (port->phase != PORT_PROVING)
        attempt_take(attempt, (events & (EPOLLERR | EPOLLHUP)) != 0);
    else if (proving_read(port))
        port_settle(port);
}

/* --- starting ----------------------------------------------------------------------- */

/* How long an attempt at a limited address stays open. */
static struct span limited_patience(const struct host *host)
{
    struct span patience = span_ms(LIMITED_MAX_MS);
    if (host->rtt.is_known)
        patience.ns = 2 * rtt_timeout(&host->rtt).ns;
    if (patience.ns < LIMITED_MIN_MS * NS_PER_MS)
        return span_ms(LIMITED_MIN_MS);
    return patience.ns > LIMITED_MAX_MS * NS_PER_MS ? span_ms(LIMITED_MAX_MS) : patience;
}

static void port_sent(struct port *port)
{
    struct job *job = port->job;
    struct engine *engine = job->engine;
    if (!port->is_tried) {
        port->is_tried = true;
        job->untried--;
    }
    if (port->evidence.attempts == 0)
        port->first_syn = engine_now(engine);
    else if (port->phase != PORT_LIMITED)
        port_clock_on(port);
    port->evidence.attempts++;
    port->local_faults = 0;
    if (!port->local_fault.is_of_sent)
        port->local_fault = (struct local_fault){0};
    if (port->phase == PORT_LIMITED)
        timers_set(&engine->timers, &port->timer,
                   instant_add(engine_now(engine), limited_patience(job->host)));
    else
        port->phase = PORT_PROBING;
    engine->config.observer.attempted(engine->config.observer.ctx);
}

/* The port keeps the attempts that it has. It is not deferred: ports would wait for each
 * other if their clocks stood still while they hold sockets that other ports need. */
static void port_not_sent(struct port *port, int errnum)
{
    quota_shrink(port->job->engine);
    port_note_local_fault(port, errnum, false);
    if (port->phase == PORT_LIMITED)
        port_ask_again(port, true);
    else if (LIST_EMPTY(&port->attempts))
        port_pause(port);
    else
        port_do_without(port);
}

void port_attempt(struct port *port)
{
    struct attempt_reading reading = {0};
    enum outcome outcome = attempt_start(port, attempt_event, &reading.errnum);
    if (outcome == OUTCOME_PENDING) {
        port_sent(port);
        port_look(port);
    } else if (outcome == OUTCOME_REFUSED) {
        port_sent(port);
        port_refused(port, &reading, engine_now(port->job->engine));
    } else if (outcome == OUTCOME_NO_ROUTE) {
        port_no_route(port, reading.errnum);
    } else {
        port_not_sent(port, reading.errnum);
    }
}

/* --- what follows ------------------------------------------------------------------- */

/* Before any verdict but OPEN: an answer may have arrived that no event has reported yet.
 * True if one was read; the port has then been judged again. */
static bool answer_has_come(struct port *port)
{
    for (struct attempt *attempt = LIST_FIRST(&port->attempts), *next; attempt;
         attempt = next) {
        next = LIST_NEXT(attempt, link);
        if (attempt_take(attempt, true))
            return true;
    }
    return false;
}

/* What was sent proves nothing, for this reason. */
static void port_begin_again(struct port *port, const char *reason)
{
    struct engine *engine = port->job->engine;
    port->local_fault = (struct local_fault){.text = reason, .is_of_sent = true};
    engine->config.observer.suspected(engine->config.observer.ctx);
    attempts_end(port, NULL);
    port_forget(port);
    port_pause(port);
}

static void port_conclude(struct port *port, struct judgement verdict)
{
    struct host *host = port->job->host;
    if (answer_has_come(port))
        return;
    const char *doubt = judge_doubt(port, &verdict);
    if (doubt) {
        port_begin_again(port, doubt);
        return;
    }
    if (verdict.step == JUDGE_LIMITED) {
        host->is_to_limit = true;
        host->is_to_limit_by_refusal = verdict.is_by_refusal;
        host_news(port->job->engine, host);
        return;
    }
    if (verdict.state == PORT_STATE_CLOSED)
        host_witnessed(host, port->verdict.port, false, engine_now(port->job->engine));
    port->verdict.icmp = port->evidence.icmp;
    port_settle_as(port, verdict.state, verdict.errnum);
}

/* Takes the port's next step. Called after everything that happens to it. */
static void port_look(struct port *port)
{
    struct judgement judgement = judge_port(port);
    switch (judgement.step) {
    case JUDGE_NOTHING:
        return;
    case JUDGE_ATTEMPT:
        if (port->evidence.refusals == 1)
            port_second_look_begin(port);
        job_want(port->job, port);
        return;
    case JUDGE_WAIT:
        timers_set(&port->job->engine->timers, &port->timer, judgement.until);
        return;
    case JUDGE_VERDICT:
    case JUDGE_LIMITED:
        port_conclude(port, judgement);
        return;
    }
}

/* It gives back a socket on loan, and waits for another turn as if it had not been probed.
 */
static void port_give_back(struct port *port)
{
    struct job *job = port->job;
    share_gave_back(job->engine, job->share);
    attempts_end(port, NULL);
    port_forget(port);
    port->is_on_loan = false;
    port->phase = PORT_PROBING;
    job_want(job, port);
}

void port_do_without(struct port *port)
{
    if (port->is_on_loan) {
        port_give_back(port);
        return;
    }
    port->is_lean = true;
    port_clock_on(port);
    port->phase = PORT_PROBING;
    port_look(port);
}

/* When its caller is short of sockets, a port that has open attempts gets no further one:
 * all other ports of the caller may be waiting for its sockets. */
static void port_lose_patience(struct port *port)
{
    if (LIST_EMPTY(&port->attempts))
        return;
    if (!share_is_short(port->job->engine, port->job->share)) {
        port_be_patient(port);
        return;
    }
    job_take_port(port->job, port);
    port_do_without(port);
}

static void port_timer(struct timer *timer)
{
    struct port *port = CONTAINER_OF(timer, struct port, timer);
    switch (port->phase) {
    case PORT_PROVING:
        port_settle_unproved(port);
        return;
    case PORT_DEFERRED:
        job_want(port->job, port);
        return;
    case PORT_QUEUED:
        port_lose_patience(port);
        return;
    case PORT_PROBING:
        port->is_looked_at = true;
        port_look(port);
        return;
    case PORT_LIMITED:
        attempts_end(port, NULL);
        host_news(port->job->engine, port->job->host);
        return;
    case PORT_SETTLED:
        return;
    }
}

/* --- life --------------------------------------------------------------------------- */

void port_init(struct port *port, struct job *job, uint16_t number)
{
    *port = (struct port){
        .job = job,
        .verdict.port = number,
        .source = source_choice_make(engine_random(job->engine)),
    };
    timer_init(&port->timer, port_timer);
}
