/* SPDX-License-Identifier: MIT */
#include "router/protocol.h"

#include <stddef.h>

struct row {
    uint16_t code;
    struct router_result result;
};

/* clang-format off */
static const struct row natpmp_rows[] = {
    {0, {ROUTER_GRANTED,       "SUCCESS"}},
    {1, {ROUTER_LACKS,         "UNSUPP_VERSION"}},
    {2, {ROUTER_REFUSES,       "NOT_AUTHORIZED"}},
    {3, {ROUTER_OFFLINE,       "NETWORK_FAILURE"}},
    {4, {ROUTER_FULL,          "NO_RESOURCES"}},
    {5, {ROUTER_LACKS,         "UNSUPP_OPCODE"}},
};
static const struct row pcp_rows[] = {
    {0,  {ROUTER_GRANTED,       "SUCCESS"}},
    {1,  {ROUTER_LACKS,         "UNSUPP_VERSION"}},
    {2,  {ROUTER_REFUSES,       "NOT_AUTHORIZED"}},
    {3,  {ROUTER_MISUNDERSTOOD, "MALFORMED_REQUEST"}},
    {4,  {ROUTER_LACKS,         "UNSUPP_OPCODE"}},
    {5,  {ROUTER_LACKS,         "UNSUPP_OPTION"}},
    {6,  {ROUTER_MISUNDERSTOOD, "MALFORMED_OPTION"}},
    {7,  {ROUTER_OFFLINE,       "NETWORK_FAILURE"}},
    {8,  {ROUTER_FULL,          "NO_RESOURCES"}},
    {9,  {ROUTER_LACKS,         "UNSUPP_PROTOCOL"}},
    {10, {ROUTER_FULL,          "USER_EX_QUOTA"}},
    {11, {ROUTER_TAKEN,         "CANNOT_PROVIDE_EXTERNAL"}},
    {12, {ROUTER_FAR,           "ADDRESS_MISMATCH"}},
    {13, {ROUTER_MISUNDERSTOOD, "EXCESSIVE_REMOTE_PEERS"}},
};
/* Of WANIPConnection 2 and WANIPv6FirewallControl 1. */
static const struct row upnp_rows[] = {
    {0,   {ROUTER_GRANTED,       "success"}},
    {401, {ROUTER_LACKS,         "Invalid Action"}},
    {402, {ROUTER_MISUNDERSTOOD, "Invalid Args"}},
    {501, {ROUTER_REFUSES,       "Action Failed"}},
    {602, {ROUTER_LACKS,         "Optional Action Not Implemented"}},
    {606, {ROUTER_REFUSES,       "Action not authorized"}},
    {701, {ROUTER_FULL,          "PinholeSpaceExhausted"}},
    {702, {ROUTER_REFUSES,       "FirewallDisabled"}},
    {703, {ROUTER_REFUSES,       "InboundPinholeNotAllowed"}},
    {715, {ROUTER_LACKS,         "WildCardNotPermittedInSrcIP"}},
    {716, {ROUTER_LACKS,         "WildCardNotPermittedInExtPort"}},
    {718, {ROUTER_TAKEN,         "ConflictInMappingEntry"}},
    {724, {ROUTER_LACKS,         "SamePortValuesRequired"}},
    {725, {ROUTER_LACKS,         "OnlyPermanentLeasesSupported"}},
    {728, {ROUTER_FULL,          "NoPortMapsAvailable"}},
    {729, {ROUTER_TAKEN,         "ConflictWithOtherMechanisms"}},
};
#define ROWS(rows) (rows), sizeof(rows) / sizeof *(rows)
static const struct {
    const char *text;
    const struct row *rows;
    size_t count;
} protocols[ROUTER_PROTOCOL_COUNT] = {
    [ROUTER_NATPMP] = {"NAT-PMP", ROWS(natpmp_rows)},
    [ROUTER_PCP]    = {"PCP", ROWS(pcp_rows)},
    [ROUTER_UPNP]   = {"UPnP", ROWS(upnp_rows)},
};
/* clang-format on */

const char *router_protocol_text(enum router_protocol protocol)
{
    return protocols[protocol].text;
}

struct router_result router_result_of(enum router_protocol protocol, uint16_t code)
{
    for (size_t i = 0; i < protocols[protocol].count; i++)
        if (protocols[protocol].rows[i].code == code)
            return protocols[protocol].rows[i].result;
    return (struct router_result){ROUTER_MISUNDERSTOOD, "an unknown result code"};
}
