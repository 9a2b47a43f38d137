/* SPDX-License-Identifier: MIT
 *
 * Keeps TCP ports forwarded by a router that speaks UPnP IGD, and removes the mappings at
 * the end: like router/mapper.h, whose states, callbacks and rules are the same unless
 * noted here. UPnP is XML over HTTP from whatever answers on the local network, so the
 * program port-verifier-upnp speaks it, in a process of its own with a sandbox of its own;
 * it writes one line of JSON per port (docs/mapping.md).
 *
 * The router tells which machine holds a port that it refuses (`holder`). If it grants
 * permanent mappings only, `is_permanent` is set: they are removed at the end as well, and
 * asked for again as if they had the requested lease. A restart of the router is noticed
 * when a mapping of ours is missing at a renewal.
 *
 * A mapping to us that another program made is MAPPED and not held: it stays. A run that is
 * cut off at its deadline goes on a second later with the ports that were not answered.
 *
 * Everything belongs to the loop's thread; the program runs once for each thing to do, one
 * run at a time for each family, and is ended at the deadline of that.
 */
#pragma once

#include "net/address.h"
#include "router/mapping.h"
#include "verifier/local_port.h"
#include "verifier/upnp_reply.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct loop;
struct upnp_mapper;

#define UPNP_MAP_MS    10000 /* for one run that maps or renews all ports */
#define UPNP_REMOVE_MS 15000 /* to give upnp_mapper_remove() */

/* Starts the processes, one for each family, that can execute port-verifier-upnp, which is
 * looked for in the folder of this program. Call it before lockdown_apply() and before
 * threads start; only once. ERR_SYSTEM. That the program is not installed is no error: see
 * UPNP_END_MISSING. */
bool upnp_prepare(struct err *err);
void upnp_finish(void);

struct upnp_mapper_config {
    enum family family;     /* FAMILY_6: pinholes */
    struct address local;   /* of this machine, on the link to the router */
    struct address gateway; /* only a router with this address is asked, if has_gateway */
    bool has_gateway;
    bool waits;         /* only looks for the router until upnp_mapper_go() */
    uint32_t lease;     /* seconds, requested */
    uint32_t lease_min; /* seconds: shorter ones are not kept */
    mapping_settled_fn *settled;
    mapping_removed_fn *removed;
    void *ctx;
};

/* As mapper_new(), but one mapper of each family at a time. `settled` is first called after
 * UPNP_MAP_MS and half a second at the latest. */
bool upnp_mapper_new(struct loop *loop, const struct upnp_mapper_config *config,
                     const struct mapping_port *ports, size_t port_count,
                     struct upnp_mapper **ret, struct err *err);

/* Ends a program that runs. Mappings stay in the router. */
struct upnp_mapper *upnp_mapper_free(struct upnp_mapper *mapper);

const struct mapping *upnp_mapper_mapping(const struct upnp_mapper *mapper, size_t index);

/* Lets a mapper that waits ask for the ports. */
void upnp_mapper_go(struct upnp_mapper *mapper);

/* Whether this run of the program has found a router. */
bool upnp_mapper_has_router(const struct upnp_mapper *mapper);

/* How the last run of the program ended; NONE before the first has. */
enum upnp_end upnp_mapper_end(const struct upnp_mapper *mapper);
bool upnp_mapper_outer_address(const struct upnp_mapper *mapper, struct address *ret);
void upnp_mapper_map_anew(struct upnp_mapper *mapper);

/* An announcement of the router in another protocol: all mappings are renewed, after the
 * run that is under way. See router/announced.h. */
void upnp_mapper_hear(struct upnp_mapper *mapper);

/* How many ports have been removed so far, for a line of progress. */
size_t upnp_mapper_removed(const struct upnp_mapper *mapper);
/* The same at an address from which the router can be reached now: the mappings lead to
 * another one, which this machine had before. */
void upnp_mapper_remove_from(struct upnp_mapper *mapper, const struct address *local,
                             struct span timeout);
void upnp_mapper_remove(struct upnp_mapper *mapper, struct span timeout);
