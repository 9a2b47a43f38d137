/* SPDX-License-Identifier: MIT */
#include "verifier/uplink.h"

#include "net/route.h"
#include "net/scope.h"
#include "router/protocol.h"

static bool needs_mapping(enum family family, const struct address *local)
{
    enum address_scope scope = address_scope(local);
    if (family == FAMILY_4)
        return scope == SCOPE_PRIVATE || scope == SCOPE_CARRIER;
    return scope == SCOPE_GLOBAL || scope == SCOPE_SPECIAL;
}

struct uplink uplink_find(enum family family, const struct fetch_source *source)
{
    struct uplink uplink = {.needs_mapping = family == FAMILY_4};
    uplink.has_router =
        route_default_gateway(family_number(family), source->address, source->interface,
                              &uplink.router, &uplink.local);
    if (!uplink.has_router)
        return uplink;
    address_set_port(&uplink.router, ROUTER_PORT);
    address_set_port(&uplink.local, 0);
    uplink.needs_mapping = needs_mapping(family, &uplink.local);
    return uplink;
}

bool uplink_equals(const struct uplink *a, const struct uplink *b)
{
    if (a->needs_mapping != b->needs_mapping || a->has_router != b->has_router)
        return false;
    return !a->has_router || !a->needs_mapping ||
           (address_equals(&a->router, &b->router) && address_equals(&a->local, &b->local));
}
