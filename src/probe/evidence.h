/* SPDX-License-Identifier: MIT
 *
 * What the attempts at one port have told so far, and what follows from it. Pure.
 *
 * - A handshake is OPEN and beats everything.
 * - `refusals_needed` refusals are CLOSED; fewer are, once the port's time is up.
 * - ICMP errors of two attempts are UNREACHABLE; that of one is, once the time is up.
 * - Silence is FILTERED once the time is up.
 */
#pragma once

#include "base/clock.h"
#include "probe/verdict.h"

#include <stdbool.h>
#include <stdint.h>

#define EVIDENCE_ERRORS_NEEDED 2 /* attempts with an ICMP error that make UNREACHABLE */

struct evidence {
    uint8_t attempts; /* SYNs of ours, the kernel's retransmissions not counted */
    uint8_t refusals;
    uint8_t errors;   /* attempts that an ICMP error answered, refusals not counted */
    int error_errnum; /* of the latest of them */
};

/* What can be said now; false: nothing yet. Without a handshake, that is: OPEN needs no
 * judgement. `is_time_up`: the port's time for an answer has passed. */
bool evidence_judge(const struct evidence *evidence, unsigned refusals_needed,
                    bool is_time_up, enum port_state *ret_state, int *ret_errnum);
