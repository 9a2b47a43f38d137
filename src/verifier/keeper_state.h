/* SPDX-License-Identifier: MIT
 *
 * The inside of a keeper, only for keeper.c, which follows the uplink and its owner,
 * keeper_protocol.c, which has the mapper, and keeper_view.c, which tells what is known.
 */
#pragma once

#include "loop/timers.h"
#include "router/announce.h"
#include "router/ask.h"
#include "router/mapper.h"
#include "verifier/keeper.h"
#include "verifier/uplink.h"
#include "verifier/upnp_mapper.h"

/* A mapping that could not be removed when this machine got another address or router. */
struct former_port {
    uint16_t outer;
    struct instant until;
    struct address router, local;
};

struct keeper {
    struct keeper_config config;
    struct uplink uplink;
    struct mapping_port *ports; /* owned */
    size_t port_count;
    struct former_port *former; /* owned; port_count at most, as their outer ports differ */
    size_t former_count;
    size_t known_count; /* the mapper knows the first ones of them */
    struct ask *ask;    /* owned, as are the next three; NULL: not now */
    struct announcements *announcements;
    struct mapper *mapper;    /* of NAT-PMP or PCP */
    struct upnp_mapper *upnp; /* not both */
    bool is_asked_twice;      /* the second question has been put */
    bool is_searching;        /* while it runs, `upnp` only looks for the router */
    bool is_search_over;      /* is_searching: and has found none that it can ask */
    bool is_heard;            /* is_searching: an answer had come at the last look */
    bool may_speak[ROUTER_PROTOCOL_COUNT];
    bool is_mute; /* it speaks `mute`, but answers no request for a mapping in it */
    bool is_last; /* is_mute: and nothing else that maps: the mapper is of `mute` again */
    enum router_protocol mute;
    bool is_announced; /* it announced itself while nothing could be made of that */
    enum router_protocol protocol; /* of the mapper */
    enum mapping_fault fault;      /* without a mapper */
    bool is_waited_for;            /* `settled` is due with is_first */
    mapping_removed_fn *removed;   /* of the mappers */
    bool is_removing;
    bool is_retiring;   /* the mapper removes what it can: another one follows */
    bool has_to_tell;   /* the owner, what no mapper tells it */
    struct timer timer; /* for that, or to ask anew */
};

bool keeper_has_mapper(const struct keeper *keeper);
const struct mapping *keeper_mapping(const struct keeper *keeper, size_t index);

/* With what the router may hold now. */
struct mapping_port keeper_port(const struct keeper *keeper, size_t index);

enum router_meaning keeper_meaning(const struct keeper *keeper, size_t index);
bool keeper_find(const struct keeper *keeper, uint16_t inner, size_t *ret);

/* --- of keeper_protocol.c --------------------------------------------------------------
 */

/* The owner is told, from the loop; keeper_fail(): why nothing is mapped. */
void keeper_tell_soon(struct keeper *keeper);
void keeper_fail(struct keeper *keeper, enum mapping_fault fault);

/* The router may have come back. */
void keeper_ask_anew_in(struct keeper *keeper, struct span pause);

/* Asks the router of the uplink, and begins to map. */
void keeper_ask(struct keeper *keeper, struct span timeout);

/* While it is asked and looked for: what has been found is used. */
void keeper_search_look(struct keeper *keeper);

/* A mapper of the first protocol that the router may speak, in place of any other. */
void keeper_begin(struct keeper *keeper);

/* The next mapper removes what this one would have removed. */
void keeper_drop(struct keeper *keeper);

/* The mapper has no answer for any port. */
bool keeper_is_silent(const struct keeper *keeper);

/* There is nothing that looks for the router by itself. */
bool keeper_is_lost(const struct keeper *keeper);

/* The owner knows all: looks for the router later if it is lost. */
void keeper_told(struct keeper *keeper);
