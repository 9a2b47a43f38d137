/* SPDX-License-Identifier: MIT
 *
 * A port that a mapper keeps mapped: what the router said about it, and when to ask for it
 * next. What the mappers of all protocols have in common (mapper.h,
 * verifier/upnp_mapper.h). Pure.
 *
 * A mapping is renewed after 1/2 to 5/8 of its lease. While renewals fail, it stays MAPPED
 * until its lease ends, and is asked for again after half of the rest. A lease that is
 * shorter than a minimum is not worth its renewals: the port is SHORT_LEASE, and asked for
 * again as if the router had refused.
 */
#pragma once

#include "router/mapping.h"

#include <stddef.h>

#define KEPT_SILENCE_SECONDS 60 /* without an answer: until a port is asked for again */
#define KEPT_REFUSED_SECONDS 600

struct kept_port {
    struct mapping mapping;
    enum mapping_state told; /* by the last kept_port_tell() */
    struct instant due;      /* when to ask for it next */
};

struct kept_port kept_port_new(const struct mapping_port *port);

struct kept_grant {
    uint32_t lease; /* seconds */
    bool is_permanent;
    uint32_t renew_seconds;  /* is_permanent: the lease to go by */
    uint32_t lease_min;      /* seconds */
    struct instant asked_at; /* the time until the renewal starts here */
    uint8_t jitter;          /* 255: at 5/8 */
};

/* The router has mapped it. It is held by us from now on. */
void kept_port_grant(struct kept_port *port, const struct kept_grant *grant,
                     struct instant now);

/* A renewal failed. Whether the mapping is still good; then it is asked for again. */
bool kept_port_lasts(struct kept_port *port, struct instant now);

/* The router has not mapped the port: it gets `state`, and is due again after
 * `again_seconds`. A mapping that lasts (kept_port_lasts()) keeps its state. */
void kept_port_fail(struct kept_port *port, enum mapping_state state, int64_t again_seconds,
                    struct instant now);

/* The router may have mapped it, for `lease` seconds from `at`, whatever becomes of the
 * request. */
void kept_port_hold(struct kept_port *port, struct instant at, uint32_t lease);

/* A mapping whose lease is over is SILENT. */
void kept_port_expire(struct kept_port *port, struct instant now);

/* Whether its state is another one than at the last call. */
bool kept_port_tell(struct kept_port *port);

/* One for all ports of a mapper, so that their renewals come together. Without random
 * bytes, the last one serves. */
uint8_t kept_jitter(uint8_t last);
