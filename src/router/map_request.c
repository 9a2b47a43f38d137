/* SPDX-License-Identifier: MIT */
#include "router/map_request.h"

#include "router/natpmp.h"

#define UNSUPP_VERSION 1 /* in both protocols */

static struct natpmp_request natpmp_of(const struct map_request *request)
{
    return (struct natpmp_request){
        .opcode = NATPMP_MAP_TCP,
        .inner = request->inner,
        .outer = request->outer,
        .lifetime = request->lifetime,
    };
}

static struct pcp_request pcp_of(const struct map_request *request)
{
    return (struct pcp_request){
        .opcode = PCP_MAP,
        .client = request->client,
        .nonce = request->nonce,
        .inner = request->inner,
        .outer = request->outer,
        .lifetime = request->lifetime,
    };
}

size_t map_request_write(const struct map_request *request,
                         uint8_t ret_bytes[PCP_REQUEST_MAX])
{
    if (request->protocol == ROUTER_NATPMP) {
        const struct natpmp_request natpmp = natpmp_of(request);
        return natpmp_write(&natpmp, ret_bytes);
    }
    const struct pcp_request pcp = pcp_of(request);
    return pcp_write(&pcp, ret_bytes);
}

static bool natpmp_reply_read(const uint8_t *bytes, size_t len,
                              const struct map_request *asked, struct map_reply *ret)
{
    const struct natpmp_request natpmp = natpmp_of(asked);
    struct natpmp_reply reply;
    if (!natpmp_read(bytes, len, &natpmp, &reply))
        return false;
    *ret = (struct map_reply){
        .result = reply.result,
        .has_epoch = true,
        .epoch = reply.epoch,
        .lifetime = reply.lifetime,
        .outer = reply.outer,
    };
    return true;
}

bool map_reply_read(const uint8_t *bytes, size_t len, const struct map_request *asked,
                    struct map_reply *ret)
{
    if (asked->protocol == ROUTER_NATPMP)
        return natpmp_reply_read(bytes, len, asked, ret);

    const struct pcp_request pcp = pcp_of(asked);
    struct pcp_reply reply;
    switch (pcp_read(bytes, len, &pcp, &reply)) {
    case PCP_FORM_INVALID:
        return false;
    case PCP_FORM_OTHER_VERSION:
        *ret = (struct map_reply){.result = UNSUPP_VERSION};
        return true;
    case PCP_FORM_REPLY:
        *ret = (struct map_reply){
            .result = reply.result,
            .has_epoch = true,
            .epoch = reply.epoch,
            .lifetime = reply.lifetime,
            .outer = reply.outer,
            .has_outer_address = reply.result == 0,
            .outer_address = reply.outer_address,
        };
        return true;
    }
    return false;
}
