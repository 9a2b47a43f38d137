/* SPDX-License-Identifier: MIT
 *
 * Two questions to this machine's kernel about an address. Each costs a few microseconds
 * and no packet.
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>

struct err;

/* Whether packets to `to` go through a gateway (rather than to a neighbour on the link or
 * to this machine itself). ERR_SYSTEM when the kernel knows no route. */
bool route_has_gateway(const struct address *to, bool *ret_has_gateway, struct err *err);

/* Whether an address is one of this machine's own: of an interface, or 127.0.0.0/8. Where
 * the machine is told to bind foreign addresses (ip_nonlocal_bind), every address counts as
 * its own: the safe side for who asks. */
bool route_is_ours(const struct address *address);
