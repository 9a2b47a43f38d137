/* SPDX-License-Identifier: MIT
 *
 * Keeps TCP ports forwarded by one router over one protocol, and removes the mappings at
 * the end. What a router answers is a promise: only a check from outside proves that a
 * port is reached.
 *
 * Mapping. mapper_new() asks for the ports in the order of their list, which therefore
 * begins with those that matter most, with at most MAPPER_CALLS_MAX requests under way.
 * When each has a state other than WAITING, or the deadline has passed, or no request was
 * answered until `silent_by`, `settled` is called for the first time. If the router gives
 * an outer port other than the requested one, that mapping is removed, and the state is
 * OTHER_PORT. Until then it may block another port of the list, which is therefore asked
 * for once more when all others are done. Once the router says that its table is full,
 * ports that were not asked for yet are FULL as well, without a request.
 *
 * Keeping. router/kept_port.h says when a mapping is renewed, whatever lease the router
 * granted. Ports in other states are asked for again: after 1 minute of silence; after a
 * refusal in 10 minutes, or when the router said (PCP), between 1 and 30 minutes.
 *
 * Restarts. If the epoch of a reply does not fit (router/epoch.h), the router has forgotten
 * the mappings: all ports are mapped again, at once. If it tells another outer address, all
 * mappings are renewed. `settled` is called when that is done, also after an announcement
 * that comes to ROUTER_ANNOUNCE_PORT: see mapper_hear(). Some routers do this all the time,
 * and datagrams are easily forged: within 30 seconds of the last time, and up to 8 minutes
 * while it goes on, the mappings are renewed after that pause, without a word.
 *
 * Removing. mapper_remove() removes all that the router may hold for us, also where a
 * request was never answered, and calls `removed` when it has answered everything, at the
 * deadline at the latest. What `is_held` then is left in the router until `held_until`.
 *
 * The nonce, which PCP demands for each change of a mapping, is the owner's, so that it can
 * outlive this process. Everything belongs to the loop's thread.
 */
#pragma once

#include "base/clock.h"
#include "net/address.h"
#include "router/mapping.h"
#include "router/pcp.h"
#include "router/protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct loop;
struct mapper;

#define MAPPER_CALLS_MAX     8
#define MAPPER_REQUEST_MS    4000 /* of one request with its repetitions: 4 datagrams */
#define MAPPER_LEASE_SECONDS 3600 /* to wish for */
#define MAPPER_REMOVE_MS     2000 /* to give mapper_remove() */

struct mapper_config {
    enum router_protocol protocol;
    struct address router; /* with its port */
    bool has_local;
    struct address local; /* has_local: source of the requests. The router forwards to it */
    struct pcp_nonce nonce;   /* PCP */
    uint32_t lease;           /* seconds, requested */
    uint32_t lease_min;       /* seconds: shorter ones are not kept */
    struct instant deadline;  /* for the first `settled` */
    struct instant silent_by; /* the same, if no request has been answered */
    mapping_settled_fn *settled;
    mapping_removed_fn *removed;
    void *ctx;
};

/* Inner ports are distinct. `ports` and the configuration are copied; nothing is sent
 * before the loop runs. ERR_SYSTEM without memory. */
bool mapper_new(struct loop *loop, const struct mapper_config *config,
                const struct mapping_port *ports, size_t port_count, struct mapper **ret,
                struct err *err);

/* Sends nothing: mappings stay in the router. */
struct mapper *mapper_free(struct mapper *mapper);

/* By the index in `ports`; borrowed, changes while the loop runs. */
const struct mapping *mapper_mapping(const struct mapper *mapper, size_t index);

/* False if the router has not told it. NAT-PMP tells it only by announcements. */
bool mapper_outer_address(const struct mapper *mapper, struct address *ret);

/* An announcement of this router, whose sender and form the caller has checked. `outer` is
 * NULL if it tells no address. Also if the epoch fits, all mappings are renewed
 * (router/announced.h): it may fit because the router had just started or, as that of
 * miniupnpd with `system_uptime=yes`, because it goes on. Some routers announce a restart
 * over one protocol only, whose epoch need not be that of ours. */
void mapper_hear(struct mapper *mapper, enum router_protocol protocol, uint32_t epoch,
                 const struct address *outer);

/* Asks for all ports again, now: there is reason to believe that they are not forwarded. */
void mapper_map_anew(struct mapper *mapper);

/* Once. From now on `settled` is not called. */
void mapper_remove(struct mapper *mapper, struct span timeout);
