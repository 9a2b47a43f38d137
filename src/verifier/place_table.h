/* SPDX-License-Identifier: MIT
 *
 * What the places of one checker say about each port: a checker may probe from several
 * places (vantage points), and its verdict is what enough of them agree on. Pure.
 *
 * Names and words are kept once, and a place takes eight bytes per port: 4,096 ports and
 * PLACES_OF_A_PORT_MAX places are 512 KiB. A port about which more is said than fits has no
 * places here: part of them would be another statement.
 */
#pragma once

#include "probe/proof.h"
#include "probe/verdict.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define PLACES_OF_A_PORT_MAX 16
#define PLACE_LABEL_SIZE     33 /* a name: at most 32 lower-case letters, digits, hyphens */
#define PLACE_WORDS_SIZE     64

enum place_kind {
    PLACE_ABSENT,  /* not among the places that judged this port */
    PLACE_JUDGED,  /* it has a verdict */
    PLACE_MISSING, /* it was expected to have one */
    PLACE_UNKNOWN, /* its state or its proof is a word of a newer version */
};

/* What one place says about one port. */
struct place_view {
    enum place_kind kind;
    enum port_state state; /* JUDGED */
    enum proof proof;      /* JUDGED; PROOF_NONE: the reply has none */
    uint16_t proof_port;   /* OTHER_PORT; 0: the reply does not say */
    bool has_rtt;
    double rtt_ms;
    const char *words; /* JUDGED: the error, "" if open; MISSING: the reason, or "";
                          UNKNOWN: the state; printable */
};

struct place_table;

bool place_table_new(size_t port_count, struct place_table **ret, struct err *err);
struct place_table *place_table_free(struct place_table *table);

/* Adds what a place, which has said nothing about that port yet, says about it. False if
 * that does not fit: then the port has no places. */
bool place_table_add(struct place_table *table, size_t port, const char *name,
                     const struct place_view *view);

/* Forgets what was said about that port. */
void place_table_clear(struct place_table *table, size_t port);

/* Replaces what is said about a port by what another table says about one. */
void place_table_copy(struct place_table *table, size_t port,
                      const struct place_table *from, size_t from_port);

/* All places that said something about any port, in the order in which they came. NULL has
 * none. */
size_t place_table_count(const struct place_table *table);
const char *place_table_name(const struct place_table *table, size_t place);

/* What a place says about a port. The words are borrowed from the table. */
struct place_view place_table_get(const struct place_table *table, size_t port,
                                  size_t place);

/* Changes the proof of a place that JUDGED the port. */
void place_table_set_proof(struct place_table *table, size_t port, size_t place,
                           enum proof proof, uint16_t proof_port);
