/* SPDX-License-Identifier: MIT */
#include "verifier/look.h"

#include <string.h>

bool look_is_wanted(const struct local_port *local, const struct remote_verdict *verdict)
{
    if (local->binding != BINDING_BOUND || verdict->is_unknown)
        return false;
    if (verdict->state != PORT_STATE_OPEN)
        return true;
    /* The connection came here, but the proof did not come there. */
    return verdict->proof != PROOF_NONE && verdict->proof != PROOF_MATCH &&
           verdict->proof != PROOF_OTHER_PORT && local->accepted > 0;
}

void look_count(struct look_past *past, const struct remote_verdict *verdict,
                bool is_reached)
{
    bool is_limited = !verdict->is_unknown && !verdict->is_undecided &&
                      verdict->state == PORT_STATE_LIMITED;
    past->ports++;
    past->reached += is_reached;
    past->open += !verdict->is_unknown && verdict->state == PORT_STATE_OPEN;
    past->closed += !verdict->is_unknown && verdict->state == PORT_STATE_CLOSED;
    past->limited += is_limited;
    if (is_limited && strcasestr(verdict->words, "refused"))
        past->is_refusing = true;
}

/* Nothing answered: neither a port nor a router. */
static bool is_silent(const struct look_past *past)
{
    return past->open + past->closed + past->limited == 0;
}

static size_t within(size_t size, size_t most)
{
    size = size < 1 ? 1 : size;
    return size < most ? size : most;
}

/* The address stopped answering, now or in an earlier look. */
static struct look plan_limited(const struct look_past *past, struct look last,
                                size_t waiting)
{
    if (past->limited == 0)
        return (struct look){last.pause, within(last.size, waiting), true};

    size_t answered = past->limit.is_there ? past->limit.answered : past->reached;
    bool is_paced = past->limit.rate > 0 && past->reached > 0 && !past->is_refusing;
    return (struct look){
        .pause = is_paced ? span_ms(LOOK_PAUSE_MS) : span_seconds(LOOK_QUIET_SECONDS),
        /* The checker's own controls count against the limit, too. */
        .size = within(answered > 0 ? answered * 3 / 4 : LOOK_SAMPLE, waiting),
        .is_limited = true,
    };
}

struct look look_plan(const struct look_past *past, struct look last, size_t waiting)
{
    if (past->limited > 0 || last.is_limited)
        return plan_limited(past, last, waiting);

    bool is_some = last.size > 0 && past->reached < past->ports;
    struct look look = {.pause = span_ms(LOOK_PAUSE_MS), .size = waiting};
    if (is_silent(past))
        look.size = within(LOOK_SAMPLE, waiting);
    else if (past->reached > 0 && (past->closed > 0 || is_some))
        look.size = within(past->reached, waiting);
    return look;
}

bool look_confirms(const struct look_past *past)
{
    return past->reached == 0;
}

bool look_confirms_rest(const struct look_past *before, const struct look_past *past)
{
    return is_silent(before) && is_silent(past);
}
