/* SPDX-License-Identifier: MIT
 *
 * Pinholes in the router's packet filter for IPv6. Each has a number that the router
 * chooses, without which it can be neither renewed nor removed.
 */
#pragma once

#include "upnp/forward.h"

void pinhole_make(struct forward *forward, const struct request_port *port,
                  struct answer_port *ret);
void pinhole_remove(struct forward *forward, const struct request_port *port,
                    struct answer_port *ret);
