/* SPDX-License-Identifier: MIT
 *
 * The datagrams of PCP (RFC 6887), version 2: the question whether the router speaks it
 * (ANNOUNCE), and mappings of TCP ports (MAP), which for IPv6 are pinholes in its packet
 * filter. Pure: a caller makes sure that a reply comes from the router.
 *
 *   request  version, opcode, 2 reserved, lifetime, our address (16)
 *   reply    version, opcode + 128, 1 reserved, result, lifetime, epoch, 12 reserved
 *   MAP      nonce (12), protocol, 3 reserved, inner port, outer port, outer address (16)
 *   options  code, 1 reserved, length, so many bytes, padded to a multiple of 4
 *
 * IPv4 addresses are mapped into IPv6. We send no options: PREFER_FAILURE, which asks for
 * this outer port or none, is ignored by routers in the field, so that a caller has to
 * compare the port anyway.
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCP_REQUEST_MAX 60
#define PCP_REPLY_MAX   1100 /* section 7 */
#define PCP_NONCE_SIZE  12

enum pcp_opcode {
    PCP_ANNOUNCE = 0,
    PCP_MAP = 1,
};

/* What only the owner of a mapping knows: no one else can change the mapping. */
struct pcp_nonce {
    uint8_t bytes[PCP_NONCE_SIZE];
};

struct pcp_request {
    enum pcp_opcode opcode;
    struct address client; /* the source address of the datagram */
    /* of MAP */
    struct pcp_nonce nonce;
    uint16_t inner;
    uint16_t outer;    /* requested; 0 to remove the mapping */
    uint32_t lifetime; /* seconds, requested; 0 to remove the mapping */
};

struct pcp_reply {
    uint8_t result;    /* see router_result_of() */
    uint32_t lifetime; /* seconds: of the mapping, or of the reason to refuse it */
    uint32_t epoch;    /* seconds since the router's table of mappings began */
    /* of MAP, if the result is 0 */
    uint16_t outer;
    struct address outer_address;
};

enum pcp_form {
    PCP_FORM_INVALID, /* not a reply to what was asked */
    PCP_FORM_REPLY,
    PCP_FORM_OTHER_VERSION, /* the router speaks another version, NAT-PMP for instance */
};

/* Returns the length, 24 or 60. */
size_t pcp_write(const struct pcp_request *request, uint8_t ret_bytes[PCP_REQUEST_MAX]);

/* Whether this is a reply to `asked`: version, opcode, length, options, and of a mapping
 * the nonce, the protocol and the inner port. A refusal may be a header alone: a router
 * that does not know the opcode need not repeat the rest. A granted mapping has some time,
 * an outer port and an address of the family of our own. Writes only with PCP_FORM_REPLY.
 */
enum pcp_form pcp_read(const uint8_t *bytes, size_t len, const struct pcp_request *asked,
                       struct pcp_reply *ret);
