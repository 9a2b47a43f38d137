/* SPDX-License-Identifier: MIT
 *
 * The attempts of a port: opens and closes their sockets, and keeps what is counted right:
 * the quota, the window of the address, round trips and loss. It decides nothing.
 */
#include "base/fd.h"
#include "probe/attempt.h"
#include "probe/engine_state.h"

#include <errno.h>
#include <stdlib.h>

/* connect(2) has sent the SYN; from here on the attempt is watched. */
static bool attempt_watch(struct port *port, int fd, struct instant sent_at,
                          loop_event_fn *on_event)
{
    struct engine *engine = port->job->engine;
    struct attempt *attempt = malloc(sizeof *attempt);
    if (!attempt)
        return false;
    *attempt = (struct attempt){
        .port = port,
        .fd = fd,
        .sent_at = sent_at,
    };

    /* Edge-triggered, and registered after connect(2): a fresh socket reports HUP. */
    uint32_t events = EPOLLOUT | EPOLLET;
    if (port->job->has_token)
        events |= EPOLLIN | EPOLLRDHUP;
    if (!loop_watch_add(engine->loop, fd, events, on_event, attempt, &attempt->watch,
                        NULL)) {
        free(attempt);
        return false;
    }
    LIST_INSERT_HEAD(&port->attempts, attempt, link);
    host_started(port->job->host, &attempt->window, !port->is_tried, engine_now(engine));
    return true;
}

enum outcome attempt_start(struct port *port, loop_event_fn *on_event, int *ret_errnum)
{
    struct engine *engine = port->job->engine;
    struct address to = port->job->target;
    address_set_port(&to, port->verdict.port);

    AUTO_FD fd = -1;
    struct instant sent_at = clock_now();
    enum outcome outcome = attempt_open(&to, &engine->sources, &port->source,
                                        port->job->has_token, &fd, ret_errnum);
    if (outcome == OUTCOME_PENDING) {
        if (attempt_watch(port, fd, sent_at, on_event)) {
            fd_take(&fd);
            return OUTCOME_PENDING;
        }
        outcome = OUTCOME_LOCAL_FAULT;
        *ret_errnum = ENOMEM;
    }
    fd_close(&fd);
    share_return(engine, port->job->share);
    return outcome;
}

void attempt_answered(struct attempt *attempt)
{
    struct job *job = attempt->port->job;
    if (attempt->is_answered)
        return;
    attempt->is_answered = true;
    host_ended(job->host, &attempt->window);
    host_wake(job->engine, job->host);
}

void attempt_close(struct attempt *attempt)
{
    struct engine *engine = attempt->port->job->engine;
    if (attempt->fd < 0)
        return;
    loop_watch_drop(engine->loop, -1, &attempt->watch);
    fd_close(&attempt->fd);
    share_return(engine, attempt->port->job->share);
    attempt_answered(attempt);
}

void attempt_end(struct attempt *attempt)
{
    LIST_REMOVE(attempt, link);
    attempt_close(attempt);
    free(attempt);
}

void attempts_end(struct port *port, const struct attempt *but)
{
    for (struct attempt *attempt = LIST_FIRST(&port->attempts), *next; attempt;
         attempt = next) {
        next = LIST_NEXT(attempt, link);
        if (attempt != but)
            attempt_end(attempt);
    }
}

void attempts_heard(struct port *port, const struct attempt_reading *reading,
                    struct instant sent_at, bool is_open)
{
    struct engine *engine = port->job->engine;
    struct instant now = engine_now(engine);
    unsigned syns = 1 + reading->repeats, lost = reading->repeats;
    const struct attempt *attempt;
    LIST_FOREACH(attempt, &port->attempts, link) {
        if (attempt->fd < 0 || !instant_before(attempt->window.since, sent_at))
            continue;
        unsigned unanswered = 1 + attempt_repeats_read(attempt->fd).sent;
        syns += unanswered;
        lost += unanswered;
    }
    struct host *host = port->job->host;
    host_answered(host, reading->has_rtt ? &reading->rtt : NULL, syns, lost, now);
    if (port->phase == PORT_LIMITED && (is_open || !host->limit.is_by_refusal))
        host_limit_heard(host, port->asked, false, now);
    loss_add(&engine->loss, syns, lost, now);
    engine->answered_at = now;
    port->local_fault = (struct local_fault){0};

    if (!reading->has_rtt)
        return;
    port->verdict.has_rtt = true;
    port->verdict.rtt = reading->rtt;
}
