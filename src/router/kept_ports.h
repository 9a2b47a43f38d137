/* SPDX-License-Identifier: MIT
 *
 * All ports of a mapper, and what its owner has been told of them: what the mappers of all
 * protocols have in common (mapper.h, verifier/upnp_mapper.h).
 */
#pragma once

#include "router/kept_port.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kept_ports {
    struct kept_port *each; /* owned, `count` long */
    size_t count;
    uint8_t jitter; /* of the renewals: one for all, so that they come together */
    bool has_settled;
    struct mapping_news news; /* to tell */
    mapping_settled_fn *settled;
    void *ctx;
};

/* False without memory. */
bool kept_ports_init(struct kept_ports *kept, const struct mapping_port *ports,
                     size_t count, mapping_settled_fn *settled, void *ctx);
void kept_ports_done(struct kept_ports *kept);

/* Once the first answers are late: they may still come. */
void kept_ports_end_waiting(struct kept_ports *kept);

/* Calls `settled` if there is news. */
void kept_ports_tell(struct kept_ports *kept);
