/* SPDX-License-Identifier: MIT
 *
 * Controls on the wire: half-open attempts at witnesses. Each is told to the log of its
 * address once it is answered, or is missed after the time in which an answer could be
 * expected; a late answer still corrects that. The socket closes before the kernel would
 * repeat the SYN, because repetitions use up what a limit allows. The exception is a
 * control that goes out alone, because nothing answers any more: whether the repetition
 * leaves shows whether this machine is the one that is silent.
 */
#include "base/container.h"
#include "base/fd.h"
#include "probe/attempt.h"
#include "probe/engine_state.h"

#include <errno.h>
#include <stdlib.h>

#define MISS_MIN_MS    200 /* less than the age at which a SYN counts, see evidence.c */
#define MISS_MAX_MS    800
#define CLOSE_MS       950
#define CLOSE_ALONE_MS 1250

struct control_probe {
    struct engine *engine; /* borrowed, as is host */
    struct host *host;
    LIST_ENTRY(control_probe) link;
    int fd; /* owned */
    struct loop_watch watch;
    struct timer timer;
    struct instant sent_at;       /* on the engine's clock */
    struct instant clock_sent_at; /* on CLOCK_MONOTONIC */
    struct address to;
    unsigned number; /* in the log */
    unsigned syn;    /* while limited: the number of its SYN; else 0 */
    bool was_open;
    bool is_alone;
    bool is_missed;
};

static void control_probe_end(struct control_probe *probe)
{
    struct engine *engine = probe->engine;
    struct host *host = probe->host;
    LIST_REMOVE(probe, link);
    timers_stop(&engine->timers, &probe->timer);
    loop_watch_drop(engine->loop, -1, &probe->watch);
    fd_close(&probe->fd);
    quota_return(engine, &host->open_control_count);
    free(probe);
}

void control_probes_end(struct host *host)
{
    struct control_probe *probe;
    while ((probe = LIST_FIRST(&host->open_controls)))
        control_probe_end(probe);
}

/* Only a handshake speaks against refusals. */
static bool is_answer(const struct host *host, enum control_result result)
{
    return result == CONTROL_HANDSHAKE ||
           (!host->limit.is_by_refusal &&
            (result == CONTROL_AGAIN || result == CONTROL_REFUSED));
}

static void tell(struct control_probe *probe, enum control_result result)
{
    struct engine *engine = probe->engine;
    struct host *host = probe->host;
    bool is_answered = is_answer(host, result);
    controls_tell(&host->controls, probe->number, result);
    if (result != CONTROL_VOID)
        engine->config.observer.controlled(engine->config.observer.ctx, is_answered);
    if (probe->syn != 0 && is_answered)
        host_limit_heard(host, probe->syn, true, engine_now(engine));
    else if (probe->syn != 0 && result != CONTROL_VOID && !probe->is_missed)
        host_limit_missed(host, probe->syn, engine_now(engine));
    host_news(engine, host);
}

static void take(struct control_probe *probe)
{
    struct engine *engine = probe->engine;
    struct host *host = probe->host;
    struct instant now = engine_now(engine);
    struct span age = instant_since(clock_now(), probe->clock_sent_at);
    struct attempt_reading reading = attempt_read(probe->fd, &probe->to, true, age);
    const struct span *sample = reading.has_rtt ? &reading.rtt : NULL;

    switch (reading.outcome) {
    case OUTCOME_PENDING:
        return;
    case OUTCOME_OPEN:
        host_heard(host, sample, now);
        host_witnessed(host, address_port(&probe->to), true, now);
        tell(probe, CONTROL_HANDSHAKE);
        break;
    case OUTCOME_REFUSED:
        host_heard(host, sample, now);
        if (!probe->was_open)
            host_witnessed(host, address_port(&probe->to), false, now);
        tell(probe, probe->was_open ? CONTROL_REFUSED : CONTROL_AGAIN);
        break;
    case OUTCOME_UNREACHABLE:
        tell(probe, CONTROL_DENIED);
        break;
    case OUTCOME_EXPIRED:
        if (!probe->is_missed)
            tell(probe, CONTROL_MISSED);
        break;
    case OUTCOME_LOCAL_FAULT:
    case OUTCOME_NO_ROUTE:
        tell(probe, CONTROL_VOID);
        break;
    }
    control_probe_end(probe);
}

static void control_probe_event(void *ctx, uint32_t events)
{
    (void)events;
    take(ctx);
}

static void control_probe_timer(struct timer *timer)
{
    struct control_probe *probe = CONTAINER_OF(timer, struct control_probe, timer);
    struct host *host = probe->host;
    if (probe->is_missed) {
        if (probe->is_alone && attempt_repeats_read(probe->fd).is_held_back) {
            host->limit.is_held_back = true;
            host_news(probe->engine, host);
        }
        control_probe_end(probe);
        return;
    }
    tell(probe, CONTROL_MISSED);
    probe->is_missed = true;
    timers_set(
        &probe->engine->timers, timer,
        instant_add(probe->sent_at, span_ms(probe->is_alone ? CLOSE_ALONE_MS : CLOSE_MS)));
}

static struct span miss_after(const struct host *host)
{
    struct span after = {2 *
                         (host->rtt.is_known ? rtt_timeout(&host->rtt).ns : INT64_MAX / 4)};
    if (after.ns < MISS_MIN_MS * NS_PER_MS)
        return span_ms(MISS_MIN_MS);
    return after.ns > MISS_MAX_MS * NS_PER_MS ? span_ms(MISS_MAX_MS) : after;
}

enum control_sending control_probe_send(struct engine *engine, struct host *host,
                                        uint16_t except, int *ret_errnum)
{
    struct instant now = engine_now(engine);
    struct witness *witness = host_next_witness(host, except, now);
    if (!witness || host->open_control_count >= CONTROL_PROBES_MAX)
        return CONTROL_NONE;
    if (!quota_take(engine, &host->open_control_count, !host->limit.is_on))
        return CONTROL_SHORT;

    struct control_probe *probe = malloc(sizeof *probe);
    int fd = -1, errnum = ENOMEM;
    if (!probe)
        goto failed;
    *probe = (struct control_probe){
        .engine = engine,
        .host = host,
        .to = host->address,
        .sent_at = now,
        .clock_sent_at = clock_now(),
        .was_open = witness->is_open,
        .is_alone = host->limit.is_on && pace_is_waiting(&host->limit.pace),
    };
    address_set_port(&probe->to, witness->port);
    struct source_choice source = source_choice_make(engine_random(engine));
    enum outcome outcome =
        attempt_open(&probe->to, &engine->sources, &source, false, &fd, &errnum);
    if (outcome == OUTCOME_REFUSED) /* at once: by loopback, where no limit is */
        errnum = 0;
    if (outcome != OUTCOME_PENDING)
        goto failed;
    probe->fd = fd;
    if (!loop_watch_add(engine->loop, fd, EPOLLOUT | EPOLLET, control_probe_event, probe,
                        &probe->watch, NULL)) {
        errnum = ENOMEM;
        goto failed;
    }

    witness->asked_at = now;
    probe->number = controls_sent(&host->controls, now);
    if (host->limit.is_on)
        probe->syn = ++host->limit.sent;
    timer_init(&probe->timer, control_probe_timer);
    timers_set(&engine->timers, &probe->timer, instant_add(now, miss_after(host)));
    LIST_INSERT_HEAD(&host->open_controls, probe, link);
    return CONTROL_SENT;

failed:
    fd_close(&fd);
    free(probe);
    quota_return(engine, &host->open_control_count);
    *ret_errnum = errnum;
    return errnum != 0 ? CONTROL_FAULT : CONTROL_NONE;
}
