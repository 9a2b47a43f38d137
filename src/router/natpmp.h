/* SPDX-License-Identifier: MIT
 *
 * The datagrams of NAT-PMP (RFC 6886), version 0: the question for the router's outer
 * address, and mappings of TCP ports. IPv4 only. Pure: a caller makes sure that a reply
 * comes from the router.
 *
 *   request  version 0, opcode; of MAP_TCP: 2 reserved, inner port, outer port, lifetime
 *   reply    version 0, opcode + 128, result, epoch; then the outer address, or inner port,
 *            outer port, lifetime
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NATPMP_REQUEST_MAX 12

enum natpmp_opcode {
    NATPMP_ADDRESS = 0,
    NATPMP_MAP_TCP = 2,
};

struct natpmp_request {
    enum natpmp_opcode opcode;
    /* of MAP_TCP */
    uint16_t inner;
    uint16_t outer;    /* requested; 0 to remove the mapping */
    uint32_t lifetime; /* seconds, requested; 0 to remove the mapping */
};

struct natpmp_reply {
    uint16_t result; /* see router_result_of() */
    uint32_t epoch;  /* seconds since the router's table of mappings began */
    /* of ADDRESS, if the result is 0 */
    struct address outer_address;
    /* of MAP_TCP, if the result is 0 */
    uint16_t outer;
    uint32_t lifetime; /* seconds, granted; 0 if a mapping was removed */
};

/* Returns the length, 2 or 12. */
size_t natpmp_write(const struct natpmp_request *request,
                    uint8_t ret_bytes[NATPMP_REQUEST_MAX]);

/* Whether this is a reply to `asked`: version, opcode, exact length, and in a mapping that
 * was granted the inner port, an outer port and some time. A refusal may end after the
 * epoch (RFC 6886, section 3.5), and what it says about ports is not read. */
bool natpmp_read(const uint8_t *bytes, size_t len, const struct natpmp_request *asked,
                 struct natpmp_reply *ret);
