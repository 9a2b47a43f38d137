/* SPDX-License-Identifier: MIT
 *
 * Pinholes in the router's packet filter for IPv6. Each has a number that the router
 * chooses, without which it can be neither renewed nor removed.
 */
#pragma once

#include "upnp/dialogue.h"

void pinhole_make(struct dialogue *dialogue, const struct request_port *port,
                  struct answer_port *ret);
void pinhole_remove(struct dialogue *dialogue, const struct request_port *port,
                    struct answer_port *ret);
