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

#define REPEAT_MIN_NS    (900 * NS_PER_MS) /* the kernel's first repetition: after 1 s */
#define SECOND_LOOK_MS   10 /* beyond it, a connection that we reset is forgotten */
#define SAMPLE           JOB_SECOND_LOOKS /* ports that refused twice, if none opened */
#define OPENED_LATE_MAX  1  /* more ports than this that refuse and then open: a limit */
#define WAVE_MS          20 /* a second look and its controls leave within this time */
#define DOUBT_VERDICT_MS 20 /* how old a look for doubts may be then */

/* --- the facts ---------------------------------------------------------------------- */

static struct silence_facts host_facts(const struct host *host, struct instant now)
{
    struct control_tally tally = controls_tally(&host->controls, host->session_since, now);
    struct silence_facts facts = {
        .is_answering = host_is_answering(host),
        .controls = tally.answered + tally.refused + tally.denied + tally.missed,
        .controls_lost = tally.missed + tally.denied,
        .rtt = host->rtt,
    };
    loss_counts(&host->loss, now, &facts.trials, &facts.losses);
    return facts;
}

static struct silence_rule port_silence_rule(const struct port *port)
{
    const struct engine *engine = port->job->engine;
    struct instant now = engine_now(engine);
    struct silence_facts facts = host_facts(port->job->host, now);
    facts.loss_overall = loss_rate(&engine->loss, now);
    facts.has_error = port->evidence.errors > 0;
    return silence_rule_make(&facts);
}

/* What its ports answered before is of another time, and what is lost now is lost to the
 * limit: only controls count, and some loss is certain. */
unsigned judge_limited_needed(const struct host *host, struct instant now)
{
    struct silence_facts facts = host_facts(host, now);
    facts.is_answering = true;
    facts.trials = 0;
    facts.losses = 1;
    struct silence_rule rule = silence_rule_make(&facts);
    return rule.is_hopeless ? UINT8_MAX : rule.syns;
}

/* May another engine use the same source ports at the same time? Then a refusal may be for
 * a connection of that engine. */
static bool may_share_sources(const struct engine *engine)
{
    return engine->config.parts > 1 && engine->sources.first == 0;
}

/* How many refusals are needed. An address that lets other ports connect may refuse because
 * of a limit: it takes a second one; of many ports that refuse, a sample is looked at. A
 * port that was open a minute ago may refuse because the far end still holds a connection
 * that we have reset: the next attempt may meet another one. */
static struct schedule_rules port_rules(const struct port *port)
{
    const struct job *job = port->job;
    struct schedule_rules rules = job->engine->rules;
    struct instant now = engine_now(job->engine);
    bool has_sample = job->refused_twice >= SAMPLE && job->opened_late == 0;
    unsigned needed = 1;
    if (controls_was_open(&job->host->controls, port->verdict.port, now))
        needed = SCHEDULE_ATTEMPTS_MAX;
    else if (host_has_opened(job->host) ? !has_sample : may_share_sources(job->engine))
        needed = 2;
    if (rules.refusals_needed >= needed)
        return rules;
    rules.refusals_needed = needed;
    rules.refusal_delay = span_ms(SECOND_LOOK_MS);
    return rules;
}

/* Asks the kernel for repetitions only when there can be some. */
static unsigned attempt_repeats(const struct attempt *attempt)
{
    struct engine *engine = attempt->port->job->engine;
    struct span age = instant_since(engine_now(engine), attempt->window.since);
    return attempt->fd < 0 || age.ns < REPEAT_MIN_NS
               ? 0
               : attempt_repeats_read(attempt->fd).sent;
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
            .is_over = attempt->fd < 0,
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
static bool has_verdict(const struct port *port, const struct schedule_rules *rules,
                        bool is_silence_enough, struct judgement *ret)
{
    ret->step = JUDGE_VERDICT;
    return evidence_judge(&port->evidence, rules->refusals_needed, is_silence_enough,
                          &ret->state, &ret->errnum);
}

/* Silence, and the verdicts that need it, count unless the controls were lost as well. */
static struct judgement with_silence(struct judgement verdict,
                                     const struct schedule_facts *facts)
{
    if (facts->silence.is_hopeless)
        verdict.step = JUDGE_LIMITED;
    return verdict;
}

/* A refusal or prohibition counts while ports that were open can still be opened: at least
 * two controls since the first one, and none that failed in the same way. */
static struct judgement with_controls(const struct port *port, struct judgement verdict)
{
    const struct host *host = port->job->host;
    if (!host_has_opened(host) || port->first_negative.ns == 0)
        return verdict;

    /* The wave that this port was asked in may still bring controls. */
    struct instant now = engine_now(port->job->engine);
    struct instant wave_end = instant_add(port->last_refusal, span_ms(WAVE_MS));
    struct control_tally tally = controls_tally(&host->controls, port->first_negative, now);
    bool is_refused = verdict.state == PORT_STATE_CLOSED;
    bool is_contradicted =
        is_refused ? tally.refused > 0 || port->job->opened_late > OPENED_LATE_MAX
                   : tally.denied > 0;
    if (is_contradicted) {
        verdict.step = JUDGE_LIMITED;
        verdict.is_by_refusal = is_refused;
    } else if (tally.handshakes >= CONTROLS_PER_WAVE && tally.pending == 0)
        return verdict;
    else if (tally.pending > 0 && port->phase == PORT_PROBING)
        verdict = (struct judgement){
            .step = JUDGE_WAIT,
            .until = instant_add(now, schedule_answer_time(&host->rtt)),
        };
    else if (instant_before(now, wave_end) && port->phase == PORT_PROBING)
        verdict = (struct judgement){.step = JUDGE_WAIT, .until = wave_end};
    else if (port->phase == PORT_PROBING && port->evidence.attempts < SCHEDULE_ATTEMPTS_MAX)
        verdict.step = JUDGE_ATTEMPT;
    return verdict;
}

/* The kernel reports what came together in any order: a handshake of another port, which
 * makes this refusal doubtful, may be among the events of this turn. */
static bool is_premature(const struct port *port, const struct judgement *verdict)
{
    return verdict->state == PORT_STATE_CLOSED && port->phase == PORT_PROBING &&
           !port->is_looked_at && port->job->unsettled > 1;
}

/* Too many second looks under way already: theirs may tell enough of this port. */
static bool is_sampled(const struct port *port)
{
    return port->evidence.refusals == 1 && port->job->second_looks >= JOB_SECOND_LOOKS;
}

static struct judgement judge_freely(const struct port *port)
{
    struct engine *engine = port->job->engine;
    struct judgement judgement = {0};
    if (port->phase == PORT_LIMITED || port->job->host->is_to_limit)
        return (struct judgement){.step = JUDGE_NOTHING};

    const struct schedule_rules rules = port_rules(port);
    if (has_verdict(port, &rules, false, &judgement)) {
        if (is_premature(port, &judgement))
            return (struct judgement){.step = JUDGE_WAIT, .until = engine_now(engine)};
        return with_controls(port, judgement);
    }
    if (port->phase != PORT_PROBING)
        return (struct judgement){.step = JUDGE_NOTHING};

    const struct schedule_facts facts = port_facts(port);
    switch (schedule_next(&facts, &rules, engine_now(engine), &judgement.until)) {
    case SCHEDULE_ATTEMPT:
        judgement.step = JUDGE_ATTEMPT;
        break;
    case SCHEDULE_WAIT:
        judgement.step = JUDGE_WAIT;
        break;
    case SCHEDULE_SILENCE:
    case SCHEDULE_TIME_UP:
        has_verdict(port, &rules, true, &judgement);
        judgement = with_silence(judgement, &facts);
        break;
    }
    return judgement;
}

struct judgement judge_port(const struct port *port)
{
    struct judgement judgement = judge_freely(port);
    if (judgement.step == JUDGE_ATTEMPT && is_sampled(port))
        return (struct judgement){
            .step = JUDGE_WAIT,
            .until = instant_add(engine_now(port->job->engine), span_ms(WAVE_MS)),
        };
    return judgement;
}

/* --- whether it may be believed ----------------------------------------------------- */

/* Is there a sign, since the port's first SYN, that this machine loses what it sends? */
static bool has_own_trouble(const struct port *port)
{
    struct engine *engine = port->job->engine;
    const struct attempt *attempt;
    LIST_FOREACH(attempt, &port->attempts, link)
        if (attempt->fd >= 0 && attempt_repeats_read(attempt->fd).is_held_back)
            return true;
    doubt_look(engine, span_ms(DOUBT_VERDICT_MS));
    return instant_before(port->first_syn, engine->trusted_since);
}

/* Where the target is a neighbour that is not there, its SYNs wait for it in this machine,
 * which is not a fault. */
const char *judge_doubt(const struct port *port, struct judgement *verdict)
{
    if (verdict->state == PORT_STATE_CLOSED && verdict->step != JUDGE_LIMITED)
        return NULL;

    switch (host_next_hop(port->job->host, engine_now(port->job->engine))) {
    case ROUTE_HOP_GATEWAY_DEAD:
        return "the gateway of this checker does not answer";
    case ROUTE_HOP_TARGET_DEAD:
        if (verdict->state == PORT_STATE_FILTERED) {
            verdict->step = JUDGE_VERDICT;
            verdict->state = PORT_STATE_UNREACHABLE;
            verdict->errnum = EHOSTUNREACH;
        }
        return NULL;
    case ROUTE_HOP_UNKNOWN:
        break;
    }
    return has_own_trouble(port) ? SELF_DOUBT : NULL;
}
