/* SPDX-License-Identifier: MIT
 *
 * Ports of IPv4 that the router forwards to this machine.
 */
#pragma once

#include "upnp/dialogue.h"

void port_mapping_make(struct dialogue *dialogue, const struct request_port *port,
                       struct answer_port *ret);

/* Deletes only a mapping that leads to this machine. */
void port_mapping_remove(struct dialogue *dialogue, const struct request_port *port,
                         struct answer_port *ret);
