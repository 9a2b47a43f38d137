/* SPDX-License-Identifier: MIT
 *
 * Ports that the router is to forward to this machine: mappings of IPv4, pinholes in the
 * packet filter for IPv6. One question at a time.
 */
#pragma once

#include "upnp/answer.h"
#include "upnp/igd.h"
#include "upnp/request.h"

struct forward {
    const struct igd *igd;         /* borrowed */
    const struct request *request; /* borrowed */
    char local[ADDRESS_TEXT_SIZE];
    uint32_t lease;         /* to wish for; 0 once the router has refused any other */
    bool is_lease_known;    /* a mapping was granted */
    uint32_t lease_granted; /* is_lease_known */
    bool is_full;           /* the router has said so: then the rest is not asked for */
    int full_result;
    bool was_looked_up; /* is_renewal: whether the router has forgotten our mappings */
};

void forward_init(struct forward *forward, const struct igd *igd,
                  const struct request *request);

/* What the request says, with one of its ports. */
void forward_port(struct forward *forward, const struct request_port *port,
                  struct answer_port *ret);

/* Of what the library returns: ANSWER_SILENT for its own errors, HTTP's and noise. */
int forward_result(int result);
