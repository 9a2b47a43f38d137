/* SPDX-License-Identifier: MIT */
#include "verifier/keeper_state.h"

#include "base/container.h"
#include "base/err.h"
#include "loop/loop.h"
#include "verifier/link.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

/* --- the uplink -------------------------------------------------------------------------
 */

static void router_announced(void *ctx, enum router_protocol protocol, uint32_t epoch,
                             const struct address *outer)
{
    struct keeper *keeper = ctx;
    if (keeper->is_removing)
        return;
    if (keeper->mapper) {
        mapper_hear(keeper->mapper, protocol, epoch, outer);
    } else if (keeper_is_lost(keeper)) {
        keeper->is_announced = true;
        if (!keeper->ask)
            keeper_ask_anew_in(keeper, span_ms(0)); /* not within its own callback */
    } else if (keeper->upnp) {
        upnp_mapper_hear(keeper->upnp);
    }
}

/* Without announcements there still is the epoch of replies. */
static void listen_begin(struct keeper *keeper)
{
    const struct uplink *uplink = &keeper->uplink;
    if (!keeper->announcements && uplink->has_router && uplink->needs_mapping)
        announcements_new(keeper->config.loop, &uplink->router, ROUTER_ANNOUNCE_PORT,
                          router_announced, keeper, &keeper->announcements, NULL);
}

/* What the router holds, although it cannot be asked any more. */
static void former_note(struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->port_count; i++) {
        struct mapping_port *port = &keeper->ports[i];
        size_t at = 0;
        if (!port->is_held)
            continue;
        while (at < keeper->former_count && keeper->former[at].outer != port->outer)
            at++;
        keeper->former[at] = (struct former_port){
            .outer = port->outer,
            .until = port->held_until,
            .router = keeper->uplink.router,
            .local = keeper->uplink.local,
        };
        address_set_port(&keeper->former[at].router, 0);
        keeper->former_count += at == keeper->former_count;
        port->is_held = false;
    }
}

static bool is_of_uplink(const struct former_port *former, const struct uplink *uplink)
{
    return uplink->has_router && address_equals(&former->router, &uplink->router) &&
           address_equals(&former->local, &uplink->local);
}

/* The router can be asked again to remove it. */
static void former_take_back(struct keeper *keeper)
{
    size_t count = 0;
    for (size_t i = 0; i < keeper->former_count; i++) {
        const struct former_port former = keeper->former[i];
        bool is_back = is_of_uplink(&former, &keeper->uplink);
        for (size_t j = 0; j < keeper->port_count && is_back; j++)
            if (keeper->ports[j].outer == former.outer) {
                keeper->ports[j].is_held = true;
                keeper->ports[j].held_until = former.until;
            }
        if (!is_back)
            keeper->former[count++] = former;
    }
    keeper->former_count = count;
}

static void uplink_set(struct keeper *keeper, const struct uplink *uplink)
{
    keeper_drop(keeper);
    former_note(keeper);
    keeper->announcements = announcements_free(keeper->announcements);
    keeper->uplink = *uplink;
    former_take_back(keeper);
    listen_begin(keeper);
}

/* Between the rounds: the router may have come back. */
static void ask_anew(struct keeper *keeper)
{
    const struct uplink uplink = uplink_find(keeper->config.family, &keeper->config.source);
    if (!keeper_is_lost(keeper) || keeper->ask)
        return;
    if (!uplink_equals(&uplink, &keeper->uplink))
        uplink_set(keeper, &uplink);
    keeper->is_asked_twice = true;
    keeper->is_announced = false;
    if (uplink.has_router && uplink.needs_mapping)
        keeper_ask(keeper, span_ms(KEEPER_ASK_MS));
    else
        keeper_told(keeper);
}

/* --- what the owner asks for -------------------------------------------------------------
 */

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
    struct former_port *former =
        realloc(keeper->former, (keeper->port_count + count + 1) * sizeof *former);
    if (!former)
        return false;
    keeper->former = former;
    for (size_t i = 0; i < count; i++) {
        if (keeper_find(keeper, ports[i].inner, &ignored))
            continue;
        all[keeper->port_count++] = ports[i];
        *ret_is_more = true;
    }
    return true;
}

/* At the router of this uplink. */
static void map_all(struct keeper *keeper, bool is_more)
{
    const struct uplink *uplink = &keeper->uplink;
    if (!uplink->needs_mapping || !uplink->has_router || keeper->port_count == 0) {
        keeper_fail(keeper,
                    uplink->has_router ? MAPPING_FAULT_NONE : MAPPING_FAULT_NO_ROUTER);
    } else if (!keeper_has_mapper(keeper) || keeper->is_searching ||
               keeper_is_silent(keeper)) {
        keeper_drop(keeper);
        keeper->fault = MAPPING_FAULT_NONE;
        keeper->is_asked_twice = false;
        keeper->is_announced = false;
        keeper_ask(keeper, span_ms(ASK_MS));
    } else if (is_more) {
        keeper_begin(keeper);
    } else {
        keeper_tell_soon(keeper);
    }
}

/* Whether mappings of the uplink are being removed that this machine has left for `next`.
 * PCP and NAT-PMP want the address for which they were made, UPnP only the same router. */
static bool retire_begin(struct keeper *keeper, const struct uplink *next)
{
    const struct uplink *uplink = &keeper->uplink;
    bool is_held = false;
    for (size_t i = 0; i < keeper->known_count; i++)
        is_held = is_held || keeper_mapping(keeper, i)->is_held;
    if (!is_held)
        return false;
    bool is_there = link_find(&uplink->local).name[0];
    bool is_same_router =
        next->has_router && address_equals(&next->router, &uplink->router);
    if (keeper->mapper && is_there)
        mapper_remove(keeper->mapper, span_ms(MAPPER_REMOVE_MS));
    else if (keeper->upnp && (is_there || is_same_router))
        upnp_mapper_remove_from(keeper->upnp, is_there ? &uplink->local : &next->local,
                                span_ms(UPNP_MAP_MS));
    else
        return false;
    keeper->is_retiring = true;
    return true;
}

static void retire_end(struct keeper *keeper)
{
    const struct uplink uplink = uplink_find(keeper->config.family, &keeper->config.source);
    keeper->is_retiring = false;
    uplink_set(keeper, &uplink);
    if (keeper->is_removing)
        keeper->config.removed(keeper->config.ctx);
    else
        map_all(keeper, false);
}

static void mapper_removed(void *ctx)
{
    struct keeper *keeper = ctx;
    if (keeper->is_retiring)
        retire_end(keeper);
    else
        keeper->config.removed(keeper->config.ctx);
}

void keeper_map(struct keeper *keeper, const struct mapping_port *ports, size_t count)
{
    const struct uplink uplink = uplink_find(keeper->config.family, &keeper->config.source);
    bool is_more;
    bool is_added = ports_add(keeper, ports, count, &is_more);
    keeper->is_waited_for = true;
    keeper->has_to_tell = false;
    keeper->ask = ask_free(keeper->ask);
    if (!is_added)
        keeper_fail(keeper, MAPPING_FAULT_FAILED);
    if (!is_added || keeper->is_retiring)
        return;
    bool is_moved = !uplink_equals(&uplink, &keeper->uplink);
    if (is_moved && retire_begin(keeper, &uplink))
        return;
    if (is_moved)
        uplink_set(keeper, &uplink);
    listen_begin(keeper); /* it may have failed before */
    map_all(keeper, is_more);
}

bool keeper_has_moved(const struct keeper *keeper)
{
    const struct uplink uplink = uplink_find(keeper->config.family, &keeper->config.source);
    return keeper->port_count > 0 && !keeper->is_removing && !keeper->is_retiring &&
           !uplink_equals(&uplink, &keeper->uplink);
}

unsigned keeper_interface(const struct keeper *keeper)
{
    return keeper->uplink.has_router ? if_nametoindex(link_find(&keeper->uplink.local).name)
                                     : 0;
}

void keeper_doubt(struct keeper *keeper)
{
    if (keeper_is_lost(keeper) && !keeper->ask)
        keeper_ask_anew_in(keeper, span_ms(0));
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
    if (keeper->is_retiring)
        return; /* it ends soon */
    if (keeper->mapper)
        mapper_remove(keeper->mapper, span_ms(MAPPER_REMOVE_MS));
    else if (keeper->upnp)
        upnp_mapper_remove(keeper->upnp, span_ms(UPNP_REMOVE_MS));
    else
        keeper_tell_soon(keeper);
}

/* --- life ----------------------------------------------------------------------------- */

static void timer_fire(struct timer *timer)
{
    struct keeper *keeper = CONTAINER_OF(timer, struct keeper, timer);
    const struct mapping_news news = {.is_first = true, .is_changed = true};
    if (!keeper->has_to_tell) {
        if (keeper->is_searching && keeper->ask)
            keeper_search_look(keeper);
        else if (!keeper->is_removing)
            ask_anew(keeper);
        return;
    }
    keeper->has_to_tell = false;
    if (keeper->is_removing) {
        keeper->config.removed(keeper->config.ctx);
        return;
    }
    bool is_waited_for = keeper->is_waited_for;
    keeper->is_waited_for = false;
    keeper_told(keeper);
    if (is_waited_for)
        keeper->config.settled(keeper->config.ctx, &news);
}

bool keeper_new(const struct keeper_config *config, struct keeper **ret, struct err *err)
{
    struct keeper *keeper = calloc(1, sizeof *keeper);
    if (!keeper)
        return err_sys(err, ENOMEM, "mapping ports");

    keeper->config = *config;
    keeper->removed = mapper_removed;
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
    keeper_drop(keeper);
    announcements_free(keeper->announcements);
    free(keeper->ports);
    free(keeper->former);
    free(keeper);
    return NULL;
}
