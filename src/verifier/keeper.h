/* SPDX-License-Identifier: MIT
 *
 * Keeps the ports of one family mapped in this machine's router: finds the router, asks
 * what it speaks, and has one mapper at a time, of the first protocol that the router
 * speaks: PCP, NAT-PMP (IPv4), or UPnP, which no datagram asks for. What the router
 * announces goes to the mapper. Belongs to the loop's thread.
 *
 * The router is the gateway to the internet. It is asked twice before it counts as one that
 * speaks neither PCP nor NAT-PMP: first for ASK_MS, and, unless it answered that it does
 * not, once more for KEEPER_ASK_MS. At the same time, port-verifier-upnp looks for it; if
 * that finds it, the question ends after KEEPER_UPNP_MS, and the ports are mapped over
 * UPnP. If the router lacks mappings altogether in a protocol that it speaks, or answers no
 * request for one within KEEPER_MUTE_MS, the next protocol is tried; if that brings
 * nothing, the first of those in which requests were not answered is tried for good.
 *
 * As long as no router is found, one is looked for every KEEPER_RETRY_SECONDS, and when the
 * gateway announces that it speaks one of the protocols.
 *
 * IPv4 ports are mapped only if this machine has an address of a local or a carrier's
 * network: a public one needs no mapping. For IPv6, a mapping is a pinhole in the router's
 * packet filter. See uplink.h.
 */
#pragma once

#include "router/mapping.h"
#include "router/pcp.h"
#include "verifier/fetch.h"
#include "verifier/local_port.h"
#include "verifier/mapping_view.h"

#include <stdbool.h>
#include <stddef.h>

struct err;
struct keeper;
struct loop;

#define KEEPER_ASK_MS        2500  /* for a slow router, which answers within 2 s */
#define KEEPER_UPNP_MS       750   /* of that, if it speaks UPnP */
#define KEEPER_MUTE_MS       4000  /* without an answer to any request for a mapping */
#define KEEPER_MAP_MS        10000 /* until each port has an answer; late ones count, too */
#define KEEPER_RETRY_SECONDS 60

struct keeper_config {
    struct loop *loop;
    enum family family;
    struct fetch_source source; /* borrowed: ports are mapped to this address, or to one of
                                   this interface; both NULL: what the kernel chooses */
    struct pcp_nonce nonce;
    mapping_settled_fn *settled; /* is_first: once for each keeper_map(), and when a router
                                    was found later */
    mapping_removed_fn *removed;
    void *ctx;
};

bool keeper_new(const struct keeper_config *config, struct keeper **ret, struct err *err);

/* Sends nothing: mappings stay in the router. */
struct keeper *keeper_free(struct keeper *keeper);

/* Maps these ports as well, in this order, and `settled` is called with `is_first` when
 * that has succeeded or failed; at once if there is nothing to do. Inner ports are
 * distinct. If this machine's router or address is another one than before, mappings are
 * removed first as far as that is still possible, and all ports are mapped anew. */
void keeper_map(struct keeper *keeper, const struct mapping_port *ports, size_t count);

/* Whether this machine has another router or address than at keeper_map(), which is then to
 * be called again. */
bool keeper_has_moved(const struct keeper *keeper);

/* The interface on the way to the router; 0 if this machine has none. */
unsigned keeper_interface(const struct keeper *keeper);

/* Asks for all ports again, or for the router if there was none: there is reason to believe
 * that they are not forwarded. */
void keeper_doubt(struct keeper *keeper);

/* Removes what the router may hold for us, and calls `removed`. Once. */
void keeper_remove(struct keeper *keeper);

struct mapping_summary keeper_summary(const struct keeper *keeper);

/* What is known of the mapping of this port, as of now. */
struct mapping_view keeper_view(const struct keeper *keeper, uint16_t inner);

/* Ports of which the router may still have a mapping: how many, and until when the last one
 * is held; *ret_until is 0 if one is permanent. `ports`, if not NULL, receives their outer
 * ports, in the order of keeper_map(). */
size_t keeper_left(const struct keeper *keeper, uint16_t *ports, time_t *ret_until);

/* Those from *at on that have the same two addresses; `ports`, with room for as many ports
 * as were asked for, receives the outer ones. *at is 0 at first. False if there are no
 * more.
 */
bool keeper_former_next(const struct keeper *keeper, size_t *at, uint16_t *ports,
                        struct former *ret);
