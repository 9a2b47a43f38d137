/* SPDX-License-Identifier: MIT
 *
 * What a report says about the mappings in a router. Values, without a clock: `expires` is
 * wall-clock time.
 */
#pragma once

#include "net/address.h"
#include "router/mapping.h"
#include "router/protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Of one port. All zeros if it was not asked for. */
struct mapping_view {
    bool is_asked;
    enum mapping_state state;
    enum router_meaning meaning; /* as is the next, of REFUSED, FULL and OTHER_PORT; OFFLINE
                                    has no code */
    const char *result;          /* the name of the router's code, static; or NULL */
    uint16_t given;              /* OTHER_PORT: the outer port that it gave, 0: none */
    bool has_holder;             /* OTHER_PORT: the router tells who has the port */
    struct address holder;
    uint32_t lease;  /* SHORT_LEASE: seconds */
    bool has_expiry; /* MAPPED, unless the mapping is permanent */
    time_t expires;
};

/* Why no port of a family is mapped, other than that the router refuses. */
#define MAPPING_FAULT_MAP(X)                                                               \
    X(NONE, NULL)                                                                          \
    X(NO_ROUTER,                                                                           \
      "no_router") /* no gateway, or nothing there speaks a protocol of these */           \
    X(NOT_CONNECTED, "not_connected") /* the router has no connection or public address */ \
    X(UPNP_MISSING, "upnp_missing") /* only UPnP is left: port-verifier-upnp is missing */ \
    X(FAILED, "failed")             /* port-verifier-upnp failed, or there is no memory */

enum mapping_fault {
#define X(NAME, text) MAPPING_FAULT_##NAME,
    MAPPING_FAULT_MAP(X)
#undef X
};

/* For programs; NULL for MAPPING_FAULT_NONE. */
const char *mapping_fault_text(enum mapping_fault fault);

/* Of a family. All zeros if its ports need no mapping, or none was asked for. */
struct mapping_summary {
    bool is_there;
    bool has_router;
    struct address router;
    bool has_protocol; /* the one that the mappings are asked for in */
    enum router_protocol protocol;
    bool has_outer; /* the router told its outer address */
    struct address outer;
    size_t asked, mapped;
    uint32_t lease; /* seconds, the shortest; 0: unknown or permanent */
    bool is_kept;   /* the mappings stay in the router at the end: --map-keep */
    enum mapping_fault fault;
};

/* Mappings for an earlier address of this machine, or in an earlier router, which could not
 * be removed. */
struct former {
    struct address router, local;
    size_t count;
    bool is_permanent; /* one of them is */
    time_t until;      /* the last of the others ends */
};
