/* SPDX-License-Identifier: MIT */
#include "probe/schedule.h"

#define SECOND_MIN_MS 100
#define SECOND_MAX_MS 500
#define SOURCES_MIN   2   /* source ports, hence paths where they are chosen by hash */
#define REPEATS_SEEN  8   /* further ones lie beyond any PORT_CHECK_TIMEOUT */
#define MORE_MS       150 /* between the attempts after the fourth */
#define LATE_MS       20  /* the kernel's timers are late by some milliseconds */
#define SYNS_MAX      (SCHEDULE_OPEN_MAX * (1 + REPEATS_SEEN))

struct span schedule_answer_time(const struct rtt *rtt)
{
    struct span floor = span_ms(SCHEDULE_ANSWER_MS);
    if (!rtt->is_known)
        return floor;

    struct span timeout = rtt_timeout(rtt);
    return timeout.ns > floor.ns ? timeout : floor;
}

struct span schedule_repeat_after(unsigned n, unsigned linear_timeouts)
{
    if (n <= linear_timeouts)
        return span_seconds(n);
    return span_seconds(linear_timeouts + (INT64_C(1) << (n - linear_timeouts)) - 1);
}

static struct instant latest(struct instant a, struct instant b)
{
    return instant_before(a, b) ? b : a;
}

/* --- the next attempt ----------------------------------------------------------------- */

static struct span second_after(const struct rtt *rtt)
{
    if (!rtt->is_known)
        return span_ms(SCHEDULE_ANSWER_MS);

    struct span timeout = rtt_timeout(rtt);
    if (timeout.ns < SECOND_MIN_MS * NS_PER_MS)
        return span_ms(SECOND_MIN_MS);
    return timeout.ns > SECOND_MAX_MS * NS_PER_MS ? span_ms(SECOND_MAX_MS) : timeout;
}

/* From the first SYN to attempt number `count` + 1 at a port that stays silent. */
static struct span spread(const struct schedule_facts *facts, unsigned count)
{
    struct span second = second_after(&facts->rtt);
    struct span last = facts->silence.apart;
    switch (count) {
    case 1:
        return second;
    case 2:
        return (struct span){second.ns + (last.ns - second.ns) / 2};
    }
    return (struct span){last.ns + (count - 3) * MORE_MS * NS_PER_MS};
}

static unsigned undecided(const struct schedule_facts *facts)
{
    unsigned count = 0;
    for (unsigned i = 0; i < facts->open_count; i++)
        if (!facts->open[i].has_error)
            count++;
    return count;
}

/* When the next attempt is due; false if there is none. */
static bool attempt_due(const struct schedule_facts *facts,
                        const struct schedule_rules *rules, struct instant *ret_due)
{
    unsigned count = facts->evidence.attempts;
    unsigned count_max =
        facts->evidence.refusals > 0 ? SCHEDULE_ATTEMPTS_MAX : facts->silence.attempts;
    if (count >= count_max || (facts->is_lean && facts->open_count > 0))
        return false;

    if (facts->evidence.refusals == 0) {
        *ret_due = instant_add(facts->first_syn, spread(facts, count));
        return true;
    }
    if (undecided(facts) > 0)
        return false;
    *ret_due = instant_add(facts->last_refusal, rules->refusal_delay);
    return true;
}

/* --- silence -------------------------------------------------------------------------- */

struct syns {
    size_t count;
    struct instant at[SYNS_MAX]; /* ascending */
    bool has_repeat;
};

static void syns_insert(struct syns *syns, struct instant at)
{
    size_t i = syns->count++;
    for (; i > 0 && instant_before(at, syns->at[i - 1]); i--)
        syns->at[i] = syns->at[i - 1];
    syns->at[i] = at;
}

/* The SYNs that count: what has been sent, or, with `ahead`, also what the kernel will
 * still send if nothing is answered. */
static struct syns syns_collect(const struct schedule_facts *facts,
                                const struct schedule_rules *rules, bool is_ahead)
{
    struct syns syns = {0};
    for (unsigned i = 0; i < facts->open_count; i++) {
        const struct schedule_attempt *attempt = &facts->open[i];
        unsigned repeats =
            is_ahead || attempt->repeats > REPEATS_SEEN ? REPEATS_SEEN : attempt->repeats;
        syns.has_repeat = syns.has_repeat || repeats > 0 || attempt->has_error;
        if (attempt->is_over || facts->silence.is_fresh)
            repeats = 0;
        for (unsigned n = 0; n <= repeats; n++) {
            struct span after = schedule_repeat_after(n, rules->linear_timeouts);
            struct instant at = instant_add(attempt->sent_at, after);
            syns_insert(&syns, at);
        }
    }
    return syns;
}

/* If attempts made before `fresh_since` prove nothing: when one made after it is old
 * enough. False if there is no such attempt yet. */
static bool fresh_suffices_at(const struct schedule_facts *facts, struct instant *ret_at)
{
    for (unsigned i = 0; i < facts->open_count; i++) {
        if (instant_before(facts->open[i].sent_at, facts->fresh_since))
            continue;
        *ret_at = instant_add(facts->open[i].sent_at, facts->silence.age);
        return true;
    }
    return false;
}

/* When the open attempts suffice: by what the kernel has sent so far, or, with `is_ahead`,
 * by what it will send if nothing arrives. False if they never do. */
static bool attempts_suffice_at(const struct schedule_facts *facts,
                                const struct schedule_rules *rules, bool is_ahead,
                                struct instant *ret_at)
{
    struct instant enough, fresh;
    struct syns syns = syns_collect(facts, rules, is_ahead);

    /* Silence needs one repetition by the kernel: only a repetition shows whether our own
     * machine drops what we send. */
    if (facts->open_count < SOURCES_MIN || !syns.has_repeat ||
        !fresh_suffices_at(facts, &fresh) ||
        !silence_suffices_at(&facts->silence, syns.at, syns.count, &enough))
        return false;
    *ret_at = latest(enough, fresh);
    return true;
}

/* When to check whether silence suffices, if nothing arrives: when it should, or, if the
 * kernel is late, again soon. */
static bool silence_look_at(const struct schedule_facts *facts,
                            const struct schedule_rules *rules, struct instant now,
                            struct instant *ret_at)
{
    struct instant at;
    if (!attempts_suffice_at(facts, rules, true, &at))
        return false;

    struct span first_repeat = schedule_repeat_after(1, rules->linear_timeouts);
    at = latest(at, instant_add(facts->open[0].sent_at, first_repeat));
    *ret_at = instant_before(now, at) ? at : instant_add(now, span_ms(LATE_MS));
    return true;
}

/* --- the step ---------------------------------------------------------------------------
 */

enum schedule_step schedule_next(const struct schedule_facts *facts,
                                 const struct schedule_rules *rules, struct instant now,
                                 struct instant *ret_until)
{
    if (facts->evidence.attempts == 0)
        return SCHEDULE_ATTEMPT;

    struct instant time_up = instant_add(facts->first_syn, rules->timeout);
    if (!instant_before(now, time_up))
        return SCHEDULE_TIME_UP;

    struct instant until = time_up, at;
    if (attempt_due(facts, rules, &at)) {
        if (!instant_before(now, at))
            return SCHEDULE_ATTEMPT;
        until = instant_min(until, at);
    }
    if (attempts_suffice_at(facts, rules, false, &at) && !instant_before(now, at))
        return SCHEDULE_SILENCE;
    if (silence_look_at(facts, rules, now, &at))
        until = instant_min(until, at);

    *ret_until = until;
    return SCHEDULE_WAIT;
}
