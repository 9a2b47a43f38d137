/* SPDX-License-Identifier: MIT */
#include "verifier/keeper_state.h"

#include <stddef.h>

bool keeper_has_mapper(const struct keeper *keeper)
{
    return keeper->mapper || keeper->upnp;
}

const struct mapping *keeper_mapping(const struct keeper *keeper, size_t index)
{
    return keeper->mapper ? mapper_mapping(keeper->mapper, index)
                          : upnp_mapper_mapping(keeper->upnp, index);
}

struct mapping_port keeper_port(const struct keeper *keeper, size_t index)
{
    struct mapping_port port = keeper->ports[index];
    if (index < keeper->known_count) {
        port.is_held = keeper_mapping(keeper, index)->is_held;
        port.held_until = keeper_mapping(keeper, index)->held_until;
    }
    return port;
}

enum router_meaning keeper_meaning(const struct keeper *keeper, size_t index)
{
    return router_result_of(keeper->protocol, keeper_mapping(keeper, index)->result)
        .meaning;
}

bool keeper_find(const struct keeper *keeper, uint16_t inner, size_t *ret)
{
    for (size_t i = 0; i < keeper->port_count; i++)
        if (keeper->ports[i].inner == inner) {
            *ret = i;
            return true;
        }
    return false;
}

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
        if (keeper_mapping(keeper, i)->state == MAPPING_MAPPED)
            return MAPPING_FAULT_NONE;
    if (keeper->upnp)
        return faults[upnp_mapper_end(keeper->upnp)];
    for (size_t i = 0; i < keeper->known_count && keeper->mapper; i++)
        if (keeper_mapping(keeper, i)->state != MAPPING_REFUSED ||
            keeper_meaning(keeper, i) != ROUTER_OFFLINE)
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
    if (!keeper_has_mapper(keeper))
        return summary;

    summary.has_protocol = summary.fault != MAPPING_FAULT_NO_ROUTER &&
                           summary.fault != MAPPING_FAULT_UPNP_MISSING;
    summary.protocol = keeper->protocol;
    summary.has_outer = keeper->mapper
                            ? mapper_outer_address(keeper->mapper, &summary.outer)
                            : upnp_mapper_outer_address(keeper->upnp, &summary.outer);
    for (size_t i = 0; i < keeper->known_count; i++) {
        const struct mapping *mapping = keeper_mapping(keeper, i);
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
    if (!keeper_has_mapper(keeper) || fault == MAPPING_FAULT_NO_ROUTER ||
        fault == MAPPING_FAULT_UPNP_MISSING || !keeper_find(keeper, inner, &index) ||
        index >= keeper->known_count)
        return (struct mapping_view){0};

    const struct mapping *mapping = keeper_mapping(keeper, index);
    struct mapping_view view = {.is_asked = true, .state = mapping->state};
    switch (mapping->state) {
    case MAPPING_OTHER_PORT:
    case MAPPING_REFUSED:
    case MAPPING_FULL:
        view.result = router_result_of(keeper->protocol, mapping->result).name;
        view.meaning = keeper_meaning(keeper, index);
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
        const struct mapping_port port = keeper_port(keeper, i);
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

/* --- what an earlier router or address has left -----------------------------------------
 */

static bool is_alike(const struct former_port *a, const struct former_port *b)
{
    return address_equals(&a->router, &b->router) && address_equals(&a->local, &b->local);
}

bool keeper_former_next(const struct keeper *keeper, size_t *at, uint16_t *ports,
                        struct former *ret)
{
    const struct instant now = clock_now();
    const struct former_port *first = NULL;
    const size_t begin = *at;
    for (size_t i = begin; i < keeper->former_count; i++) {
        const struct former_port *port = &keeper->former[i];
        bool is_told = false;
        for (size_t j = 0; j < begin; j++)
            is_told = is_told || is_alike(port, &keeper->former[j]);
        if (is_told || !instant_before(now, port->until) ||
            (first && !is_alike(port, first)))
            continue;
        if (!first) {
            first = port;
            *at = i + 1;
            *ret = (struct former){.router = port->router, .local = port->local};
        }
        bool has_end = port->until.ns != INT64_MAX;
        time_t until = has_end ? time_of(port->until) : 0;
        ret->is_permanent = ret->is_permanent || !has_end;
        ret->until = until > ret->until ? until : ret->until;
        ports[ret->count++] = port->outer;
    }
    return first != NULL;
}
