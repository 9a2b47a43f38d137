/* SPDX-License-Identifier: MIT
 *
 * --map: the ports of this machine that the router forwards to it as long as this program
 * runs. One keeper for each family; this decides which ports are mapped, tells what happens
 * to them between the rounds, and removes the mappings at the end. A mapping is the
 * router's promise: the checkers prove it. Whatever fails here fails no check. Belongs to
 * the loop's thread.
 *
 * Mapped are the ports that a round has bound, and those that the user names as in use
 * (--in-use, and 7466), in the order of arguments->order. Ports of earlier rounds stay
 * mapped when another program has taken them: they may have been rented out.
 */
#pragma once

#include "router/pcp.h"
#include "verifier/arguments.h"
#include "verifier/fetch.h"
#include "verifier/mapping_view.h"

#include <stdbool.h>
#include <stddef.h>

struct err;
struct loop;
struct mappings;
struct report;
struct text;

/* Something happened to the mappings after a round: the ports should be checked again. */
typedef void(mappings_event_fn)(void *ctx, const char *sentence);

/* Lines about what could not be removed, for people. */
typedef void(mappings_note_fn)(void *ctx, const char *lines);

/* Each family has an answer for each of its ports, or has failed. */
typedef void(mappings_settled_fn)(void *ctx);

/* Nothing more can be removed. */
typedef void(mappings_removed_fn)(void *ctx);

struct mappings_config {
    struct loop *loop;                 /* all borrowed until the mappings are freed */
    const struct arguments *arguments; /* with --map */
    struct fetch_source source[FAMILY_COUNT]; /* from where checkers are asked */
    struct pcp_nonce nonce;
    mappings_event_fn *event; /* from the loop, not while a round waits */
    mappings_note_fn *note;
    void *ctx;
};

/* Sends nothing yet. ERR_SYSTEM without memory. */
bool mappings_new(const struct mappings_config *config, struct mappings **ret,
                  struct err *err);

/* Sends nothing: mappings stay in the router. */
struct mappings *mappings_free(struct mappings *mappings);

/* In a round, which has bound the ports: `held[family]` are those of arguments->held.
 * `settled` is called once, from the loop, within about 20 seconds (UPnP may take that
 * long; PCP takes one). Without a change since the last round, it is called at once. */
void mappings_map(struct mappings *mappings, struct local_port *const held[FAMILY_COUNT],
                  mappings_settled_fn *settled, void *ctx);

/* The round has ended: `settled` is not called any more. */
void mappings_leave(struct mappings *mappings);

/* After a round: if ports are no longer reached that the router says it forwards, it is
 * asked for them again. So it is if they are not reached in the first round (`earlier` is
 * NULL, or does not know the family): the router may have restarted since it mapped them.
 */
void mappings_compare(struct mappings *mappings, const struct report *earlier,
                      const struct report *later);

/* Removes all mappings, of both families at once; `removed` is called from the loop, within
 * 2 seconds, or 15 with UPnP. Once; from then on there are no events. */
void mappings_remove(struct mappings *mappings, mappings_removed_fn *removed);

struct mapping_summary mappings_summary(const struct mappings *mappings,
                                        enum family family);

/* By the index of the port in arguments->ports. */
struct mapping_view mappings_view(const struct mappings *mappings, enum family family,
                                  size_t index);

/* See keeper_former_next(). */
bool mappings_former_next(const struct mappings *mappings, enum family family, size_t *at,
                          uint16_t *ports, struct former *ret);

/* Of both families: how many are mapped, or still held by the router. */
struct mappings_count {
    size_t asked, mapped, left;
};
struct mappings_count mappings_count(const struct mappings *mappings);

/* Appends a line for each family whose router may still have mappings: "12 ports may still
 * be forwarded by the router 192.168.1.1, until 2026-03-29T14:05:09+02:00: 7466,50800".
 * Nothing if all were removed. */
void mappings_format_left(const struct mappings *mappings, struct text *text);
