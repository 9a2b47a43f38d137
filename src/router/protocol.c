/* SPDX-License-Identifier: MIT */
#include "router/protocol.h"

#include <stddef.h>

/* The index is the code. */
/* clang-format off */
static const struct router_result natpmp_results[] = {
    {ROUTER_GRANTED,       "SUCCESS"},
    {ROUTER_LACKS,         "UNSUPP_VERSION"},
    {ROUTER_REFUSES,       "NOT_AUTHORIZED"},
    {ROUTER_OFFLINE,       "NETWORK_FAILURE"},
    {ROUTER_FULL,          "NO_RESOURCES"},
    {ROUTER_LACKS,         "UNSUPP_OPCODE"},
};
static const struct router_result pcp_results[] = {
    {ROUTER_GRANTED,       "SUCCESS"},
    {ROUTER_LACKS,         "UNSUPP_VERSION"},
    {ROUTER_REFUSES,       "NOT_AUTHORIZED"},
    {ROUTER_MISUNDERSTOOD, "MALFORMED_REQUEST"},
    {ROUTER_LACKS,         "UNSUPP_OPCODE"},
    {ROUTER_LACKS,         "UNSUPP_OPTION"},
    {ROUTER_MISUNDERSTOOD, "MALFORMED_OPTION"},
    {ROUTER_OFFLINE,       "NETWORK_FAILURE"},
    {ROUTER_FULL,          "NO_RESOURCES"},
    {ROUTER_LACKS,         "UNSUPP_PROTOCOL"},
    {ROUTER_FULL,          "USER_EX_QUOTA"},
    {ROUTER_TAKEN,         "CANNOT_PROVIDE_EXTERNAL"},
    {ROUTER_FAR,           "ADDRESS_MISMATCH"},
    {ROUTER_MISUNDERSTOOD, "EXCESSIVE_REMOTE_PEERS"},
};
static const struct {
    const char *text;
    const struct router_result *results;
    size_t count;
} protocols[ROUTER_PROTOCOL_COUNT] = {
    [ROUTER_NATPMP] = {"NAT-PMP", natpmp_results,
                       sizeof natpmp_results / sizeof *natpmp_results},
    [ROUTER_PCP]    = {"PCP", pcp_results, sizeof pcp_results / sizeof *pcp_results},
};
/* clang-format on */

const char *router_protocol_text(enum router_protocol protocol)
{
    return protocols[protocol].text;
}

struct router_result router_result_of(enum router_protocol protocol, uint16_t code)
{
    if (code < protocols[protocol].count)
        return protocols[protocol].results[code];
    return (struct router_result){ROUTER_MISUNDERSTOOD, "an unknown result code"};
}
