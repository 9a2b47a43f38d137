/* SPDX-License-Identifier: MIT
 *
 * Listens to what a router announces to all on its link: that it has restarted, or has
 * another outer address. A NAT-PMP announcement is a reply to the question for the address,
 * sent to 224.0.0.1; a PCP announcement is a reply to ANNOUNCE, over IPv6 sent to ff02::1.
 * Several programs can listen on one machine. Belongs to the loop's thread.
 */
#pragma once

#include "net/address.h"
#include "router/protocol.h"

#include <stdint.h>

struct announcements;
struct err;
struct loop;

/* `outer` is NULL if the announcement has no address. For mapper_hear(). */
typedef void(announced_fn)(void *ctx, enum router_protocol protocol, uint32_t epoch,
                           const struct address *outer);

/* Datagrams of other senders and other forms are ignored. `router` has its port, and a zone
 * if it is link-local; it is copied. `port` is ROUTER_ANNOUNCE_PORT. ERR_SYSTEM, for
 * instance if another program has the port for itself: then there is only the epoch of
 * replies. */
bool announcements_new(struct loop *loop, const struct address *router, uint16_t port,
                       announced_fn *announced, void *ctx, struct announcements **ret,
                       struct err *err);

/* Not from within `announced`. */
struct announcements *announcements_free(struct announcements *announcements);
