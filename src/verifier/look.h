/* SPDX-License-Identifier: MIT
 *
 * Which negative verdicts are looked at again, when, and how many at a time. Pure.
 *
 * A port that this program holds open and that a checker did not reach is looked at once
 * more: an accident of some seconds, or a limit on connections, is not the router's fault.
 * - Usually that is soon: what lasted a moment is over, and a port that is not forwarded
 *   costs two more seconds.
 * - Where the address stopped answering altogether, only complete silence ends a ban: the
 *   next look follows after LOOK_QUIET_SECONDS, at fewer ports than were answered before.
 * - Where nothing answered at all, only LOOK_SAMPLE ports are tried: if these stay silent,
 *   so do the others.
 * A look at some ports that reached none of them confirms their verdicts. If it reached
 * some, there is a limit, and the others get a further look.
 */
#pragma once

#include "base/clock.h"
#include "verifier/local_port.h"
#include "verifier/reply.h"

#include <stdbool.h>
#include <stddef.h>

#define LOOK_PAUSE_MS      2500
#define LOOK_QUIET_SECONDS 35 /* the window of `ufw limit` is 30 s */
#define LOOK_SAMPLE        4

/* Whether that verdict on a port that nothing else has reached wants a second look. */
bool look_is_wanted(const struct local_port *local, const struct remote_verdict *verdict);

/* The last look of one checker. Of the first one, `ports` are all that it judged. */
struct look_past {
    size_t ports;
    size_t reached;
    size_t open; /* whatever answered */
    size_t closed;
    size_t limited;
    bool is_refusing; /* a limited port was refused: asking prolongs that */
    struct remote_limit limit;
};

/* Counts one verdict of that look. */
void look_count(struct look_past *past, const struct remote_verdict *verdict,
                bool is_reached);

struct look {
    struct span pause;
    size_t size;     /* ports at a time */
    bool is_limited; /* the address has stopped answering: later looks stay as careful */
};

/* The next look at `waiting` ports, at least one. `last` is how the last look was planned,
 * all zero if that was the first. */
struct look look_plan(const struct look_past *past, struct look last, size_t waiting);

/* Whether ports that a look after the first one did not reach keep their verdicts: nothing
 * shows that a further look would differ. Limited ports never do. */
bool look_confirms(const struct look_past *past);

/* Whether the verdicts of ports that were left out of a look are confirmed with it: nothing
 * at this address answered before it, or in it. */
bool look_confirms_rest(const struct look_past *before, const struct look_past *past);
