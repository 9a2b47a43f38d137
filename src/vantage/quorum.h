/* SPDX-License-Identifier: MIT
 *
 * From the verdicts of several places about one port to one. Pure.
 *
 * A port is open if enough places reach it. Places that are missing, and those that the
 * target limits, never count as yes: where they decide, the port is LIMITED. Otherwise its
 * state and its error are the commonest of the negative verdicts; of those that are equally
 * common, the one whose first place stands first.
 */
#pragma once

#include "probe/verdict.h"

#include <stddef.h>

/* How many of so many places must reach a port: all but none, 1, 2 for less than 2, 2 to 5,
 * 6 and more (Let's Encrypt's Boulder has this rule). `wanted` > 0 is the operator's number
 * instead, at most `places`. */
size_t quorum_needed(size_t places, size_t wanted);

/* What is said about one port by all places; the own one stands first and has a verdict,
 * NULL = missing. If no other place has one, the own verdict counts, whatever is needed.
 * `rtt` and `proof` of the result are those of the first place with the same state; `icmp`
 * is kept only if that is the own place. */
struct port_verdict quorum_merge(const struct port_verdict *const verdicts[], size_t count,
                                 size_t needed);
