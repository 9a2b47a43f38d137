/* SPDX-License-Identifier: MIT */
#include "upnp/forward.h"

#include "router/protocol.h"
#include "upnp/answer.h"
#include "upnp/dialogue.h"
#include "upnp/pinhole.h"
#include "upnp/port_mapping.h"

static bool is_full(int result)
{
    return result >= 0 &&
           router_result_of(ROUTER_UPNP, (uint16_t)result).meaning == ROUTER_FULL;
}

typedef void(port_fn)(struct dialogue *dialogue, const struct request_port *port,
                      struct answer_port *ret);

void forward_all(const struct igd *igd, const struct request *request)
{
    static port_fn *const makes[] = {port_mapping_make, pinhole_make};
    static port_fn *const removes[] = {port_mapping_remove, pinhole_remove};
    port_fn *ask = (request->is_removal ? removes : makes)[request->family == 6];
    struct dialogue dialogue;
    int result = 0;
    dialogue_init(&dialogue, igd, request);
    for (size_t i = 0; i < request->port_count; i++) {
        const struct request_port *port = &request->ports[i];
        struct answer_port answer = {.inner = port->inner, .result = result};
        if (request->is_removal || !is_full(result))
            ask(&dialogue, port, &answer);
        result = answer.result;
        answer_port(&answer);
    }
}
