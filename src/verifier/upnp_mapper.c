/* SPDX-License-Identifier: MIT
 *
 * As in router/mapper.c, every decision is made by timer_fire(): what a run of the program
 * brings is only noted.
 */
#include "verifier/upnp_mapper.h"

#include "base/container.h"
#include "base/err.h"
#include "loop/loop.h"
#include "router/announced.h"
#include "router/kept_ports.h"
#include "router/protocol.h"
#include "verifier/upnp_run.h"

#include <errno.h>
#include <stdlib.h>

#define SETTLE_MS          (UPNP_MAP_MS + 500) /* the first run has ended then */
#define UNFINISHED_SECONDS 1                   /* after a run that would have gone on */

struct port {
    struct kept_port *kept; /* borrowed */
    bool is_answered;       /* in this run */
    bool is_tried;          /* a removal was asked for */
    bool has_pinhole;
    uint16_t pinhole;
};

struct upnp_mapper {
    struct loop *loop; /* borrowed */
    struct upnp_mapper_config config;
    struct address local; /* from where the router is asked */
    size_t port_count;
    struct kept_ports kept;
    struct port *ports; /* owned */
    struct upnp_run run;
    struct port **asked; /* owned: borrowed ports, in the order of the run */
    struct instant run_began;
    struct timer timer;
    enum upnp_end end;
    bool has_outer;
    struct address outer_address;
    struct instant settle_by;
    struct announced announced;
    bool is_anew; /* asked for during a run: all ports again after it */
    size_t removed;
    bool is_removing, has_removed;
    struct instant remove_by;
};

static void wake(struct upnp_mapper *mapper)
{
    /* The timer has room: it is always set. */
    loop_timer_set(mapper->loop, &mapper->timer, loop_now(mapper->loop));
}

/* --- one port ------------------------------------------------------------------------- */

static void port_granted(struct upnp_mapper *mapper, struct port *port,
                         const struct upnp_port_reply *answer)
{
    const struct kept_grant grant = {
        .lease = answer->lease,
        .is_permanent = answer->lease == 0,
        .renew_seconds = mapper->config.lease,
        .lease_min = mapper->config.lease_min,
        .asked_at = mapper->run_began,
        .jitter = mapper->kept.jitter,
    };
    kept_port_grant(port->kept, &grant, loop_now(mapper->loop));
    port->kept->mapping.is_held = !answer->is_foreign;
    port->has_pinhole = answer->has_pinhole;
    port->pinhole = answer->pinhole;
}

static void port_refused(struct upnp_mapper *mapper, struct port *port,
                         const struct upnp_port_reply *answer)
{
    /* clang-format off */
    static const enum mapping_state states[] = {
        [ROUTER_GRANTED] = MAPPING_MAPPED,    [ROUTER_REFUSES] = MAPPING_REFUSED,
        [ROUTER_FULL] = MAPPING_FULL,         [ROUTER_TAKEN] = MAPPING_OTHER_PORT,
        [ROUTER_OFFLINE] = MAPPING_REFUSED,   [ROUTER_FAR] = MAPPING_REFUSED,
        [ROUTER_LACKS] = MAPPING_REFUSED,     [ROUTER_MISUNDERSTOOD] = MAPPING_REFUSED,
    };
    /* clang-format on */
    enum router_meaning meaning = router_result_of(ROUTER_UPNP, answer->result).meaning;
    if (meaning != ROUTER_TAKEN && kept_port_lasts(port->kept, loop_now(mapper->loop)))
        return;

    port->kept->mapping = (struct mapping){
        .inner = port->kept->mapping.inner,
        .outer = port->kept->mapping.outer,
        .state = states[meaning],
        .result = answer->result,
        .has_holder = answer->has_holder,
        .holder = answer->holder,
    };
    port->kept->due =
        instant_add(loop_now(mapper->loop), span_seconds(KEPT_REFUSED_SECONDS));
}

/* `is_asked`: the router may have mapped it without our having been told. */
static void port_unanswered(struct upnp_mapper *mapper, struct port *port, bool is_asked,
                            int64_t again_seconds)
{
    struct instant now = loop_now(mapper->loop);
    if (is_asked)
        kept_port_hold(port->kept, now, mapper->config.lease);
    kept_port_fail(port->kept, MAPPING_SILENT, again_seconds, now);
}

static void port_removed(struct upnp_mapper *mapper, struct port *port,
                         const struct upnp_port_reply *answer)
{
    if (!answer->is_answered || answer->result != 0)
        return;
    port->kept->mapping.is_held = false;
    port->kept->mapping.state = MAPPING_REMOVED;
    mapper->removed++;
}

/* --- what a run brings ---------------------------------------------------------------- */

/* All ports that are not in this run; `is_forgotten`: the router does not have them. */
static void map_others_anew(struct upnp_mapper *mapper, bool is_forgotten)
{
    struct instant now = loop_now(mapper->loop);
    for (size_t i = 0; i < mapper->port_count; i++) {
        struct port *port = &mapper->ports[i];
        bool is_in_run = false;
        for (size_t j = 0; j < mapper->run.port_count; j++)
            is_in_run = is_in_run || mapper->asked[j] == port;
        if (is_in_run)
            continue;
        port->kept->due = now;
        if (is_forgotten && port->kept->mapping.is_held) {
            port->kept->mapping.state = MAPPING_WAITING;
            port->kept->mapping.is_held = false;
        }
    }
}

static void outer_note(struct upnp_mapper *mapper)
{
    const struct upnp_reply *reply = &mapper->run.reply;
    if (!reply->has_outer)
        return;
    bool is_moved =
        mapper->has_outer && !address_equals(&reply->outer, &mapper->outer_address);
    mapper->has_outer = true;
    mapper->outer_address = reply->outer;
    if (is_moved) {
        mapper->kept.news.is_moved = true;
        map_others_anew(mapper, false);
    }
}

static void port_answered(void *ctx, size_t index, const struct upnp_port_reply *answer)
{
    struct upnp_mapper *mapper = ctx;
    struct port *port = mapper->asked[index];
    port->is_answered = true;
    if (mapper->is_removing) {
        port_removed(mapper, port, answer);
        return;
    }
    if (answer->was_gone) {
        if (!mapper->kept.news.is_restarted)
            map_others_anew(mapper, true);
        mapper->kept.news.is_restarted = true;
    }
    if (!answer->is_answered)
        port_unanswered(mapper, port, true, KEPT_SILENCE_SECONDS);
    else if (answer->result == 0)
        port_granted(mapper, port, answer);
    else
        port_refused(mapper, port, answer);
}

static void run_ended(void *ctx, enum upnp_end end)
{
    struct upnp_mapper *mapper = ctx;
    const struct upnp_reply *reply = &mapper->run.reply;
    bool is_cut = end == UPNP_END_FAILED && reply->is_connected && !mapper->run.order.waits;
    int64_t again =
        is_cut && reply->answer_count > 0 ? UNFINISHED_SECONDS : KEPT_SILENCE_SECONDS;
    mapper->end = end;
    outer_note(mapper);
    for (size_t i = 0; i < mapper->run.port_count && !mapper->is_removing; i++) {
        struct port *port = mapper->asked[i];
        if (end == UPNP_END_NOT_CONNECTED)
            kept_port_fail(port->kept, MAPPING_OFFLINE, KEPT_SILENCE_SECONDS,
                           loop_now(mapper->loop));
        else if (!port->is_answered)
            port_unanswered(mapper, port, is_cut, again);
        if (mapper->is_anew)
            port->kept->due = loop_now(mapper->loop);
    }
    mapper->is_anew = false;
    mapper->run.port_count = 0;
    wake(mapper);
}

/* --- what to do next ------------------------------------------------------------------ */

static bool is_next(const struct upnp_mapper *mapper, const struct port *port,
                    struct instant now)
{
    return mapper->is_removing ? port->kept->mapping.is_held && !port->is_tried
                               : !instant_before(now, port->kept->due);
}

/* Returns whether there is anything to ask for. */
static bool ports_choose(struct upnp_mapper *mapper, struct instant now)
{
    struct upnp_run *run = &mapper->run;
    run->port_count = 0;
    for (size_t i = 0; i < mapper->port_count && run->port_count < UPNP_RUN_PORTS_MAX;
         i++) {
        struct port *port = &mapper->ports[i];
        const struct mapping *mapping = &port->kept->mapping;
        if (!is_next(mapper, port, now))
            continue;
        port->is_answered = false;
        port->is_tried = mapper->is_removing;
        mapper->asked[run->port_count] = port;
        run->ports[run->port_count++] = (struct upnp_run_port){
            .outer = mapping->outer,
            .inner = mapping->inner,
            .has_pinhole = port->has_pinhole,
            .pinhole = port->pinhole,
        };
    }
    return run->port_count > 0;
}

static void run_begin(struct upnp_mapper *mapper, struct instant now)
{
    const struct upnp_mapper_config *config = &mapper->config;
    const struct mapping *first = &mapper->asked[0]->kept->mapping;
    mapper->run_began = now;
    upnp_run_start(&mapper->run,
                   &(struct upnp_run_order){
                       .is_removal = mapper->is_removing,
                       .waits = config->waits,
                       .is_renewal = first->state == MAPPING_MAPPED && first->is_held &&
                                     instant_before(now, first->held_until),
                       .family = config->family,
                       .local = mapper->local,
                       .client = config->local,
                       .has_gateway = config->has_gateway,
                       .gateway = config->gateway,
                       .lease = config->lease,
                       .deadline = mapper->is_removing
                                       ? mapper->remove_by
                                       : instant_add(now, span_ms(UPNP_MAP_MS)),
                   });
}

static void expired_mark(struct upnp_mapper *mapper, struct instant now)
{
    for (size_t i = 0; i < mapper->port_count; i++)
        kept_port_expire(&mapper->kept.each[i], now);
}

/* When the timer is to fire if no run ends before. */
static struct instant next_time(const struct upnp_mapper *mapper)
{
    struct instant next = {INT64_MAX};
    if (mapper->is_removing)
        return mapper->remove_by;
    if (!mapper->kept.has_settled)
        next = mapper->settle_by;
    if (mapper->run.is_busy)
        return next;
    for (size_t i = 0; i < mapper->port_count; i++)
        next = instant_min(next, mapper->kept.each[i].due);
    next = instant_min(next, announced_next(&mapper->announced));
    return next;
}

static void removing_continue(struct upnp_mapper *mapper, struct instant now)
{
    bool is_late = !instant_before(now, mapper->remove_by);
    if (mapper->has_removed || (mapper->run.is_busy && !is_late))
        return;
    mapper->has_removed = true;
    upnp_run_close(&mapper->run);
    loop_timer_stop(mapper->loop, &mapper->timer);
    mapper->config.removed(mapper->config.ctx);
}

static void timer_fire(struct timer *timer)
{
    struct upnp_mapper *mapper = CONTAINER_OF(timer, struct upnp_mapper, timer);
    struct instant now = loop_now(mapper->loop);
    bool is_removal_over = mapper->is_removing && !instant_before(now, mapper->remove_by);
    if (!mapper->run.is_busy && !is_removal_over) {
        expired_mark(mapper, now);
        if (!mapper->is_removing && announced_take(&mapper->announced, now)) {
            mapper->kept.news.is_announced = true;
            map_others_anew(mapper, false);
        }
        if (ports_choose(mapper, now))
            run_begin(mapper, now);
    }
    loop_timer_set(mapper->loop, timer, next_time(mapper));
    if (mapper->is_removing) {
        removing_continue(mapper, now);
        return;
    }
    bool is_late = !mapper->kept.has_settled && !instant_before(now, mapper->settle_by);
    if (is_late)
        kept_ports_end_waiting(&mapper->kept);
    if (!mapper->run.is_busy || is_late)
        kept_ports_tell(&mapper->kept);
}

/* --- life ----------------------------------------------------------------------------- */

bool upnp_prepare(struct err *err)
{
    return upnp_run_prepare(NULL, err);
}

void upnp_finish(void)
{
    upnp_run_finish();
}

/* What it owns itself. */
static struct upnp_mapper *memory_free(struct upnp_mapper *mapper)
{
    kept_ports_done(&mapper->kept);
    free(mapper->ports);
    free(mapper->asked);
    free(mapper);
    return NULL;
}

bool upnp_mapper_new(struct loop *loop, const struct upnp_mapper_config *config,
                     const struct mapping_port *ports, size_t port_count,
                     struct upnp_mapper **ret, struct err *err)
{
    struct upnp_mapper *mapper = calloc(1, sizeof *mapper);
    if (!mapper)
        return err_sys(err, ENOMEM, "mapping ports");
    mapper->loop = loop;
    mapper->config = *config;
    mapper->local = config->local;
    mapper->port_count = port_count;
    mapper->settle_by = instant_add(clock_now(), span_ms(SETTLE_MS));
    mapper->ports = calloc(port_count + 1, sizeof *mapper->ports);
    mapper->asked = calloc(UPNP_RUN_PORTS_MAX, sizeof *mapper->asked);
    timer_init(&mapper->timer, timer_fire);
    if (!kept_ports_init(&mapper->kept, ports, port_count, config->settled, config->ctx) ||
        !mapper->ports || !mapper->asked ||
        !upnp_run_init(&mapper->run, loop, port_answered, run_ended, mapper, err)) {
        memory_free(mapper);
        return err_sys(err, ENOMEM, "mapping ports");
    }
    for (size_t i = 0; i < port_count; i++)
        mapper->ports[i].kept = &mapper->kept.each[i];
    if (!loop_timer_set(loop, &mapper->timer, clock_now())) {
        upnp_mapper_free(mapper);
        return err_sys(err, ENOMEM, "mapping ports");
    }
    *ret = mapper;
    return true;
}

struct upnp_mapper *upnp_mapper_free(struct upnp_mapper *mapper)
{
    if (!mapper)
        return NULL;

    upnp_run_done(&mapper->run);
    loop_timer_stop(mapper->loop, &mapper->timer);
    return memory_free(mapper);
}

const struct mapping *upnp_mapper_mapping(const struct upnp_mapper *mapper, size_t index)
{
    return &mapper->kept.each[index].mapping;
}

void upnp_mapper_go(struct upnp_mapper *mapper)
{
    mapper->config.waits = false;
    upnp_run_go(&mapper->run);
}

bool upnp_mapper_has_router(const struct upnp_mapper *mapper)
{
    return mapper->run.reply.has_router;
}

enum upnp_end upnp_mapper_end(const struct upnp_mapper *mapper)
{
    return mapper->end;
}

bool upnp_mapper_outer_address(const struct upnp_mapper *mapper, struct address *ret)
{
    if (mapper->has_outer)
        *ret = mapper->outer_address;
    return mapper->has_outer;
}

void upnp_mapper_map_anew(struct upnp_mapper *mapper)
{
    map_others_anew(mapper, false);
    mapper->is_anew = mapper->run.is_busy;
    wake(mapper);
}

void upnp_mapper_hear(struct upnp_mapper *mapper)
{
    mapper->announced.is_due = true;
    wake(mapper);
}

size_t upnp_mapper_removed(const struct upnp_mapper *mapper)
{
    return mapper->removed;
}

void upnp_mapper_remove(struct upnp_mapper *mapper, struct span timeout)
{
    if (mapper->run.is_busy) {
        upnp_run_close(&mapper->run);
        run_ended(mapper, UPNP_END_FAILED);
    }
    mapper->config.waits = false;
    mapper->is_removing = true;
    mapper->remove_by = instant_add(clock_now(), timeout);
    wake(mapper);
}

void upnp_mapper_remove_from(struct upnp_mapper *mapper, const struct address *local,
                             struct span timeout)
{
    mapper->local = *local;
    upnp_mapper_remove(mapper, timeout);
}
