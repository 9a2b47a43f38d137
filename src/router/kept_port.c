/* SPDX-License-Identifier: MIT */
#include "router/kept_port.h"

#include <sys/random.h>

#define RENEW_MIN_SECONDS 1
#define LEASE_MAX_SECONDS 86400 /* RFC 6887, section 15: longer ones are not believed */

static const struct instant never = {INT64_MAX};

struct kept_port kept_port_new(const struct mapping_port *port)
{
    return (struct kept_port){.mapping = {
                                  .inner = port->inner,
                                  .outer = port->outer,
                                  .is_held = port->is_held,
                                  .held_until = port->held_until,
                              }};
}

void kept_port_grant(struct kept_port *port, const struct kept_grant *grant,
                     struct instant now)
{
    struct mapping *mapping = &port->mapping;
    uint32_t lease = grant->is_permanent ? grant->renew_seconds : grant->lease;
    if (lease > LEASE_MAX_SECONDS)
        lease = LEASE_MAX_SECONDS;
    struct span lasts = span_seconds(lease);
    mapping->is_permanent = grant->is_permanent;
    mapping->lease = grant->is_permanent ? 0 : lease;
    mapping->expires = instant_add(now, lasts);
    mapping->is_held = true;
    mapping->held_until =
        grant->is_permanent ? never : instant_add(now, span_seconds(grant->lease));
    mapping->state = MAPPING_MAPPED;
    port->due =
        instant_add(grant->asked_at,
                    (struct span){lasts.ns / 2 + lasts.ns / 8 * grant->jitter / UINT8_MAX});
    if (lease == 0 || (!grant->is_permanent && lease < grant->lease_min)) {
        mapping->state = MAPPING_SHORT_LEASE;
        port->due = instant_add(now, span_seconds(KEPT_REFUSED_SECONDS));
    }
}

bool kept_port_lasts(struct kept_port *port, struct instant now)
{
    const struct mapping *mapping = &port->mapping;
    if (mapping->state != MAPPING_MAPPED ||
        (!mapping->is_permanent && !instant_before(now, mapping->expires)))
        return false;

    struct span half = {instant_since(mapping->expires, now).ns / 2};
    if (mapping->is_permanent)
        half = span_seconds(KEPT_SILENCE_SECONDS);
    if (half.ns < RENEW_MIN_SECONDS * NS_PER_SECOND)
        half = span_seconds(RENEW_MIN_SECONDS);
    port->due = instant_add(now, half);
    if (!mapping->is_permanent)
        port->due = instant_min(port->due, mapping->expires);
    return true;
}

void kept_port_fail(struct kept_port *port, enum mapping_state state, int64_t again_seconds,
                    struct instant now)
{
    if (kept_port_lasts(port, now))
        return;
    port->mapping.state = state;
    port->due = instant_add(now, span_seconds(again_seconds));
}

void kept_port_hold(struct kept_port *port, struct instant at, uint32_t lease)
{
    struct mapping *mapping = &port->mapping;
    struct instant until = instant_add(at, span_seconds(lease));
    if (!mapping->is_held || instant_before(mapping->held_until, until))
        mapping->held_until = until;
    mapping->is_held = true;
}

void kept_port_expire(struct kept_port *port, struct instant now)
{
    struct mapping *mapping = &port->mapping;
    if (mapping->state == MAPPING_MAPPED && !mapping->is_permanent &&
        !instant_before(now, mapping->expires))
        mapping->state = MAPPING_SILENT;
}

bool kept_port_tell(struct kept_port *port)
{
    bool is_changed = port->told != port->mapping.state;
    port->told = port->mapping.state;
    return is_changed;
}

uint8_t kept_jitter(uint8_t last)
{
    ssize_t got = getrandom(&last, sizeof last, GRND_NONBLOCK);
    (void)got;
    return last;
}
