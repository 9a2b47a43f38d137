/* SPDX-License-Identifier: MIT
 *
 * What is known while a router is asked about the ports of one request, one question at a
 * time.
 */
#pragma once

#include "upnp/answer.h"
#include "upnp/igd.h"
#include "upnp/request.h"

struct dialogue {
    const struct igd *igd;         /* borrowed */
    const struct request *request; /* borrowed */
    char local[ADDRESS_TEXT_SIZE];
    uint32_t lease;         /* to wish for; 0 once the router has refused any other */
    bool is_lease_known;    /* a mapping was granted */
    uint32_t lease_granted; /* is_lease_known */
    bool was_looked_up;     /* is_renewal: whether the router has forgotten our mappings */
};

void dialogue_init(struct dialogue *dialogue, const struct igd *igd,
                   const struct request *request);

/* Of what the library returns: ANSWER_SILENT for its own errors, HTTP's and noise. */
int dialogue_result(int result);
