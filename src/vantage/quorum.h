/* SPDX-License-Identifier: MIT
 *
 * From the verdicts of several places about one port to one. Pure.
 *
 * A port is open if enough places reach it. Places that are missing, and those that the
 * target limits, never count as reaching it: if they decide, the port is LIMITED. Otherwise
 * its state and its error are the most common ones among the negative verdicts; of equally
 * common ones, those of the first place.
 */
#pragma once

#include "probe/verdict.h"

#include <stddef.h>

/* How many of `places` must reach a port: the only one, all but one of 2 to 5, all but two
 * of 6 and more (the rule of Let's Encrypt's Boulder). `wanted` > 0 is the operator's
 * number instead, at most `places`. */
size_t quorum_needed(size_t places, size_t wanted);

/* The verdict of all places together on one port. The own place is first and has a verdict;
 * NULL = missing. If no other place has one, the own verdict counts, whatever is needed.
 * `rtt` and `proof` of the result are those of the first place with the same state; `icmp`
 * is kept only if that is the own place. */
struct port_verdict quorum_merge(const struct port_verdict *const verdicts[], size_t count,
                                 size_t needed);
