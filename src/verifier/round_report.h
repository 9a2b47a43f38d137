/* SPDX-License-Identifier: MIT
 *
 * Makes the report of a round from its parts: which checkers it names, which addresses of
 * this machine it believes, and what was seen here.
 */
#pragma once

#include "base/clock.h"
#include "verifier/arguments.h"
#include "verifier/checker.h"

#include <stddef.h>

struct listeners;
struct mappings;
struct report;
struct router_asks;

/* All borrowed. */
struct round_parts {
    const struct arguments *arguments;
    struct instant start;
    struct listeners *listeners;
    struct router_asks *router_asks;
    struct mappings *mappings; /* NULL without --map */
    struct checker *checkers[CHECKERS_MAX * FAMILY_COUNT];
    size_t checker_count; /* 0 while ports are being mapped */
};

/* The same checker over the other family, or NULL. */
struct checker *round_other_family(const struct round_parts *parts,
                                   const struct checker *checker);

/* What was seen here of the ports to check, each at its index. */
void round_local(const struct round_parts *parts, enum family which,
                 struct local_port *ret);

/* What the round found; takes the results of its checkers. NULL without memory. */
struct report *round_report(const struct round_parts *parts);
