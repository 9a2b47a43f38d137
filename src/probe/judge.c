/* SPDX-License-Identifier: MIT
 *
 * What follows from what is known of a port: nothing yet, another attempt, a verdict; and
 * whether a verdict without an answer may be believed. Gathers the facts for the pure
 * modules (schedule, evidence) and asks after doubts. It looks at attempts and never
 * touches them; what it says is carried out by port.c.
 */
#include "probe/attempt.h"
#include "probe/engine_state.h"

#include <assert.h>
#include <errno.h>

#define SELF_DOUBT                                                                         \
    "this checker's own machine seems to lose what it sends (a firewall rule, a full "     \
    "connection table, or its uplink)"
#define REPEAT_MIN_NS    (900 * NS_PER_MS) /* the kernel's first repetition: after 1 s */
#define DOUBT_VERDICT_MS 20                /* how old a look for doubts may be then */

/* --- the facts ---------------------------------------------------------------------- */

static struct silence_rule port_silence_rule(const struct port *port)
{
    const struct host *host = port->job->host;
    const struct engine *engine = port->job->engine;
    struct instant now = engine_now(engine);
    const struct silence_facts facts = {
        .is_answering = host_is_answering(host, now),
        .is_clean = loss_is_clean(&host->loss, now),
        .loss = loss_rate(&host->loss, now),
        .loss_overall = loss_rate(&engine->loss, now),
        .rtt = host->rtt,
    };
    return silence_rule_make(&facts);
}

/* Asks the kernel for repetitions only when there can be some. */
static unsigned attempt_repeats(const struct attempt *attempt)
{
    struct engine *engine = attempt->port->job->engine;
    struct span age = instant_since(engine_now(engine), attempt->window.since);
    return age.ns < REPEAT_MIN_NS ? 0 : attempt_repeats_read(attempt->fd).sent;
}

static void facts_add_attempts(const struct port *port, struct schedule_facts *facts)
{
    unsigned count = 0;
    const struct attempt *attempt;
    LIST_FOREACH(attempt, &port->attempts, link)
        count++;

    assert(count <= SCHEDULE_OPEN_MAX);
    facts->open_count = count;
    LIST_FOREACH(attempt, &port->attempts, link)
        facts->open[--count] = (struct schedule_attempt){
            .sent_at = attempt->window.since,
            .repeats = attempt_repeats(attempt),
            .has_error = attempt->has_error,
        };
}

static struct schedule_facts port_facts(const struct port *port)
{
    struct schedule_facts facts = {
        .evidence = port->evidence,
        .first_syn = port->first_syn,
        .last_refusal = port->last_refusal,
        .fresh_since = port->refreshed_at,
        .silence = port_silence_rule(port),
        .rtt = port->job->host->rtt,
        .is_lean = port->is_lean,
    };
    facts_add_attempts(port, &facts);
    return facts;
}

/* --- what follows from them --------------------------------------------------------- */

/* Does what is known suffice for a verdict? */
static bool has_verdict(const struct port *port, bool is_silence_enough,
                        struct judgement *ret)
{
    ret->step = JUDGE_VERDICT;
    return evidence_judge(&port->evidence, port->job->engine->rules.refusals_needed,
                          is_silence_enough, &ret->state, &ret->errnum);
}

struct judgement judge_port(const struct port *port)
{
    struct engine *engine = port->job->engine;
    struct judgement judgement = {0};
    if (has_verdict(port, false, &judgement))
        return judgement;
    if (port->phase != PORT_PROBING)
        return (struct judgement){.step = JUDGE_NOTHING};

    const struct schedule_facts facts = port_facts(port);
    switch (schedule_next(&facts, &engine->rules, engine_now(engine), &judgement.until)) {
    case SCHEDULE_ATTEMPT:
        judgement.step = JUDGE_ATTEMPT;
        break;
    case SCHEDULE_WAIT:
        judgement.step = JUDGE_WAIT;
        break;
    case SCHEDULE_SILENCE:
    case SCHEDULE_TIME_UP:
        has_verdict(port, true, &judgement);
        break;
    }
    return judgement;
}

/* --- whether it may be believed ----------------------------------------------------- */

/* Is there a sign, since the port's first SYN, that this machine loses what it sends? */
static bool has_own_trouble(const struct port *port)
{
    struct engine *engine = port->job->engine;
    const struct attempt *attempt;
    LIST_FOREACH(attempt, &port->attempts, link)
        if (attempt_repeats_read(attempt->fd).is_held_back)
            return true;
    doubt_look(engine, span_ms(DOUBT_VERDICT_MS));
    return instant_before(port->first_syn, engine->trusted_since);
}

/* Where the target is a neighbour that is not there, its SYNs wait for it in this machine,
 * and that is no fault. */
const char *judge_doubt(const struct port *port, struct judgement *verdict)
{
    if (verdict->state == PORT_STATE_CLOSED)
        return NULL;

    switch (host_next_hop(port->job->host, engine_now(port->job->engine))) {
    case ROUTE_HOP_GATEWAY_DEAD:
        return "the gateway of this checker does not answer";
    case ROUTE_HOP_TARGET_DEAD:
        if (verdict->state == PORT_STATE_FILTERED) {
            verdict->state = PORT_STATE_UNREACHABLE;
            verdict->errnum = EHOSTUNREACH;
        }
        return NULL;
    case ROUTE_HOP_UNKNOWN:
        break;
    }
    return has_own_trouble(port) ? SELF_DOUBT : NULL;
}
