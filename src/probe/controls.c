/* SPDX-License-Identifier: MIT */
#include "probe/controls.h"

static bool is_recent(struct instant at, struct instant now)
{
    return at.ns != 0 && instant_since(now, at).ns < CONTROLS_SECONDS * NS_PER_SECOND;
}

/* --- witnesses ---------------------------------------------------------------------- */

static struct witness *witness_find(struct controls *controls, uint16_t port)
{
    for (size_t i = 0; i < CONTROLS_WITNESSES; i++)
        if (controls->witnesses[i].port == port)
            return &controls->witnesses[i];
    return NULL;
}

/* Is `a` the better one to give up? A port that refused goes first, then the one that
 * answered longest ago. */
static bool is_lesser(const struct witness *a, const struct witness *b)
{
    if (a->is_open != b->is_open)
        return !a->is_open;
    return instant_before(a->answered_at, b->answered_at);
}

static struct witness *witness_place(struct controls *controls)
{
    struct witness *least = &controls->witnesses[0];
    for (size_t i = 1; i < CONTROLS_WITNESSES; i++)
        if (is_lesser(&controls->witnesses[i], least))
            least = &controls->witnesses[i];
    return least;
}

void controls_answered(struct controls *controls, uint16_t port, bool is_open,
                       struct instant now)
{
    struct witness *witness = witness_find(controls, port);
    if (!witness) {
        witness = witness_place(controls);
        if (witness->port != 0 && witness->is_open && !is_open)
            return;
        *witness = (struct witness){.port = port, .asked_at = now};
    }
    witness->is_open = is_open;
    witness->answered_at = now;
}

bool controls_was_open(const struct controls *controls, uint16_t port, struct instant now)
{
    for (size_t i = 0; i < CONTROLS_WITNESSES; i++) {
        const struct witness *witness = &controls->witnesses[i];
        if (witness->port == port && witness->is_open)
            return is_recent(witness->answered_at, now);
    }
    return false;
}

static bool is_better_to_ask(const struct witness *a, const struct witness *b,
                             uint16_t except)
{
    if (!b || a->is_open != b->is_open)
        return !b || a->is_open;
    if ((a->port == except) != (b->port == except))
        return b->port == except;
    return instant_before(a->asked_at, b->asked_at);
}

struct witness *controls_next_witness(struct controls *controls, uint16_t except,
                                      struct instant since, struct instant now)
{
    struct witness *best = NULL;
    for (size_t i = 0; i < CONTROLS_WITNESSES; i++) {
        struct witness *witness = &controls->witnesses[i];
        if (witness->port != 0 && !instant_before(witness->answered_at, since) &&
            is_recent(witness->answered_at, now) && is_better_to_ask(witness, best, except))
            best = witness;
    }
    return best;
}

/* --- where they go ------------------------------------------------------------------ */

/* Blocks of equal size with one control each, at a random place among its SYNs. */
static void block_begin(struct control_plan *plan, size_t wave, uint64_t random)
{
    size_t size = wave / CONTROLS_PER_WAVE;
    plan->is_single = size == 0;
    if (size == 0)
        size = 1;
    if (size > CONTROLS_BLOCK_MAX)
        size = CONTROLS_BLOCK_MAX;
    plan->block_left = (unsigned)size;
    plan->place = (unsigned)(random % (size + 1));
}

void control_plan_next(struct control_plan *plan, size_t wave, uint64_t random,
                       unsigned *ret_before, unsigned *ret_after)
{
    bool is_new = plan->block_left == 0;
    if (is_new)
        block_begin(plan, wave, random);
    *ret_before = is_new && plan->place == plan->block_left;
    plan->block_left--;
    *ret_after = plan->place == plan->block_left;
    if (plan->is_single)
        *ret_before = *ret_after = 1;
}

/* --- what they told ----------------------------------------------------------------- */

unsigned controls_sent(struct controls *controls, struct instant now)
{
    unsigned number = controls->logged++;
    controls->log[number % CONTROLS_LOGGED] = (struct control_entry){.sent_at = now};
    return number;
}

void controls_tell(struct controls *controls, unsigned number, enum control_result result)
{
    if (controls->logged - number <= CONTROLS_LOGGED)
        controls->log[number % CONTROLS_LOGGED].result = result;
}

struct control_tally controls_tally(const struct controls *controls, struct instant since,
                                    struct instant now)
{
    struct control_tally tally = {0};
    for (size_t i = 0; i < CONTROLS_LOGGED; i++) {
        const struct control_entry *entry = &controls->log[i];
        if (!is_recent(entry->sent_at, now) || instant_before(entry->sent_at, since))
            continue;
        switch (entry->result) {
        case CONTROL_PENDING:
            tally.pending++;
            break;
        case CONTROL_HANDSHAKE:
            tally.handshakes++;
            tally.answered++;
            break;
        case CONTROL_AGAIN:
            tally.answered++;
            break;
        case CONTROL_REFUSED:
            tally.refused++;
            break;
        case CONTROL_DENIED:
            tally.denied++;
            break;
        case CONTROL_MISSED:
            tally.missed++;
            break;
        case CONTROL_VOID:
            break;
        }
    }
    return tally;
}
