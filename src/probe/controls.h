/* SPDX-License-Identifier: MIT
 *
 * Controls: attempts at ports of an address that have answered before. Silence and refusals
 * of other ports prove something only while these go on answering. Pure.
 *
 * - Witnesses are the ports that answered. The next control asks the one that was asked
 *   least recently, open ones first.
 * - Each wave of SYNs carries two controls, at random places. A control at a fixed place
 *   would tell little: before the wave, it uses what a rate limit has left for it; after
 *   the wave, in the calm, it is answered again.
 * - The log holds what the latest controls told.
 *
 * Rules: docs/decisions/0006.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROLS_WITNESSES 16
#define CONTROLS_LOGGED    32
#define CONTROLS_SECONDS   60 /* for so long, a witness and a control's result count */
#define CONTROLS_PER_WAVE  2
#define CONTROLS_BLOCK_MAX 16 /* SYNs per control at most, however large the wave */

struct witness {
    uint16_t port; /* 0 = none */
    bool is_open;  /* else it has refused */
    struct instant answered_at;
    struct instant asked_at;
};

enum control_result {
    CONTROL_PENDING,
    CONTROL_HANDSHAKE,
    CONTROL_REFUSED, /* by a port that was open */
    CONTROL_AGAIN,   /* refused by a port that had refused before */
    CONTROL_DENIED,  /* an ICMP error */
    CONTROL_MISSED,  /* silence */
    CONTROL_VOID,    /* this checker could not ask; counts for nothing */
};

struct control_entry {
    struct instant sent_at; /* ns 0 = none */
    enum control_result result;
};

/* Where the controls of a wave leave: one in each block of SYNs. */
struct control_plan {
    unsigned block_left; /* SYNs of the current block that are still to come */
    unsigned place;      /* the control leaves when so many are left */
    bool is_single;      /* a block of one SYN has two controls, one of them before it */
};

/* All zero = nothing known. */
struct controls {
    struct witness witnesses[CONTROLS_WITNESSES];
    struct control_entry log[CONTROLS_LOGGED]; /* a ring */
    unsigned logged;                           /* ever; the next goes to logged % size */

    struct control_plan silent, refused; /* waves of ports that were silent, or refused */
};

/* A port answered with a handshake or with a refusal. */
void controls_answered(struct controls *controls, uint16_t port, bool is_open,
                       struct instant now);

/* Was the port seen open within the last CONTROLS_SECONDS? */
bool controls_was_open(const struct controls *controls, uint16_t port, struct instant now);

/* The witness to ask next, of those that answered after `since` and not more than
 * CONTROLS_SECONDS before `now`; not `except`, unless there is no other. NULL = none. */
struct witness *controls_next_witness(struct controls *controls, uint16_t except,
                                      struct instant since, struct instant now);

/* A SYN is about to be sent, of about `wave` that leave together. How many controls leave
 * before it, and how many right after it. */
void control_plan_next(struct control_plan *plan, size_t wave, uint64_t random,
                       unsigned *ret_before, unsigned *ret_after);

/* Logs a control that was sent; the number is for controls_tell(). */
unsigned controls_sent(struct controls *controls, struct instant now);

/* What it told; a later result replaces an earlier one. */
void controls_tell(struct controls *controls, unsigned number, enum control_result result);

struct control_tally {
    unsigned pending;
    unsigned handshakes;
    unsigned answered; /* handshakes and repeated refusals */
    unsigned refused;
    unsigned denied;
    unsigned missed;
};

/* Of the controls sent since `since`, none older than CONTROLS_SECONDS. */
struct control_tally controls_tally(const struct controls *controls, struct instant since,
                                    struct instant now);
