/* SPDX-License-Identifier: MIT
 *
 * The results of the attempts at one port so far, and what follows from them. Pure.
 *
 * - A handshake is OPEN and beats everything.
 * - `refusals_needed` refusals are CLOSED; fewer are CLOSED once silence suffices.
 * - ICMP prohibitions of two attempts are UNREACHABLE; one is enough once silence suffices.
 * - Other ICMP errors count as silence: a path may come back. Where one came, silence that
 *   suffices is UNREACHABLE.
 * - Silence is FILTERED when it suffices.
 *
 * Silence suffices when enough SYNs have had time to be answered. The number depends on the
 * share of SYNs that seem to get lost: the chance that all of them were lost by accident
 * must be at most 1 in 10,000; at least 4, at most 14. They must be spread over time,
 * because losses come in bursts. An address that answers needs fewer than a silent one, and
 * more when its controls, which leave with them, go unanswered. Where even 14 would not do,
 * silence proves nothing. docs/decisions/0006 has the figures.
 */
#pragma once

#include "base/clock.h"
#include "probe/rtt.h"
#include "probe/verdict.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVIDENCE_PROHIBITIONS_NEEDED 2 /* attempts that make UNREACHABLE */

struct evidence {
    uint8_t attempts; /* our SYNs, without the kernel's retransmissions */
    uint8_t refusals;
    uint8_t prohibitions;   /* attempts that ICMP said are prohibited */
    uint8_t errors;         /* attempts that another ICMP error answered */
    int error_errnum;       /* of the latest of them */
    struct icmp_error icmp; /* the same, or a refusal's */
};

/* What can be said now; false: nothing yet. Without a handshake, that is: OPEN needs no
 * judgement. `is_silence_enough`: silence suffices, or the port's time has passed. */
bool evidence_judge(const struct evidence *evidence, unsigned refusals_needed,
                    bool is_silence_enough, enum port_state *ret_state, int *ret_errnum);

/* When silence suffices. */
struct silence_rule {
    bool is_hopeless;  /* so many controls are lost that silence proves nothing; the rest
                          says when that is certain */
    unsigned attempts; /* so many sockets at most */
    bool is_fresh;     /* only the first SYN of a socket counts */
    unsigned syns;     /* at least this many SYNs ... */
    struct span age;   /* ... each at least this old ... */
    struct span apart; /* ... the first and the last at least this far apart */
};

/* What is known about the address. */
struct silence_facts {
    bool is_answering;      /* a port of it has answered in this session, see host.h */
    unsigned trials;        /* SYNs to ports that answered ... */
    unsigned losses;        /* ... those of them that were lost */
    unsigned controls;      /* results of controls, see controls.h ... */
    unsigned controls_lost; /* ... those without an answer */
    double loss_overall;    /* loss_rate() over all addresses */
    bool has_error;         /* an ICMP error that is no prohibition came */
    struct rtt rtt;
};

struct silence_rule silence_rule_make(const struct silence_facts *facts);

/* `syns`: when SYNs were sent, or will be, ascending. The instant at which they suffice;
 * false when they never do. */
bool silence_suffices_at(const struct silence_rule *rule, const struct instant syns[],
                         size_t count, struct instant *ret_at);
