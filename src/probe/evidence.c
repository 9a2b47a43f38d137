/* SPDX-License-Identifier: MIT */
#include "probe/evidence.h"

#include <errno.h>

#define CHANCE           1.0000001e-4 /* that all SYNs were lost by accident; 0.1^4 is it */
#define ATTEMPTS         4            /* sockets */
#define SYNS_MIN         4
#define SYNS_MAX         14
#define LOSS_SILENT      0.36 /* assumed of a silent address: 20% each way */
#define LOSS_FEW         0.36 /* assumed of one that loses, until there are MANY_SYNS */
#define LOSS_MANY        0.20
#define MANY_SYNS        60
#define BLOCKED_CONTROLS 6
#define BLOCKED_SHARE    0.75
#define TRIALS_MAX       20 /* trials are of the past; controls leave with the SYNs */
#define APART_CLEAN_MS   900
#define APART_LOSSY_MS   1500
#define APART_SILENT_S   3
#define APART_NO_PATH_S  4 /* a route that flaps or a host that wakes takes some seconds */
#define SYNS_NO_PATH     4 /* one an attempt: the kernel repeats none after an ICMP error */
#define AGE_NO_PATH_MS   500
#define AGE_MIN_MS       250
#define AGE_MAX_MS       1000

bool evidence_judge(const struct evidence *evidence, unsigned refusals_needed,
                    bool is_silence_enough, enum port_state *ret_state, int *ret_errnum)
{
    unsigned refusals_enough = is_silence_enough ? 1 : refusals_needed;
    if (evidence->refusals >= refusals_enough) {
        *ret_state = PORT_STATE_CLOSED;
        *ret_errnum = ECONNREFUSED;
        return true;
    }

    unsigned prohibitions_enough = is_silence_enough ? 1 : EVIDENCE_PROHIBITIONS_NEEDED;
    if (evidence->prohibitions >= prohibitions_enough ||
        (is_silence_enough && evidence->errors > 0)) {
        *ret_state = PORT_STATE_UNREACHABLE;
        *ret_errnum = evidence->error_errnum;
        return true;
    }

    if (!is_silence_enough)
        return false;
    *ret_state = PORT_STATE_FILTERED;
    *ret_errnum = ETIMEDOUT;
    return true;
}

static double max(double a, double b)
{
    return a > b ? a : b;
}

/* The smallest count with loss^count <= CHANCE, within its bounds. */
static unsigned syns_needed(double loss)
{
    unsigned count = 0;
    for (double chance = 1; chance > CHANCE && count < SYNS_MAX; count++)
        chance *= loss;
    return count < SYNS_MIN ? SYNS_MIN : count;
}

static struct span answer_age(const struct rtt *rtt)
{
    struct span age = span_ms(AGE_MAX_MS);
    if (rtt->is_known)
        age.ns = 2 * rtt_timeout(rtt).ns;
    if (age.ns < AGE_MIN_MS * NS_PER_MS)
        return span_ms(AGE_MIN_MS);
    return age.ns > AGE_MAX_MS * NS_PER_MS ? span_ms(AGE_MAX_MS) : age;
}

/* The loss to assume of an address that answers. Controls tell it best; trials alone never
 * make it hopeless, since they are of ports that have answered. */
static double loss_assumed(const struct silence_facts *facts)
{
    unsigned trials = facts->trials < TRIALS_MAX ? facts->trials : TRIALS_MAX;
    if (facts->losses + facts->controls_lost == 0)
        return 1.0 / (2 + facts->controls + trials);

    double least = facts->trials + facts->controls < MANY_SYNS ? LOSS_FEW : LOSS_MANY;
    double of_controls = (1.0 + facts->controls_lost) / (2 + facts->controls);
    double of_trials = (1.0 + facts->losses) / (10 + facts->trials);
    return max(max(least, of_trials < 0.5 ? of_trials : 0.5),
               facts->controls > 0 ? of_controls : 0);
}

static bool is_hopeless(double loss)
{
    double chance = 1;
    for (unsigned i = 0; i < SYNS_MAX; i++)
        chance *= loss;
    return chance > CHANCE;
}

static struct silence_rule rule_of_silent(const struct silence_facts *facts)
{
    return (struct silence_rule){
        .attempts = ATTEMPTS,
        .syns = syns_needed(max(LOSS_SILENT, facts->loss_overall)),
        .age = span_ms(AGE_MAX_MS),
        .apart = span_seconds(APART_SILENT_S),
    };
}

/* Nearly all controls are lost: more of the same would only be lost as well. */
static bool is_blocked(const struct silence_facts *facts)
{
    return facts->controls >= BLOCKED_CONTROLS &&
           facts->controls_lost >= facts->controls * BLOCKED_SHARE;
}

static struct silence_rule rule_of_answering(const struct silence_facts *facts)
{
    double loss = loss_assumed(facts);
    bool is_clean = facts->losses + facts->controls_lost == 0;
    struct silence_rule rule = {
        .is_hopeless = is_hopeless(loss),
        .attempts = ATTEMPTS,
        .syns = syns_needed(loss),
        .age = answer_age(&facts->rtt),
        .apart = span_ms(APART_CLEAN_MS),
    };
    if (rule.is_hopeless && is_blocked(facts)) {
        rule.syns = SYNS_MIN;
    } else if (!is_clean) {
        rule.is_fresh = true;
        rule.attempts = rule.syns;
        rule.apart = span_ms(APART_LOSSY_MS);
    }
    return rule;
}

struct silence_rule silence_rule_make(const struct silence_facts *facts)
{
    struct silence_rule rule =
        facts->is_answering ? rule_of_answering(facts) : rule_of_silent(facts);
    if (!facts->has_error)
        return rule;
    rule.attempts = ATTEMPTS;
    rule.syns = SYNS_NO_PATH;
    rule.is_fresh = false;
    if (!facts->is_answering) {
        rule.apart = span_seconds(APART_NO_PATH_S);
        rule.age = span_ms(AGE_NO_PATH_MS);
    }
    return rule;
}

bool silence_suffices_at(const struct silence_rule *rule, const struct instant syns[],
                         size_t count, struct instant *ret_at)
{
    for (size_t i = rule->syns - 1; i < count; i++) {
        if (instant_since(syns[i], syns[0]).ns < rule->apart.ns)
            continue;
        *ret_at = instant_add(syns[i], rule->age);
        return true;
    }
    return false;
}
