/* SPDX-License-Identifier: MIT
 *
 * Combines what checkers report about a port with what was seen here. Pure: facts in, one
 * finding per port out. The causes and their sentences are rows of causes.def.
 */
#pragma once

#include "verifier/local_port.h"
#include "verifier/place_table.h"
#include "verifier/reply.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cause {
#define CAUSE(NAME, ...) CAUSE_##NAME,
#include "verifier/causes.def"
#undef CAUSE
    CAUSE_COUNT
};

/* For programs. */
const char *cause_text(enum cause cause);

struct finding {
    enum cause cause;
    bool is_good;
    bool is_proved;
    bool was_proved;   /* now, or in an earlier round, and advertised since */
    uint16_t leads_to; /* OTHER_PORT */
    unsigned reached;  /* checkers that reached it, proof considered */
    unsigned asked;    /* checkers that gave a verdict for it */
    size_t witness;    /* index of the checker whose verdict is the evidence, among those
                          that answered */
};

struct diagnosis {
    size_t port_count;
    const struct local_port *local;              /* one per port */
    const struct remote_verdict *const *remotes; /* of each checker that answered, one
                                                    per port */
    const struct place_table *const *places;     /* of each of them, or NULL */
    size_t remote_count;
    unsigned quorum; /* from 1 */
    bool is_inside;  /* none of them looks from the internet: nothing is good */
};

/* Open, and ours if that could be proved. */
bool diagnosis_is_reached(const struct local_port *local,
                          const struct remote_verdict *remote);

/* How far a place of a checker reached a port. */
enum place_reach {
    REACH_NONE, /* no verdict: missing, limited, or unknown to this version */
    REACH_YES,  /* open, and ours if that could be proved */
    REACH_NO,
};
enum place_reach diagnosis_place_reach(const struct local_port *local,
                                       const struct place_view *view);

/* How many places of a checker are at each of these for the port with that index. */
struct place_tally {
    size_t counts[REACH_NO + 1];
};
struct place_tally diagnosis_tally(const struct place_table *places, size_t port,
                                   const struct local_port *local);

/* Whether some places reached the port, and others could not. */
bool place_tally_differs(const struct place_tally *tally);

/* Writes one finding per port. */
void diagnose(const struct diagnosis *diagnosis, struct finding *ret);
