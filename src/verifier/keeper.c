/* SPDX-License-Identifier: MIT */
#include "verifier/keeper.h"

#include "base/container.h"
#include "base/err.h"
#include "loop/loop.h"
#include "router/announce.h"
#include "router/ask.h"
#include "router/mapper.h"
#include "verifier/uplink.h"
#include "verifier/upnp_mapper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_EVERY_MS 50

struct keeper {
    struct keeper_config config;
    struct uplink uplink;
    struct mapping_port *ports; /* owned */
    size_t port_count;
    size_t known_count; /* the mapper knows the first ones of them */
    struct ask *ask;    /* owned, as are the next three; NULL: not now */
    struct announcements *announcements;
    struct mapper *mapper;    /* of NAT-PMP or PCP */
    struct upnp_mapper *upnp; /* not both */
    bool is_asked_twice;      /* the second question has been put */
    bool is_searching;        /* while it runs, `upnp` only looks for the router */
    bool is_search_over;      /* is_searching: and has found none that it can ask */
    bool may_speak[ROUTER_PROTOCOL_COUNT];
    enum router_protocol protocol; /* of the mapper */
    enum mapping_fault fault;      /* without a mapper */
    bool is_waited_for;            /* `settled` is due with is_first */
    bool is_removing;
    bool has_to_tell;   /* the owner, what no mapper tells it */
    struct timer timer; /* for that, or to ask anew */
};

static void tell_soon(struct keeper *keeper)
{
    keeper->has_to_tell = true;
    /* The timer has room: keeper_new() set it. */
    loop_timer_set(keeper->config.loop, &keeper->timer, clock_now());
}

static void fail(struct keeper *keeper, enum mapping_fault fault)
{
    keeper->fault = fault;
    tell_soon(keeper);
}

static void ask_anew_in(struct keeper *keeper, struct span pause)
{
    if (!keeper->has_to_tell && !keeper->is_removing)
        loop_timer_set(keeper->config.loop, &keeper->timer,
                       instant_add(clock_now(), pause));
}

/* --- a mapper of any protocol --------------------------------------------------------- */

static bool has_mapper(const struct keeper *keeper)
{
    return keeper->mapper || keeper->upnp;
}

static const struct mapping *mapping_of(const struct keeper *keeper, size_t index)
{
    return keeper->mapper ? mapper_mapping(keeper->mapper, index)
                          : upnp_mapper_mapping(keeper->upnp, index);
}

/* With what the router may hold now. */
static struct mapping_port port_of(const struct keeper *keeper, size_t index)
{
    struct mapping_port port = keeper->ports[index];
    if (index < keeper->known_count) {
        port.is_held = mapping_of(keeper, index)->is_held;
        port.held_until = mapping_of(keeper, index)->held_until;
    }
    return port;
}

static void search_end(struct keeper *keeper)
{
    if (keeper->is_searching && !keeper->has_to_tell)
        loop_timer_stop(keeper->config.loop, &keeper->timer);
    keeper->is_searching = false;
}

/* The next mapper removes what this one would have removed. */
static void mapper_drop(struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->known_count; i++)
        keeper->ports[i] = port_of(keeper, i);
    keeper->known_count = 0;
    search_end(keeper);
    keeper->mapper = mapper_free(keeper->mapper);
    keeper->upnp = upnp_mapper_free(keeper->upnp);
}

static enum router_meaning meaning_of(const struct keeper *keeper, size_t index)
{
    return router_result_of(keeper->protocol, mapping_of(keeper, index)->result).meaning;
}

/* The router speaks this protocol, but knows no mappings in it. */
static bool lacks_mappings(const struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->port_count; i++)
        if (mapping_of(keeper, i)->state != MAPPING_REFUSED ||
            meaning_of(keeper, i) != ROUTER_LACKS)
            return false;
    return has_mapper(keeper) && keeper->port_count > 0;
}

static bool is_silent(const struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->known_count; i++)
        if (mapping_of(keeper, i)->state != MAPPING_SILENT)
            return false;
    return true;
}

/* There is nothing that looks for the router by itself. */
static bool is_lost(const struct keeper *keeper)
{
    if (keeper->mapper || !keeper->uplink.needs_mapping || keeper->port_count == 0)
        return false;
    return !keeper->upnp || upnp_mapper_end(keeper->upnp) != UPNP_END_DONE;
}

static void told(struct keeper *keeper)
{
    if (is_lost(keeper))
        ask_anew_in(keeper, span_seconds(KEEPER_RETRY_SECONDS));
}

static void mapper_begin(struct keeper *keeper);

static void mapper_settled(void *ctx, const struct mapping_news *news)
{
    struct keeper *keeper = ctx;
    if (keeper->is_searching) {
        keeper->is_search_over = true;
        return;
    }
    if (news->is_first && lacks_mappings(keeper) && keeper->protocol != ROUTER_UPNP) {
        keeper->may_speak[keeper->protocol] = false;
        mapper_begin(keeper);
        return;
    }
    keeper->is_waited_for = keeper->is_waited_for && !news->is_first;
    told(keeper);
    keeper->config.settled(keeper->config.ctx, news);
}

static void mapper_removed(void *ctx)
{
    struct keeper *keeper = ctx;
    keeper->config.removed(keeper->config.ctx);
}

static bool datagram_begin(struct keeper *keeper)
{
    const struct mapper_config config = {
        .protocol = keeper->protocol,
        .router = keeper->uplink.router,
        .has_local = true,
        .local = keeper->uplink.local,
        .nonce = keeper->config.nonce,
        .lease = MAPPER_LEASE_SECONDS,
        .lease_min = MAPPING_LEASE_MIN_SECONDS,
        .deadline = instant_add(clock_now(), span_ms(KEEPER_MAP_MS)),
        .settled = mapper_settled,
        .removed = mapper_removed,
        .ctx = keeper,
    };
    return mapper_new(keeper->config.loop, &config, keeper->ports, keeper->port_count,
                      &keeper->mapper, NULL);
}

static bool upnp_begin(struct keeper *keeper, bool waits)
{
    const struct upnp_mapper_config config = {
        .family = keeper->config.family,
        .local = keeper->uplink.local,
        .gateway = keeper->uplink.router,
        .has_gateway = true,
        .waits = waits,
        .lease = MAPPER_LEASE_SECONDS,
        .lease_min = MAPPING_LEASE_MIN_SECONDS,
        .settled = mapper_settled,
        .removed = mapper_removed,
        .ctx = keeper,
    };
    return upnp_mapper_new(keeper->config.loop, &config, keeper->ports, keeper->port_count,
                           &keeper->upnp, NULL);
}

/* Of the first protocol that the router may speak. */
static void mapper_begin(struct keeper *keeper)
{
    static const enum router_protocol order[] = {ROUTER_PCP, ROUTER_NATPMP, ROUTER_UPNP};
    size_t i = 0;
    mapper_drop(keeper);
    while (!keeper->may_speak[order[i]]) /* UPnP always may be */
        i++;
    keeper->protocol = order[i];
    keeper->fault = MAPPING_FAULT_NONE;
    if (order[i] == ROUTER_UPNP ? upnp_begin(keeper, false) : datagram_begin(keeper))
        keeper->known_count = keeper->port_count;
    else
        fail(keeper, MAPPING_FAULT_FAILED);
}

/* --- asking -----------------------------------------------------------------------------
 */

static void ask_begin(struct keeper *keeper, struct span timeout);

static void look_in(struct keeper *keeper, int64_t ms)
{
    loop_timer_set(keeper->config.loop, &keeper->timer,
                   instant_add(clock_now(), span_ms(ms)));
}

/* UPnP is tried only if no datagram is answered, but the search for it takes time. */
static void search_begin(struct keeper *keeper)
{
    keeper->protocol = ROUTER_UPNP;
    if (!upnp_begin(keeper, true))
        return;
    keeper->known_count = keeper->port_count;
    keeper->is_searching = true;
    keeper->is_search_over = false;
    look_in(keeper, KEEPER_UPNP_MS);
}

/* No datagram was answered. */
static void search_use(struct keeper *keeper)
{
    const struct mapping_news news = {.is_first = true, .is_changed = true};
    search_end(keeper);
    if (keeper->is_search_over)
        mapper_settled(keeper, &news);
    else
        upnp_mapper_go(keeper->upnp);
}

static void ask_ended(void *ctx, const struct router_answer *answer)
{
    struct keeper *keeper = ctx;
    bool is_spoken = false;
    bool is_silent = false;
    keeper->ask = ask_free(keeper->ask);
    for (enum router_protocol which = 0; which < ROUTER_DATAGRAM_COUNT; which++) {
        bool has_family = which == ROUTER_PCP || keeper->config.family == FAMILY_4;
        enum speech_state state = answer->speech[which].state;
        keeper->may_speak[which] = state == SPEECH_SPOKEN;
        is_spoken = is_spoken || state == SPEECH_SPOKEN;
        is_silent = is_silent || (has_family && state == SPEECH_SILENT);
    }
    if (!is_spoken && !keeper->is_waited_for && has_mapper(keeper)) {
        told(keeper); /* it asks over UPnP by itself */
    } else if (!is_spoken && keeper->is_searching) {
        search_use(keeper);
    } else if (is_spoken || !is_silent || keeper->is_asked_twice) {
        mapper_begin(keeper);
    } else {
        keeper->is_asked_twice = true;
        search_begin(keeper);
        ask_begin(keeper, span_ms(KEEPER_ASK_MS));
    }
}

/* While both are looked for: what has been found is used. */
static void search_look(struct keeper *keeper)
{
    const struct router_answer answer = *ask_answer(keeper->ask);
    bool is_spoken = false;
    for (enum router_protocol which = 0; which < ROUTER_DATAGRAM_COUNT; which++)
        is_spoken = is_spoken || answer.speech[which].state == SPEECH_SPOKEN;
    if (is_spoken || upnp_mapper_has_router(keeper->upnp))
        ask_ended(keeper, &answer);
    else
        look_in(keeper, LOOK_EVERY_MS);
}

static void ask_begin(struct keeper *keeper, struct span timeout)
{
    if (!ask_new(keeper->config.loop, &keeper->uplink.router, timeout, ask_ended, keeper,
                 &keeper->ask, NULL)) {
        mapper_drop(keeper);
        fail(keeper, MAPPING_FAULT_FAILED);
    }
}

/* --- the uplink -------------------------------------------------------------------------
 */

static void router_announced(void *ctx, enum router_protocol protocol, uint32_t epoch,
                             const struct address *outer)
{
    struct keeper *keeper = ctx;
    if (keeper->is_removing)
        return;
    if (keeper->mapper && protocol == keeper->protocol)
        mapper_hear(keeper->mapper, epoch, outer);
    else if (is_lost(keeper) && !keeper->ask)
        ask_anew_in(keeper, span_ms(0)); /* not within its own callback */
}

static void uplink_set(struct keeper *keeper, const struct uplink *uplink)
{
    mapper_drop(keeper);
    for (size_t i = 0; i < keeper->port_count; i++)
        keeper->ports[i].is_held = false; /* by a router that cannot be asked any more */
    keeper->announcements = announcements_free(keeper->announcements);
    keeper->uplink = *uplink;
    /* Without announcements there still is the epoch of replies. */
    if (uplink->has_router && uplink->needs_mapping)
        announcements_new(keeper->config.loop, &uplink->router, ROUTER_ANNOUNCE_PORT,
                          router_announced, keeper, &keeper->announcements, NULL);
}

/* Between the rounds: the router may have come back. */
static void ask_anew(struct keeper *keeper)
{
    const struct uplink uplink = uplink_find(keeper->config.family, &keeper->config.source);
    if (!is_lost(keeper) || keeper->ask)
        return;
    if (!uplink_equals(&uplink, &keeper->uplink))
        uplink_set(keeper, &uplink);
    keeper->is_asked_twice = true;
    if (uplink.has_router && uplink.needs_mapping)
        ask_begin(keeper, span_ms(KEEPER_ASK_MS));
    else
        told(keeper);
}

/* --- what the owner asks for -------------------------------------------------------------
 */

static bool port_find(const struct keeper *keeper, uint16_t inner, size_t *ret)
{
    for (size_t i = 0; i < keeper->port_count; i++)
        if (keeper->ports[i].inner == inner) {
            *ret = i;
            return true;
        }
    return false;
}

/* Whether all are there; *ret_is_more: some were not. */
static bool ports_add(struct keeper *keeper, const struct mapping_port *ports, size_t count,
                      bool *ret_is_more)
{
    size_t ignored;
    struct mapping_port *all =
        realloc(keeper->ports, (keeper->port_count + count + 1) * sizeof *all);
    *ret_is_more = false;
    if (!all)
        return false;
    keeper->ports = all;
    for (size_t i = 0; i < count; i++) {
        if (port_find(keeper, ports[i].inner, &ignored))
            continue;
        all[keeper->port_count++] = ports[i];
        *ret_is_more = true;
    }
    return true;
}

void keeper_map(struct keeper *keeper, const struct mapping_port *ports, size_t count)
{
    const struct uplink uplink = uplink_find(keeper->config.family, &keeper->config.source);
    bool is_more;
    keeper->is_waited_for = true;
    keeper->has_to_tell = false;
    keeper->ask = ask_free(keeper->ask);
    if (!uplink_equals(&uplink, &keeper->uplink))
        uplink_set(keeper, &uplink);
    if (!ports_add(keeper, ports, count, &is_more)) {
        fail(keeper, MAPPING_FAULT_FAILED);
    } else if (!uplink.needs_mapping || !uplink.has_router || keeper->port_count == 0) {
        fail(keeper, uplink.has_router ? MAPPING_FAULT_NONE : MAPPING_FAULT_NO_ROUTER);
    } else if (!has_mapper(keeper) || keeper->is_searching || is_silent(keeper)) {
        mapper_drop(keeper);
        keeper->fault = MAPPING_FAULT_NONE;
        keeper->is_asked_twice = false;
        ask_begin(keeper, span_ms(ASK_MS));
    } else if (is_more) {
        mapper_begin(keeper);
    } else {
        tell_soon(keeper);
    }
}

void keeper_doubt(struct keeper *keeper)
{
    if (keeper->mapper)
        mapper_map_anew(keeper->mapper);
    else if (keeper->upnp)
        upnp_mapper_map_anew(keeper->upnp);
}

void keeper_remove(struct keeper *keeper)
{
    keeper->is_removing = true;
    keeper->has_to_tell = false;
    keeper->ask = ask_free(keeper->ask);
    if (keeper->mapper)
        mapper_remove(keeper->mapper, span_ms(MAPPER_REMOVE_MS));
    else if (keeper->upnp)
        upnp_mapper_remove(keeper->upnp, span_ms(UPNP_REMOVE_MS));
    else
        tell_soon(keeper);
}

/* --- what is known ----------------------------------------------------------------------
 */

/* The wall-clock time of an instant. */
static time_t time_of(struct instant at)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t rest = instant_since(at, clock_now()).ns + now.tv_nsec;
    return now.tv_sec + (time_t)(rest / NS_PER_SECOND);
}

static enum mapping_fault fault_of(const struct keeper *keeper)
{
    static const enum mapping_fault faults[] = {
        [UPNP_END_NONE] = MAPPING_FAULT_NONE,
        [UPNP_END_DONE] = MAPPING_FAULT_NONE,
        [UPNP_END_MISSING] = MAPPING_FAULT_UPNP_MISSING,
        [UPNP_END_NO_ROUTER] = MAPPING_FAULT_NO_ROUTER,
        [UPNP_END_NOT_CONNECTED] = MAPPING_FAULT_NOT_CONNECTED,
        [UPNP_END_FAILED] = MAPPING_FAULT_FAILED,
    };
    for (size_t i = 0; i < keeper->known_count; i++)
        if (mapping_of(keeper, i)->state == MAPPING_MAPPED)
            return MAPPING_FAULT_NONE;
    if (keeper->upnp)
        return faults[upnp_mapper_end(keeper->upnp)];
    for (size_t i = 0; i < keeper->port_count && keeper->mapper; i++)
        if (mapping_of(keeper, i)->state != MAPPING_REFUSED ||
            meaning_of(keeper, i) != ROUTER_OFFLINE)
            return keeper->fault;
    return keeper->mapper ? MAPPING_FAULT_NOT_CONNECTED : keeper->fault;
}

struct mapping_summary keeper_summary(const struct keeper *keeper)
{
    struct mapping_summary summary = {
        .is_there = keeper->uplink.needs_mapping && keeper->port_count > 0,
        .has_router = keeper->uplink.has_router,
        .router = keeper->uplink.router,
        .fault = fault_of(keeper),
        .asked = keeper->port_count,
    };
    if (!summary.is_there)
        return (struct mapping_summary){0};
    if (summary.has_router)
        address_set_port(&summary.router, 0);
    if (!has_mapper(keeper))
        return summary;

    summary.has_protocol = summary.fault != MAPPING_FAULT_NO_ROUTER &&
                           summary.fault != MAPPING_FAULT_UPNP_MISSING;
    summary.protocol = keeper->protocol;
    summary.has_outer = keeper->mapper
                            ? mapper_outer_address(keeper->mapper, &summary.outer)
                            : upnp_mapper_outer_address(keeper->upnp, &summary.outer);
    for (size_t i = 0; i < keeper->port_count; i++) {
        const struct mapping *mapping = mapping_of(keeper, i);
        if (mapping->state != MAPPING_MAPPED)
            continue;
        summary.mapped++;
        if (!mapping->is_permanent &&
            (summary.lease == 0 || mapping->lease < summary.lease))
            summary.lease = mapping->lease;
    }
    return summary;
}

struct mapping_view keeper_view(const struct keeper *keeper, uint16_t inner)
{
    size_t index;
    enum mapping_fault fault = fault_of(keeper);
    if (!has_mapper(keeper) || fault == MAPPING_FAULT_NO_ROUTER ||
        fault == MAPPING_FAULT_UPNP_MISSING || !port_find(keeper, inner, &index))
        return (struct mapping_view){0};

    const struct mapping *mapping = mapping_of(keeper, index);
    struct mapping_view view = {.is_asked = true, .state = mapping->state};
    switch (mapping->state) {
    case MAPPING_OTHER_PORT:
    case MAPPING_REFUSED:
    case MAPPING_FULL:
        view.result = router_result_of(keeper->protocol, mapping->result).name;
        view.meaning = meaning_of(keeper, index);
        break;
    case MAPPING_MAPPED:
        view.has_expiry = !mapping->is_permanent;
        view.expires = view.has_expiry ? time_of(mapping->expires) : 0;
        break;
    case MAPPING_SHORT_LEASE:
        view.lease = mapping->lease;
        break;
    case MAPPING_OFFLINE:
        view.meaning = ROUTER_OFFLINE;
        break;
    case MAPPING_WAITING:
    case MAPPING_SILENT:
    case MAPPING_REMOVED:
        break;
    }
    if (mapping->state == MAPPING_OTHER_PORT) {
        view.given = mapping->given;
        view.has_holder = mapping->has_holder;
        view.holder = mapping->holder;
    }
    return view;
}

size_t keeper_left(const struct keeper *keeper, uint16_t *ports, time_t *ret_until)
{
    size_t count = 0;
    bool is_permanent = false;
    *ret_until = 0;
    for (size_t i = 0; i < keeper->port_count; i++) {
        const struct mapping_port port = port_of(keeper, i);
        if (!port.is_held)
            continue;
        bool has_end = port.held_until.ns != INT64_MAX;
        time_t until = has_end ? time_of(port.held_until) : 0;
        is_permanent = is_permanent || !has_end;
        *ret_until = until > *ret_until ? until : *ret_until;
        if (ports)
            ports[count] = port.outer;
        count++;
    }
    if (is_permanent)
        *ret_until = 0;
    return count;
}

size_t keeper_port_count(const struct keeper *keeper)
{
    return keeper->port_count;
}

/* --- life ----------------------------------------------------------------------------- */

static void timer_fire(struct timer *timer)
{
    struct keeper *keeper = CONTAINER_OF(timer, struct keeper, timer);
    const struct mapping_news news = {.is_first = true, .is_changed = true};
    if (!keeper->has_to_tell) {
        if (keeper->is_searching && keeper->ask)
            search_look(keeper);
        else if (!keeper->is_removing)
            ask_anew(keeper);
        return;
    }
    keeper->has_to_tell = false;
    if (keeper->is_removing) {
        keeper->config.removed(keeper->config.ctx);
    } else if (keeper->is_waited_for) {
        keeper->is_waited_for = false;
        told(keeper);
        keeper->config.settled(keeper->config.ctx, &news);
    }
}

bool keeper_new(const struct keeper_config *config, struct keeper **ret, struct err *err)
{
    struct keeper *keeper = calloc(1, sizeof *keeper);
    if (!keeper)
        return err_sys(err, ENOMEM, "mapping ports");

    keeper->config = *config;
    keeper->may_speak[ROUTER_UPNP] = true;
    timer_init(&keeper->timer, timer_fire);
    /* It does nothing yet, but later there is room for it. */
    if (!loop_timer_set(config->loop, &keeper->timer, clock_now())) {
        free(keeper);
        return err_sys(err, ENOMEM, "mapping ports");
    }
    *ret = keeper;
    return true;
}

struct keeper *keeper_free(struct keeper *keeper)
{
    if (!keeper)
        return NULL;

    loop_timer_stop(keeper->config.loop, &keeper->timer);
    ask_free(keeper->ask);
    mapper_drop(keeper);
    announcements_free(keeper->announcements);
    free(keeper->ports);
    free(keeper);
    return NULL;
}
