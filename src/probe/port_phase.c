/* SPDX-License-Identifier: MIT
 *
 * The phases of a port: moves it from one to the next, up to its verdict, and keeps its
 * queues, its timer and the counts of its job right. It decides nothing.
 */
#include "probe/engine_state.h"

#define BACKOFF_FIRST_MS  50
#define BACKOFF_DOUBLINGS 3 /* 50, 100, 200, 400 ms */

/* --- what it counts for ------------------------------------------------------------- */

void port_doubt(struct port *port)
{
    if (port->first_negative.ns != 0)
        return;
    port->first_negative = engine_now(port->job->engine);
    port->job->doubted++;
}

void port_second_look_begin(struct port *port)
{
    if (!port->is_second_look)
        port->job->second_looks++;
    port->is_second_look = true;
}

void port_second_look_end(struct port *port)
{
    if (port->is_second_look)
        port->job->second_looks--;
    port->is_second_look = false;
}

static void port_doubt_no_more(struct port *port)
{
    port_second_look_end(port);
    if (port->first_negative.ns != 0)
        port->job->doubted--;
    port->first_negative = (struct instant){0};
}

void port_forget(struct port *port)
{
    port->evidence = (struct evidence){0};
    port->is_lean = false;
    port->refreshed_at = (struct instant){0};
    port_doubt_no_more(port);
}

/* --- what it waits for -------------------------------------------------------------- */

static void limit_remove(struct port *port)
{
    struct limit *limit = &port->job->host->limit;
    TAILQ_REMOVE(port->asked == 0 ? &limit->turns : &limit->unsure, port, queue_link);
}

static void limit_add(struct port *port, bool is_first)
{
    struct port_queue *turns = &port->job->host->limit.turns;
    port->asked = 0;
    if (is_first)
        TAILQ_INSERT_HEAD(turns, port, queue_link);
    else
        TAILQ_INSERT_TAIL(turns, port, queue_link);
}

void port_unqueue(struct port *port)
{
    struct engine *engine = port->job->engine;
    timers_stop(&engine->timers, &port->timer);
    if (port->is_again)
        TAILQ_REMOVE(&port->job->again, port, queue_link);
    port->is_again = false;
    if (port->phase == PORT_DEFERRED)
        engine->config.observer.deferred(engine->config.observer.ctx, -1);
    if (port->phase == PORT_LIMITED)
        limit_remove(port);
}

void port_pause(struct port *port)
{
    struct engine *engine = port->job->engine;
    unsigned doublings =
        port->local_faults < BACKOFF_DOUBLINGS ? port->local_faults : BACKOFF_DOUBLINGS;

    /* It waits for another turn already, with another attempt still open. */
    if (port->is_again || port->phase == PORT_DEFERRED || port->phase == PORT_LIMITED)
        return;
    if (port->local_faults < UINT8_MAX)
        port->local_faults++;
    engine->config.observer.deferred(engine->config.observer.ctx, 1);
    if (port->phase == PORT_PROBING)
        port->stopped_at = engine_now(engine);
    port->phase = PORT_DEFERRED;
    timers_set(&engine->timers, &port->timer,
               instant_add(engine_now(engine), span_ms(BACKOFF_FIRST_MS << doublings)));
}

void port_clock_on(struct port *port)
{
    struct instant now = engine_now(port->job->engine);
    port->first_syn = instant_add(port->first_syn, instant_since(now, port->stopped_at));
}

void port_limit(struct port *port, bool is_first)
{
    attempts_end(port, NULL);
    port_unqueue(port);
    port_forget(port);
    port->stopped_at = engine_now(port->job->engine);
    port->phase = PORT_LIMITED;
    port->silent = 0;
    limit_add(port, is_first);
}

void port_unlimit(struct port *port)
{
    attempts_end(port, NULL);
    port_unqueue(port);
    port_forget(port);
    port->phase = PORT_PROBING;
    job_want(port->job, port);
}

void port_ask_again(struct port *port, bool is_first)
{
    limit_remove(port);
    limit_add(port, is_first);
}

/* --- its end ------------------------------------------------------------------------ */

static void port_stop(struct port *port)
{
    attempts_end(port, NULL);
    port->proving = proving_free(port->proving);
    port_unqueue(port);
    port_doubt_no_more(port);
    port->phase = PORT_SETTLED;
}

void job_abandon_ports(struct job *job)
{
    for (size_t i = 0; i < job->port_count; i++)
        port_stop(&job->ports[i]);
}

void job_fail(struct job *job, enum job_end end, const struct err *reason)
{
    job_abandon_ports(job);
    job->result.reason = *reason;
    job_finish(job, end);
}

void port_decide(struct port *port, enum port_state state, int errnum)
{
    struct engine *engine = port->job->engine;
    port->verdict.state = state;
    port->verdict.errnum = errnum;
    if (port->is_tried)
        port->verdict.duration = instant_since(engine_now(engine), port->first_syn);
}

/* Closing before reporting: what follows may start the next attempt and must find these
 * descriptors already returned to the quota. */
void port_settle(struct port *port)
{
    struct engine *engine = port->job->engine;
    port_stop(port);
    engine->config.observer.settled(engine->config.observer.ctx, &port->verdict);
    if (port->is_tried && port_verdict_is_silent(&port->verdict))
        port->job->result.silent++;
    job_port_settled(port->job, port);
}

void port_settle_as(struct port *port, enum port_state state, int errnum)
{
    port_decide(port, state, errnum);
    port_settle(port);
}

void port_settle_limited(struct port *port, enum port_state state, int errnum)
{
    port->verdict.icmp = port->evidence.icmp;
    if (state == PORT_STATE_LIMITED)
        port->verdict.icmp = (struct icmp_error){0};
    port_settle_as(port, state, errnum);
}

void port_settle_unproved(struct port *port)
{
    proving_time_up(port);
    port_settle(port);
}
