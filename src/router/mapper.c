/* SPDX-License-Identifier: MIT
 *
 * Every decision is made by timer_fire(): what ends a call or brings news only notes it and
 * sets the timer to now. So no callback runs within a function that the owner calls, or
 * within the end of another call.
 */
#include "router/mapper.h"

#include "base/container.h"
#include "base/err.h"
#include "loop/loop.h"
#include "router/announced.h"
#include "router/call.h"
#include "router/epoch.h"
#include "router/kept_ports.h"
#include "router/map_request.h"

#include <errno.h>
#include <stdlib.h>

#define RETRY_MIN_SECONDS 60
#define RETRY_MAX_SECONDS 1800
#define PATIENCE_MAX_MS   1000
#define DOUBLES_MAX       4
#define UPSET_MIN_SECONDS 30
#define UPSET_MAX_SECONDS 480

static const struct instant never = {INT64_MAX};

struct port {
    struct kept_port *kept; /* borrowed */
    bool is_under_way;
    bool is_displaced;   /* its outer port was given to another port of ours for a moment */
    bool is_retried;     /* for that reason, since it was last due */
    bool is_tried;       /* while removing: a removal has been sent */
    unsigned doubles;    /* mappings that repeated requests may have made besides */
    struct instant anew; /* is_under_way: what has happened since wants it due by then */
};

struct slot {
    struct mapper *mapper; /* borrowed */
    struct port *port;     /* borrowed, NULL while free */
    struct call call;
    struct map_request request; /* a lifetime of 0: a removal */
    struct map_reply reply;
};

struct mapper {
    struct loop *loop; /* borrowed */
    struct mapper_config config;
    size_t port_count;
    struct kept_ports kept;
    struct port *ports; /* owned */
    struct slot slots[MAPPER_CALLS_MAX];
    size_t calls;         /* slots in use */
    struct span patience; /* before a request is repeated */
    struct timer timer;
    struct epoch epoch;
    bool has_outer;
    struct address outer_address;
    bool is_answered; /* a request for a mapping was */
    bool is_removing, has_removed;
    struct instant remove_by;
    struct announced announced;
    struct instant upset_at; /* the last restart or outer address that was heeded */
    struct span upset_pause; /* until the next one is */
};

static void wake(struct mapper *mapper)
{
    /* The timer is set, or has room: it was set before. */
    loop_timer_set(mapper->loop, &mapper->timer, loop_now(mapper->loop));
}

/* --- what answers mean ---------------------------------------------------------------- */

/* `is_forgotten`: the router says so, in a datagram that may be forged: what it may still
 * hold is removed at the end. */
static void map_anew(struct mapper *mapper, const struct port *except, struct instant at,
                     bool is_forgotten)
{
    for (size_t i = 0; i < mapper->port_count; i++) {
        struct port *port = &mapper->ports[i];
        /* The router may have answered before it forgot: its reply is on the way. */
        struct instant *due = port->is_under_way ? &port->anew : &port->kept->due;
        if (port == except)
            continue;
        *due = instant_min(*due, at);
        if (is_forgotten)
            port->kept->mapping.expires = at;
        if (is_forgotten && !port->is_under_way)
            port->kept->mapping.state = MAPPING_WAITING;
    }
}

/* The router seems to be another one than before: all ports are mapped again, at once or
 * after a pause, which grows while this goes on. Returns whether it is at once. */
static bool upset(struct mapper *mapper, const struct port *of, bool is_forgotten)
{
    struct instant now = loop_now(mapper->loop);
    struct instant next = instant_add(mapper->upset_at, mapper->upset_pause);
    const struct span longest = span_seconds(UPSET_MAX_SECONDS);
    bool is_calm = instant_since(now, mapper->upset_at).ns >= longest.ns;
    if (mapper->is_removing)
        return false;
    if (instant_before(now, next)) {
        map_anew(mapper, of, next, false);
        return false;
    }
    mapper->upset_at = now;
    mapper->upset_pause.ns *= 2;
    if (is_calm || mapper->upset_pause.ns > longest.ns)
        mapper->upset_pause = is_calm ? span_seconds(UPSET_MIN_SECONDS) : longest;
    map_anew(mapper, of, now, is_forgotten);
    return true;
}

static void note_epoch(struct mapper *mapper, uint32_t seconds, const struct port *of)
{
    if (!epoch_note(&mapper->epoch, mapper->config.protocol, seconds,
                    loop_now(mapper->loop)) &&
        upset(mapper, of, true))
        mapper->kept.news.is_restarted = true;
}

static void note_outer(struct mapper *mapper, const struct address *outer,
                       const struct port *of)
{
    bool is_moved = mapper->has_outer && !address_equals(outer, &mapper->outer_address);
    /* The other end of an IPv6 pinhole is our own address. */
    if (address_family_number(outer) != 4)
        return;
    mapper->has_outer = true;
    mapper->outer_address = *outer;
    if (is_moved && upset(mapper, of, false))
        mapper->kept.news.is_moved = true;
}

static struct span retry_after(const struct map_reply *reply)
{
    uint32_t seconds = reply->lifetime;
    if (reply->result == 0 || seconds == 0) /* granted, but not as wished; or not told */
        seconds = KEPT_REFUSED_SECONDS;
    if (seconds < RETRY_MIN_SECONDS)
        seconds = RETRY_MIN_SECONDS;
    return span_seconds(seconds < RETRY_MAX_SECONDS ? seconds : RETRY_MAX_SECONDS);
}

static void port_granted(struct mapper *mapper, struct port *port,
                         const struct map_reply *reply)
{
    struct instant now = loop_now(mapper->loop);
    const struct kept_grant grant = {
        .lease = reply->lifetime,
        .lease_min = mapper->config.lease_min,
        .asked_at = now,
        .jitter = mapper->kept.jitter,
    };
    port->doubles = 0; /* repetitions renewed it */
    kept_port_grant(port->kept, &grant, now);
}

/* The ports that have not been mapped yet need not be asked for. */
static void table_full(struct mapper *mapper, const struct map_reply *reply)
{
    struct instant now = loop_now(mapper->loop);
    for (size_t i = 0; i < mapper->port_count; i++) {
        struct port *port = &mapper->ports[i];
        if (port->is_under_way || port->kept->mapping.is_held)
            continue;
        port->kept->mapping.state = MAPPING_FULL;
        port->kept->mapping.result = reply->result;
        port->kept->due = instant_add(now, retry_after(reply));
    }
}

/* While a mapping that is to be given back exists, it is in the way of our own port. */
static void displaced_mark(struct mapper *mapper, uint16_t outer)
{
    for (size_t i = 0; i < mapper->port_count; i++)
        if (mapper->kept.each[i].mapping.outer == outer)
            mapper->ports[i].is_displaced = true;
}

static void port_refused(struct mapper *mapper, struct port *port,
                         const struct map_reply *reply)
{
    /* clang-format off */
    static const enum mapping_state states[] = {
        [ROUTER_GRANTED] = MAPPING_OTHER_PORT, /* but not as wished */
        [ROUTER_REFUSES] = MAPPING_REFUSED,   [ROUTER_FULL] = MAPPING_FULL,
        [ROUTER_TAKEN] = MAPPING_OTHER_PORT,  [ROUTER_OFFLINE] = MAPPING_REFUSED,
        [ROUTER_FAR] = MAPPING_REFUSED,       [ROUTER_LACKS] = MAPPING_REFUSED,
        [ROUTER_MISUNDERSTOOD] = MAPPING_REFUSED,
    };
    /* clang-format on */
    const struct router_result said =
        router_result_of(mapper->config.protocol, reply->result);
    if (said.meaning != ROUTER_GRANTED &&
        kept_port_lasts(port->kept, loop_now(mapper->loop)))
        return;

    port->kept->mapping.state = states[said.meaning];
    port->kept->mapping.result = reply->result;
    port->kept->mapping.given = reply->result == 0 ? reply->outer : 0;
    port->kept->mapping.is_held = said.meaning == ROUTER_GRANTED;
    port->kept->due = instant_add(loop_now(mapper->loop), retry_after(reply));
    if (said.meaning == ROUTER_GRANTED)
        displaced_mark(mapper, reply->outer);
    if (said.meaning == ROUTER_FULL)
        table_full(mapper, reply);
}

static void port_unanswered(struct mapper *mapper, struct port *port)
{
    kept_port_fail(port->kept, MAPPING_SILENT, KEPT_SILENCE_SECONDS,
                   loop_now(mapper->loop));
}

/* --- requests ------------------------------------------------------------------------- */

static bool reply_take(void *ctx, const uint8_t *bytes, size_t len)
{
    struct slot *slot = ctx;
    return map_reply_read(bytes, len, &slot->request, &slot->reply);
}

/* A router that gives another outer port may give a further one to a repetition of the
 * request (miniupnpd does, when an earlier port has become free meanwhile). A removal ends
 * one of them. */
static void doubles_add(struct port *port, unsigned repetitions)
{
    port->doubles += repetitions;
    if (port->doubles > DOUBLES_MAX)
        port->doubles = DOUBLES_MAX;
}

static void slot_release(struct slot *slot)
{
    call_close(&slot->call);
    if (slot->request.lifetime != 0)
        doubles_add(slot->port, slot->call.sent - 1);
    slot->port->is_under_way = false;
    slot->port = NULL;
    slot->mapper->calls--;
}

static bool slot_begin(struct slot *slot, struct port *port, bool is_removal)
{
    struct mapper *mapper = slot->mapper;
    const struct mapper_config *config = &mapper->config;
    struct instant now = loop_now(mapper->loop);
    struct instant deadline = instant_add(now, span_ms(MAPPER_REQUEST_MS));
    if (mapper->is_removing)
        deadline = instant_min(deadline, mapper->remove_by);
    else if (port->kept->mapping.state == MAPPING_MAPPED) /* no longer than that is true */
        deadline = instant_min(deadline, port->kept->mapping.expires);
    if (!call_open(&slot->call, &config->router, config->has_local ? &config->local : NULL,
                   NULL))
        return false;
    slot->request = (struct map_request){
        .protocol = config->protocol,
        .client = slot->call.local,
        .nonce = config->nonce,
        .inner = port->kept->mapping.inner,
        .outer = is_removal ? 0 : port->kept->mapping.outer,
        .lifetime = is_removal ? 0 : config->lease,
    };
    slot->call.len = map_request_write(&slot->request, slot->call.bytes);
    if (!call_start(&slot->call, mapper->patience, deadline))
        return false;

    slot->port = port;
    port->is_under_way = true;
    mapper->calls++;
    if (!is_removal)
        kept_port_hold(port->kept, deadline, config->lease);
    return true;
}

static void removal_end(struct slot *slot, struct port *port, enum call_end end)
{
    if (end != CALL_ANSWERED || slot->reply.result != 0 || slot->reply.lifetime != 0)
        return;
    if (port->doubles > 0) {
        port->doubles--;
        port->is_tried = false;
        if (!slot->mapper->is_removing)
            slot_begin(slot, port, true);
        return;
    }
    port->kept->mapping.is_held = false;
    if (slot->mapper->is_removing)
        port->kept->mapping.state = MAPPING_REMOVED;
}

static void mapping_end(struct slot *slot, struct port *port, enum call_end end)
{
    struct mapper *mapper = slot->mapper;
    const struct map_reply *reply = &slot->reply;
    if (end == CALL_CLOSED && port->kept->mapping.state != MAPPING_MAPPED)
        port->kept->mapping.is_held = false;
    if (end != CALL_ANSWERED)
        port_unanswered(mapper, port);
    else if (reply->result == 0 && reply->outer == port->kept->mapping.outer)
        port_granted(mapper, port, reply);
    else
        port_refused(mapper, port, reply);
    /* What is not wanted is given back at once: for its owner, not for us. */
    if (port->kept->mapping.state == MAPPING_OTHER_PORT && port->kept->mapping.is_held)
        slot_begin(slot, port, true);
}

/* Some routers take their time for each request: to repeat those that wait would add to
 * what they have to do. */
static void note_pace(struct mapper *mapper, struct instant begun)
{
    int64_t twice_ms = 2 * instant_since(clock_now(), begun).ns / NS_PER_MS;
    if (twice_ms > PATIENCE_MAX_MS)
        twice_ms = PATIENCE_MAX_MS;
    mapper->patience = span_ms(twice_ms > CALL_WAIT_MS ? twice_ms : CALL_WAIT_MS);
}

static void call_ended(void *ctx, enum call_end end)
{
    struct slot *slot = ctx;
    struct mapper *mapper = slot->mapper;
    struct port *port = slot->port;
    const struct map_reply reply = slot->reply;
    if (end == CALL_ANSWERED)
        note_pace(mapper, slot->call.begun);
    slot_release(slot);
    if (end == CALL_ANSWERED && reply.has_epoch)
        note_epoch(mapper, reply.epoch, port);
    if (end == CALL_ANSWERED && reply.has_outer_address && slot->request.lifetime != 0)
        note_outer(mapper, &reply.outer_address, port);
    mapper->is_answered =
        mapper->is_answered || (end == CALL_ANSWERED && slot->request.lifetime != 0);
    if (slot->request.lifetime == 0)
        removal_end(slot, port, end);
    else
        mapping_end(slot, port, end);
    port->kept->due = instant_min(port->kept->due, port->anew);
    port->anew = never;
    wake(mapper);
}

/* --- what to do next ------------------------------------------------------------------ */

/* When all else is done: the first that was displaced, alone, so that no other is. */
static struct port *displaced_next(struct mapper *mapper)
{
    for (size_t i = 0; i < mapper->port_count && mapper->calls == 0; i++) {
        struct port *port = &mapper->ports[i];
        if (port->kept->mapping.state == MAPPING_OTHER_PORT && port->is_displaced &&
            !port->is_retried)
            return port;
    }
    return NULL;
}

/* The one that has waited longest, so that each has its turn while events come faster than
 * a slow router answers; the first of these in the order of the list. */
static struct port *port_next(struct mapper *mapper, struct instant now)
{
    struct port *next = NULL;
    for (size_t i = 0; i < mapper->port_count; i++) {
        struct port *port = &mapper->ports[i];
        bool is_next = mapper->is_removing ? port->kept->mapping.is_held && !port->is_tried
                                           : !instant_before(now, port->kept->due);
        if (is_next && !port->is_under_way &&
            (!next || instant_before(port->kept->due, next->kept->due)))
            next = port;
    }
    return next || mapper->is_removing ? next : displaced_next(mapper);
}

static void requests_begin(struct mapper *mapper, struct instant now)
{
    for (size_t i = 0; i < MAPPER_CALLS_MAX; i++) {
        struct slot *slot = &mapper->slots[i];
        struct port *port = slot->port ? NULL : port_next(mapper, now);
        if (!port)
            continue;
        kept_port_expire(port->kept, now);
        port->is_tried = mapper->is_removing;
        port->is_retried = instant_before(now, port->kept->due);
        port->is_displaced = false;
        if (!slot_begin(slot, port, mapper->is_removing) && !mapper->is_removing)
            port_unanswered(mapper, port);
    }
}

/* What is not answered by then is SILENT. */
static struct instant settle_by(const struct mapper *mapper)
{
    const struct mapper_config *config = &mapper->config;
    return mapper->is_answered ? config->deadline
                               : instant_min(config->deadline, config->silent_by);
}

/* When the timer is to fire if no call ends before. */
static struct instant next_time(const struct mapper *mapper)
{
    struct instant next = never;
    if (mapper->is_removing)
        return mapper->remove_by;
    if (!mapper->kept.has_settled)
        next = settle_by(mapper);
    next = instant_min(next, announced_next(&mapper->announced));
    if (mapper->calls == MAPPER_CALLS_MAX)
        return next;
    for (size_t i = 0; i < mapper->port_count; i++)
        if (!mapper->ports[i].is_under_way)
            next = instant_min(next, mapper->kept.each[i].due);
    return next;
}

static void timer_fire(struct timer *timer)
{
    struct mapper *mapper = CONTAINER_OF(timer, struct mapper, timer);
    struct instant now = loop_now(mapper->loop);
    if (!mapper->is_removing && announced_take(&mapper->announced, now)) {
        mapper->kept.news.is_announced = true;
        map_anew(mapper, NULL, now, false);
    }
    requests_begin(mapper, now);
    loop_timer_set(mapper->loop, timer, next_time(mapper));

    bool is_idle = mapper->calls == 0 && !port_next(mapper, now);
    if (mapper->is_removing) {
        if (mapper->has_removed || (!is_idle && instant_before(now, mapper->remove_by)))
            return;
        mapper->has_removed = true;
        loop_timer_stop(mapper->loop, timer);
        mapper->config.removed(mapper->config.ctx);
        return;
    }
    bool is_late = !mapper->kept.has_settled && !instant_before(now, settle_by(mapper));
    if (is_late)
        kept_ports_end_waiting(&mapper->kept);
    if (is_idle || is_late)
        kept_ports_tell(&mapper->kept);
}

/* --- life ----------------------------------------------------------------------------- */

/* What it owns itself. */
static struct mapper *memory_free(struct mapper *mapper)
{
    kept_ports_done(&mapper->kept);
    free(mapper->ports);
    free(mapper);
    return NULL;
}

bool mapper_new(struct loop *loop, const struct mapper_config *config,
                const struct mapping_port *ports, size_t port_count, struct mapper **ret,
                struct err *err)
{
    struct mapper *mapper = calloc(1, sizeof *mapper);
    if (!mapper)
        return err_sys(err, ENOMEM, "mapping ports");
    mapper->ports = calloc(port_count + 1, sizeof *mapper->ports);
    if (!kept_ports_init(&mapper->kept, ports, port_count, config->settled, config->ctx) ||
        !mapper->ports) {
        memory_free(mapper);
        return err_sys(err, ENOMEM, "mapping ports");
    }
    mapper->loop = loop;
    mapper->config = *config;
    mapper->port_count = port_count;
    mapper->patience = span_ms(CALL_WAIT_MS);
    mapper->upset_at = instant_back(clock_now(), span_seconds(UPSET_MAX_SECONDS));
    for (size_t i = 0; i < port_count; i++)
        mapper->ports[i] = (struct port){.kept = &mapper->kept.each[i], .anew = never};
    for (size_t i = 0; i < MAPPER_CALLS_MAX; i++) {
        mapper->slots[i].mapper = mapper;
        call_init(&mapper->slots[i].call, loop, reply_take, call_ended, &mapper->slots[i]);
    }
    timer_init(&mapper->timer, timer_fire);
    if (!loop_timer_set(loop, &mapper->timer, clock_now())) {
        mapper_free(mapper);
        return err_sys(err, ENOMEM, "mapping ports");
    }
    *ret = mapper;
    return true;
}

static void calls_close(struct mapper *mapper)
{
    for (size_t i = 0; i < MAPPER_CALLS_MAX; i++)
        if (mapper->slots[i].port)
            slot_release(&mapper->slots[i]);
}

struct mapper *mapper_free(struct mapper *mapper)
{
    if (!mapper)
        return NULL;

    calls_close(mapper);
    loop_timer_stop(mapper->loop, &mapper->timer);
    return memory_free(mapper);
}

const struct mapping *mapper_mapping(const struct mapper *mapper, size_t index)
{
    return &mapper->kept.each[index].mapping;
}

bool mapper_outer_address(const struct mapper *mapper, struct address *ret)
{
    if (mapper->has_outer)
        *ret = mapper->outer_address;
    return mapper->has_outer;
}

void mapper_hear(struct mapper *mapper, enum router_protocol protocol, uint32_t epoch,
                 const struct address *outer)
{
    if (protocol == mapper->config.protocol)
        note_epoch(mapper, epoch, NULL);
    if (outer)
        note_outer(mapper, outer, NULL);
    mapper->announced.is_due = true;
    wake(mapper);
}

void mapper_map_anew(struct mapper *mapper)
{
    map_anew(mapper, NULL, loop_now(mapper->loop), false);
    wake(mapper);
}

void mapper_remove(struct mapper *mapper, struct span timeout)
{
    mapper->is_removing = true;
    mapper->remove_by = instant_add(clock_now(), timeout);
    calls_close(mapper);
    wake(mapper);
}
