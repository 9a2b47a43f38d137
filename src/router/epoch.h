/* SPDX-License-Identifier: MIT
 *
 * Whether a router still has its table of mappings. Each reply says how many seconds old
 * the table is; if that does not fit the time that has passed here, the router has
 * restarted and has forgotten the mappings. Pure.
 */
#pragma once

#include "base/clock.h"
#include "router/protocol.h"

#include <stdbool.h>
#include <stdint.h>

/* All zeros before the first reply. */
struct epoch {
    bool is_known;
    uint32_t seconds; /* of the last reply */
    struct instant at;
};

/* Notes the epoch of a reply that came at `now`. False if the table is another one than
 * before. PCP: RFC 6887, section 8.5. NAT-PMP: RFC 6886, section 3.6: its clock may be slow
 * by one eighth and by 2 seconds, and is never too fast. */
bool epoch_note(struct epoch *epoch, enum router_protocol protocol, uint32_t seconds,
                struct instant now);
