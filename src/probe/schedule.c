/* SPDX-License-Identifier: MIT */
#include "probe/schedule.h"

struct span schedule_answer_time(const struct rtt *rtt)
{
    struct span floor = span_ms(SCHEDULE_ANSWER_MS);
    if (!rtt->is_known)
        return floor;

    struct span timeout = rtt_timeout(rtt);
    return timeout.ns > floor.ns ? timeout : floor;
}

/* When the next attempt is due; false when none is. */
static bool attempt_due(const struct schedule_facts *facts,
                        const struct schedule_rules *rules, const struct rtt *rtt,
                        struct instant now, struct instant *ret_due)
{
    const struct evidence *evidence = &facts->evidence;
    if (evidence->attempts >= SCHEDULE_ATTEMPTS_MAX)
        return false;

    if (evidence->refusals > 0 && evidence->refusals < rules->refusals_needed &&
        facts->silent == 0) {
        *ret_due = instant_add(facts->last_answer, rules->refusal_delay);
        return true;
    }
    if (evidence->errors > 0 && evidence->errors < EVIDENCE_ERRORS_NEEDED &&
        evidence->attempts < EVIDENCE_ERRORS_NEEDED) {
        *ret_due = instant_add(facts->last_answer, schedule_answer_time(rtt));
        return true;
    }
    if (facts->live == 0) {
        *ret_due = now;
        return true;
    }
    return false;
}

enum schedule_step schedule_next(const struct schedule_facts *facts,
                                 const struct schedule_rules *rules, const struct rtt *rtt,
                                 struct instant now, struct instant *ret_until)
{
    if (facts->evidence.attempts == 0)
        return SCHEDULE_ATTEMPT;

    struct instant time_up = instant_add(facts->first_syn, rules->timeout);
    if (!instant_before(now, time_up))
        return SCHEDULE_TIME_UP;

    struct instant due;
    *ret_until = time_up;
    if (!attempt_due(facts, rules, rtt, now, &due))
        return SCHEDULE_WAIT;
    if (!instant_before(now, due))
        return SCHEDULE_ATTEMPT;

    *ret_until = instant_min(due, time_up);
    return SCHEDULE_WAIT;
}
