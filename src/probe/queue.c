/* SPDX-License-Identifier: MIT
 *
 * Who waits where: a job among the running ones, at its address, or finished; a port among
 * those of its job that want another attempt. It moves them, and calls nothing except a
 * job's callback for a verdict.
 */
#include "probe/engine_state.h"

#define PATIENCE_MS 50 /* how long a port queues with attempts open */

/* --- jobs --------------------------------------------------------------------------- */

void job_leave_place(struct job *job)
{
    struct engine *engine = job->engine;
    switch (job->place) {
    case JOB_IDLE:
        break;
    case JOB_RUNNING:
        TAILQ_REMOVE(&job->share->running, job, place_link);
        if (TAILQ_EMPTY(&job->share->running))
            share_end(job->share);
        break;
    case JOB_WAITING:
        TAILQ_REMOVE(&job->host->waiting, job, place_link);
        break;
    case JOB_FINISHED:
        TAILQ_REMOVE(&engine->finished, job, place_link);
        break;
    }
    job->place = JOB_IDLE;
}

void job_run(struct job *job)
{
    job_leave_place(job);
    if (TAILQ_EMPTY(&job->share->running))
        share_begin(job->engine, job->share);
    TAILQ_INSERT_TAIL(&job->share->running, job, place_link);
    job->place = JOB_RUNNING;
}

void job_wait(struct job *job, struct instant until)
{
    struct host *host = job->host;
    job_leave_place(job);
    TAILQ_INSERT_TAIL(&host->waiting, job, place_link);
    job->place = JOB_WAITING;
    timers_set(&job->engine->timers, &host->timer, until);
}

bool job_has_work(const struct job *job)
{
    return job->next_fresh < job->port_count || !TAILQ_EMPTY(&job->again);
}

void host_wake_next(struct engine *engine, struct host *host)
{
    if (!TAILQ_EMPTY(&host->waiting))
        host_wake(engine, host);
}

void host_wake(struct engine *engine, struct host *host)
{
    struct job *job = TAILQ_FIRST(&host->waiting);
    if (job)
        job_run(job);
    else
        timers_stop(&engine->timers, &host->timer);
}

void host_news(struct engine *engine, struct host *host)
{
    if (host->has_news)
        return;
    host->has_news = true;
    TAILQ_INSERT_TAIL(&engine->news, host, news_link);
    loop_again(engine->loop);
}

/* --- ports -------------------------------------------------------------------------- */

void job_take_port(struct job *job, struct port *port)
{
    if (port->is_again)
        TAILQ_REMOVE(&job->again, port, queue_link);
    else
        job->next_fresh++;
    port->is_again = false;
    timers_stop(&job->engine->timers, &port->timer);
}

void port_be_patient(struct port *port)
{
    struct engine *engine = port->job->engine;
    timers_set(&engine->timers, &port->timer,
               instant_add(engine_now(engine), span_ms(PATIENCE_MS)));
}

void job_want(struct job *job, struct port *port)
{
    struct engine *engine = job->engine;
    if (port->is_again || port->phase == PORT_LIMITED)
        return;

    timers_stop(&engine->timers, &port->timer);
    if (port->phase == PORT_DEFERRED)
        engine->config.observer.deferred(engine->config.observer.ctx, -1);
    else
        port->stopped_at = engine_now(engine);
    port->phase = PORT_QUEUED;
    port->is_again = true;
    TAILQ_INSERT_TAIL(&job->again, port, queue_link);
    if (!LIST_EMPTY(&port->attempts))
        port_be_patient(port);
    if (job->place == JOB_IDLE)
        job_run(job);
}

void host_refresh_silent(struct engine *engine, struct host *host)
{
    struct job *job;
    LIST_FOREACH(job, &host->jobs, host_link) {
        for (size_t i = 0; i < job->port_count; i++) {
            struct port *port = &job->ports[i];
            bool is_silent = port->phase == PORT_PROBING && !LIST_EMPTY(&port->attempts) &&
                             port->evidence.refusals == 0 && port->evidence.errors == 0 &&
                             port->evidence.prohibitions == 0;
            if (!is_silent || port->refreshed_at.ns != 0)
                continue;
            port->refreshed_at = engine_now(engine);
            job_want(job, port);
        }
    }
}

/* --- the end ------------------------------------------------------------------------ */

void job_finish(struct job *job, enum job_end end)
{
    job_leave_place(job);
    TAILQ_INSERT_TAIL(&job->engine->finished, job, place_link);
    job->place = JOB_FINISHED;
    job->result.end = end;
    job->result.untried = job->untried;
    loop_timer_stop(job->engine->loop, &job->deadline);
    loop_again(job->engine->loop);
}

void job_port_settled(struct job *job, struct port *port)
{
    /* Finished before the callback runs, which may cancel the job. */
    if (--job->unsettled == 0)
        job_finish(job, JOB_JUDGED);
    if (job->settled)
        job->settled(job->ctx, (size_t)(port - job->ports), &port->verdict);
}
