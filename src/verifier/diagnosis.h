/* SPDX-License-Identifier: MIT
 *
 * Joins both ends of the story: what checkers say of a port, and what was seen of it here.
 * Pure: facts in, one finding a port out. What to do about a cause is told by advice.h.
 */
#pragma once

#include "verifier/local_port.h"
#include "verifier/reply.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* name: for programs. When checkers differ, the first cause in this order that any of them
 * gives evidence for is the port's: what shows most comes first. Only a proof that is not
 * ours beats UNPROVED, and with it the port is not good unless another checker has proof.
 */
#define CAUSE_MAP(X)                                                                       \
    X(GOOD, "good")           /* reached, and proved to be ours where that is possible */  \
    X(UNPROVED, "unproved")   /* reached; nobody can say who answered. Good */             \
    X(NO_QUORUM, "no_quorum") /* reached by fewer checkers than asked for */               \
    X(OTHER_PORT, "other_port")       /* our listener answered, that of another port */    \
    X(SOMEBODY_ELSE, "somebody_else") /* something else answers; nothing came in here */   \
    X(PROOF_LOST, "proof_lost") /* came in here, but our line did not come out there */    \
    X(REFUSED, "refused")       /* closed, although we listen */                           \
    X(NOT_BOUND, "not_bound")   /* closed, and nobody listens here */                      \
    X(WAY_BACK, "way_back_blocked")   /* silence, but the handshake had come in here */    \
    X(UNREACHABLE, "unreachable")     /* the network says that there is no path */         \
    X(NOT_FORWARDED, "not_forwarded") /* silence, while other ports do answer */           \
    X(NO_WAY_IN, "no_way_in")         /* silence from all ports */                         \
    X(UNKNOWN, "unknown")             /* no checker answered */

enum cause {
#define X(NAME, text) CAUSE_##NAME,
    CAUSE_MAP(X)
#undef X
};

const char *cause_text(enum cause cause);

struct finding {
    enum cause cause;
    bool is_good;
    bool is_proved;
    uint16_t leads_to; /* OTHER_PORT */
    unsigned reached;  /* by so many checkers, proof considered */
    unsigned asked;    /* checkers that answered */
    size_t witness;    /* index of the checker whose words are the evidence */
};

struct diagnosis {
    size_t port_count;
    const struct local_port *local;              /* one a port */
    const struct remote_verdict *const *remotes; /* of each checker that answered, one a
                                                    port */
    size_t remote_count;
    unsigned quorum; /* from 1 */
};

/* Open, and ours where that could be proved. */
bool diagnosis_is_reached(const struct local_port *local,
                          const struct remote_verdict *remote);

/* Writes one finding a port. */
void diagnose(const struct diagnosis *diagnosis, struct finding *ret);
