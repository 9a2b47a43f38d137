/* SPDX-License-Identifier: MIT
 *
 * A port that a router forwards to this machine, or does not: what is common to the mappers
 * of all protocols (mapper.h, verifier/upnp_mapper.h). Pure.
 */
#pragma once

#include "base/clock.h"
#include "net/address.h"

#include <stdbool.h>
#include <stdint.h>

#define MAPPING_LEASE_MIN_SECONDS 2 /* each port is renewed once a second then */

#define MAPPING_STATE_MAP(X)                                                               \
    X(WAITING, "waiting")         /* not answered yet */                                   \
    X(MAPPED, "mapped")           /* the router promises to forward it */                  \
    X(OTHER_PORT, "other_port")   /* only at another outer port: given back */             \
    X(FULL, "full")               /* its table, or our share of it, is full */             \
    X(REFUSED, "refused")         /* for another reason */                                 \
    X(SHORT_LEASE, "short_lease") /* mapped for too short a time to be kept so */          \
    X(OFFLINE, "not_connected")   /* it maps none: it has no connection */                 \
    X(SILENT, "silent")           /* no answer */                                          \
    X(REMOVED, "removed")         /* at the end */

enum mapping_state {
#define X(NAME, text) MAPPING_##NAME,
    MAPPING_STATE_MAP(X)
#undef X
};

const char *mapping_state_text(enum mapping_state state);

struct mapping {
    uint16_t inner, outer;
    enum mapping_state state;
    uint16_t result; /* REFUSED, FULL, OTHER_PORT: see router_result_of() */
    uint16_t given;  /* OTHER_PORT: the one it gave, 0: none */
    bool has_holder; /* OTHER_PORT: the router tells which machine has the port */
    struct address holder;
    bool is_permanent;      /* MAPPED: the router knows no leases */
    uint32_t lease;         /* MAPPED, SHORT_LEASE: seconds that it granted; 0: permanent */
    struct instant expires; /* MAPPED, unless it is permanent */
    bool is_held;           /* the router has a mapping, or may have one */
    struct instant held_until; /* is_held: when that ends by itself; INT64_MAX: never */
};

struct mapping_port {
    uint16_t inner; /* of this machine */
    uint16_t outer; /* of the router; usually the same */
    bool is_held;   /* for an earlier mapper, whose mapping the router may still have */
    struct instant held_until; /* is_held */
};

/* What has happened since `settled` was last called. */
struct mapping_news {
    bool is_first;
    bool is_restarted; /* the router had forgotten the mappings */
    bool is_moved;     /* it has another outer address */
    bool is_announced; /* it announced itself, and all mappings were renewed */
    bool is_changed;   /* the state of a port is another one; true if is_first */
};

/* Called from a timer of the loop; the mapper may be freed in both. */
typedef void(mapping_settled_fn)(void *ctx, const struct mapping_news *news);
typedef void(mapping_removed_fn)(void *ctx);
