/* SPDX-License-Identifier: MIT
 *
 * Addresses that stopped answering the ports that they had answered: behind a rate limit, a
 * ban, an outage. Nothing can be said of their other ports by the usual rules, and asking
 * harder makes it worse. So:
 *
 * - All sockets of the address are closed: the kernel's repetitions would use up what the
 *   limit allows. The ports' clocks stand still.
 * - One SYN at a time leaves, at the pace that the address bears (pace.h), from fresh
 *   sockets that close before the kernel repeats the SYN; ports take turns.
 * - After five SYNs in a row without an answer, or eight, the next is a control. An answer,
 * to a control or to a port, vouches for the SYNs before it: their silence, or refusal,
 * counts. A missed control makes them void, and they are asked again first.
 * - When the pace has grown beyond any limit that matters, the usual rules apply again.
 * - What is not known at the job's deadline is LIMITED.
 */
#include "base/container.h"
#include "probe/engine_state.h"

#include <errno.h>

#define UNHEARD_MAX   5  /* SYNs without an answer, then a control */
#define BETWEEN_MAX   8  /* SYNs between two controls, answered or not */
#define ALONE_MAX     5  /* SYNs between two controls when all ports have been asked */
#define LOOK_MS       50 /* when nothing can be sent, look again so soon */
#define FIRST_ASKED   2
#define REFUSED_TWICE 2 /* by an address that is silent otherwise */

/* --- entering and leaving ----------------------------------------------------------- */

static void timer_fired(struct timer *timer)
{
    struct limit *limit = CONTAINER_OF(timer, struct limit, timer);
    struct host *host = CONTAINER_OF(limit, struct host, limit);
    host_news(host->engine, host);
}

static bool is_waiting(const struct port *port)
{
    return port->phase == PORT_QUEUED || port->phase == PORT_PROBING ||
           port->phase == PORT_DEFERRED;
}

/* The first ports of a request are those that matter most: they take their turns before
 * all others, in their order. */
void limited_join(struct job *job)
{
    if (job->place == JOB_FINISHED)
        return;
    size_t first = job->port_count < JOB_PORTS_FIRST ? job->port_count : JOB_PORTS_FIRST;
    job->unlimited = job->port_count - job->unsettled;
    for (size_t i = first; i < job->port_count; i++)
        if (is_waiting(&job->ports[job->order[i]]))
            port_limit(&job->ports[job->order[i]], false);
    for (size_t i = first; i-- > 0;)
        if (is_waiting(&job->ports[job->order[i]]))
            port_limit(&job->ports[job->order[i]], true);
    job->next_fresh = job->port_count;
    job_leave_place(job);
    host_news(job->engine, job->host);
}

static void limited_begin(struct engine *engine, struct host *host)
{
    struct limit *limit = &host->limit;
    double known = limit->pace.known;
    struct instant now = engine_now(engine);
    limit->is_on = true;
    limit->is_by_refusal = host->is_to_limit_by_refusal;
    limit->is_held_back = limit->is_short = false;
    limit->control_errnum = 0;
    limit->pace = pace_begin();
    limit->pace.known = known;
    limit->began_at = limit->used_at = limit->heard_at = limit->next_at = now;
    limit->heard = limit->missed = limit->sent;
    limit->unheard = UNHEARD_MAX; /* a control first */
    timer_init(&limit->timer, timer_fired);

    struct job *job;
    LIST_FOREACH(job, &host->jobs, host_link)
        limited_join(job);
}

static void limited_end(struct engine *engine, struct host *host)
{
    struct port *port;
    host->limit.is_on = false;
    host->controls.logged = 0;
    for (size_t i = 0; i < CONTROLS_LOGGED; i++)
        host->controls.log[i] = (struct control_entry){0};
    timers_stop(&engine->timers, &host->limit.timer);
    struct job *job;
    LIST_FOREACH(job, &host->jobs, host_link)
        job->opened_late = 0;
    while ((port = TAILQ_FIRST(&host->limit.unsure)))
        port_unlimit(port);
    while ((port = TAILQ_FIRST(&host->limit.turns)))
        port_unlimit(port);
}

/* --- what became of the SYNs -------------------------------------------------------- */

/* The first ports of a request get a second SYN before the others get their first. */
static bool is_first_asked(const struct port *port)
{
    return port - port->job->ports < JOB_PORTS_FIRST && port->silent < FIRST_ASKED;
}

/* The port's SYN is over, without a handshake, and an answer to a later SYN vouches for
 * that. True when the port is settled. */
static bool count_silence(struct engine *engine, struct port *port)
{
    struct host *host = port->job->host;
    unsigned needed = judge_limited_needed(host, engine_now(engine));
    bool is_refused = port->evidence.refusals > 0;
    if (is_refused && !host->limit.is_by_refusal)
        needed = REFUSED_TWICE;
    if (++port->silent < needed) {
        port_ask_again(port, is_first_asked(port));
        return false;
    }
    if (is_refused)
        port_settle_limited(port, PORT_STATE_CLOSED, ECONNREFUSED);
    else if (port->evidence.errors + port->evidence.prohibitions > 0)
        port_settle_limited(port, PORT_STATE_UNREACHABLE, port->evidence.error_errnum);
    else
        port_settle_limited(port, PORT_STATE_FILTERED, ETIMEDOUT);
    return true;
}

/* True when a port was settled: the queue may be another one. */
static bool sort_one(struct engine *engine, struct host *host)
{
    const struct limit *limit = &host->limit;
    for (struct port *port = TAILQ_FIRST(&host->limit.unsure), *next; port; port = next) {
        next = TAILQ_NEXT(port, queue_link);
        if (!LIST_EMPTY(&port->attempts))
            continue;
        if (limit->heard > port->asked) {
            if (count_silence(engine, port))
                return true;
        } else if (limit->missed > port->asked) {
            port_ask_again(port, true);
        }
    }
    return false;
}

/* --- the next SYN ------------------------------------------------------------------- */

/* The port whose turn it is. When none waits, one whose SYN is over may ask again before a
 * control has vouched for it: with few ports left, every other answer that the limit allows
 * would go to a control. */
static struct port *next_port(struct limit *limit)
{
    struct port *port = TAILQ_FIRST(&limit->turns);
    if (port || limit->sent - limit->control >= ALONE_MAX)
        return port;

    TAILQ_FOREACH(port, &limit->unsure, queue_link)
        if (LIST_EMPTY(&port->attempts)) {
            port_ask_again(port, true);
            return port;
        }
    return NULL;
}

static bool send_control(struct engine *engine, struct host *host, uint16_t except)
{
    struct limit *limit = &host->limit;
    limit->control_errnum = 0;
    enum control_sending sending =
        control_probe_send(engine, host, except, &limit->control_errnum);
    limit->is_short = sending == CONTROL_SHORT;
    if (sending != CONTROL_SENT)
        return false;
    limit->control = limit->sent;
    limit->unheard = 0;
    return true;
}

/* False when nothing could be sent now. */
static bool send_one(struct engine *engine, struct host *host)
{
    struct limit *limit = &host->limit;
    struct port *port = next_port(limit);
    bool is_unvouched = !port && limit->sent - limit->control >= ALONE_MAX;
    if (pace_is_waiting(&limit->pace) || limit->unheard >= UNHEARD_MAX ||
        limit->sent - limit->control >= BETWEEN_MAX || is_unvouched)
        return send_control(engine, host, port ? port->verdict.port : 0);
    limit->control_errnum = 0;
    limit->is_short = false;
    if (!port)
        return false;
    limit->is_short = !share_take(engine, port->job->share, false);
    if (limit->is_short)
        return false;
    limit->unheard++;
    port->asked = ++limit->sent;
    TAILQ_REMOVE(&limit->turns, port, queue_link);
    TAILQ_INSERT_TAIL(&limit->unsure, port, queue_link);
    port_attempt(port); /* the job may be gone */
    return true;
}

/* Half to one and a half of the pace's gap: an even one may fall in step with the limit,
 * which then lets through nothing but controls. */
static struct span uneven_gap(struct engine *engine, struct host *host)
{
    int64_t gap = pace_gap(&host->limit.pace).ns;
    return (struct span){gap / 2 + (int64_t)(engine_random(engine) % (uint64_t)gap)};
}

static bool has_ports(const struct host *host)
{
    return !TAILQ_EMPTY(&host->limit.turns) || !TAILQ_EMPTY(&host->limit.unsure);
}

static void limited_turn(struct engine *engine, struct host *host)
{
    struct limit *limit = &host->limit;
    struct instant now = engine_now(engine);
    while (sort_one(engine, host))
        ;
    if (pace_is_free(&limit->pace) || !host_next_witness(host, 0, now)) {
        limited_end(engine, host);
        return;
    }
    if (!has_ports(host)) {
        timers_stop(&engine->timers, &limit->timer);
        return;
    }
    limit->used_at = now;
    if (instant_before(now, limit->next_at)) {
        timers_set(&engine->timers, &limit->timer, limit->next_at);
        return;
    }
    bool is_sent = send_one(engine, host);
    limit->next_at =
        instant_add(now, is_sent ? uneven_gap(engine, host) : span_ms(LOOK_MS));
    if (has_ports(host))
        timers_set(&engine->timers, &limit->timer, limit->next_at);
}

/* Ports that wait for the word of controls look again. */
static void look_again(struct engine *engine, struct host *host)
{
    struct job *job;
    LIST_FOREACH(job, &host->jobs, host_link)
        for (size_t i = 0; i < job->port_count; i++) {
            struct port *port = &job->ports[i];
            if (port->phase == PORT_PROBING && port->first_negative.ns != 0)
                timers_set(&engine->timers, &port->timer, engine_now(engine));
        }
}

void limited_news(struct engine *engine, struct host *host)
{
    if (host->is_to_limit && !host->limit.is_on)
        limited_begin(engine, host);
    host->is_to_limit = false;
    if (host->limit.is_on)
        limited_turn(engine, host);
    else
        look_again(engine, host);
}

/* --- the end ------------------------------------------------------------------------ */

static void settle_at_end(struct port *port)
{
    if (port->phase == PORT_PROVING)
        port_settle_unproved(port);
    else if (port->phase == PORT_LIMITED)
        port_settle_limited(port, PORT_STATE_LIMITED,
                            port->job->host->limit.is_by_refusal ? ECONNREFUSED
                                                                 : ETIMEDOUT);
}

/* Was it this checker that could not ask in the end, or lost what it sent? Then nothing is
 * said of the address. */
static bool is_own_fault(struct job *job)
{
    const struct limit *limit = &job->host->limit;
    bool is_doubted =
        limit->is_held_back || instant_before(limit->began_at, job->engine->trusted_since);
    bool is_own = limit->is_short || is_doubted;
    for (size_t i = 0; i < job->port_count; i++) {
        struct port *port = &job->ports[i];
        if (port->phase != PORT_LIMITED)
            continue;
        if (limit->control_errnum != 0)
            port->local_fault = (struct local_fault){.text = NO_CONNECTION,
                                                     .errnum = limit->control_errnum};
        if (is_doubted)
            port->local_fault =
                (struct local_fault){.text = SELF_DOUBT, .is_of_sent = true};
        is_own = is_own || port->local_fault.text;
    }
    return is_own;
}

bool limited_deadline(struct job *job)
{
    struct engine *engine = job->engine;
    const struct limit *limit = &job->host->limit;
    if (limit->is_on && is_own_fault(job))
        return true;

    if (limit->is_on)
        job->result.limit = (struct job_limit){
            .is_there = true,
            .answered = job->unlimited,
            .rate = limit->heard_at.ns > limit->began_at.ns ? limit->pace.rate : 0,
        };
    engine->ending = job;
    for (size_t i = 0; engine->ending && i < job->port_count; i++)
        settle_at_end(&job->ports[i]);
    bool is_there = engine->ending != NULL;
    engine->ending = NULL;
    return is_there;
}
