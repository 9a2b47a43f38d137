/* SPDX-License-Identifier: MIT
 *
 * Where this machine is: the router on its way to the internet, and its own address there.
 */
#pragma once

#include "verifier/fetch.h"
#include "verifier/local_port.h"

#include <stdbool.h>

struct uplink {
    /* IPv4: its address is of a local or a carrier's network, so that something translates
     * it, or there is no gateway and no telling. IPv6: it has a global address and a
     * gateway, which may have a packet filter. */
    bool needs_mapping;
    bool has_router;
    struct address router; /* with the port of NAT-PMP and PCP */
    struct address local;  /* without a port */
};

struct uplink uplink_find(enum family family, const struct fetch_source *source);

/* Whether mappings of one are those of the other. */
bool uplink_equals(const struct uplink *a, const struct uplink *b);
