/* SPDX-License-Identifier: MIT
 *
 * A request to forward a TCP port, or to stop it, in either protocol. Pure.
 */
#pragma once

#include "net/address.h"
#include "router/pcp.h"
#include "router/protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_request {
    enum router_protocol protocol;
    struct address client;  /* PCP: the source address of the datagram */
    struct pcp_nonce nonce; /* PCP */
    uint16_t inner;
    uint16_t outer;    /* requested; 0 in a removal */
    uint32_t lifetime; /* seconds, requested; 0 is a removal */
};

struct map_reply {
    uint16_t result; /* see router_result_of() */
    bool has_epoch;  /* a router that speaks another version tells none */
    uint32_t epoch;
    uint32_t lifetime; /* seconds; of PCP also how long a refusal is to last, 0: not told */
    /* if the result is 0 */
    uint16_t outer;
    bool has_outer_address; /* PCP */
    struct address outer_address;
};

/* Returns the length. */
size_t map_request_write(const struct map_request *request,
                         uint8_t ret_bytes[PCP_REQUEST_MAX]);

/* Whether this is a reply to `asked`; see natpmp_read() and pcp_read(). That a router
 * speaks another version is a refusal. */
bool map_reply_read(const uint8_t *bytes, size_t len, const struct map_request *asked,
                    struct map_reply *ret);
