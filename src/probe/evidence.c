/* SPDX-License-Identifier: MIT */
#include "probe/evidence.h"

#include <errno.h>

#define CHANCE   1e-4 /* that all SYNs were lost by accident */
#define SYNS_MIN 4
#define SYNS_MAX 14
#define LOSS_UNPROVED                                                                      \
    0.20                    /* assumed of an address that answers, until it proves better  \
                             */
#define LOSS_SILENT    0.36 /* assumed of one that is silent: 20% each way */
#define APART_CLEAN_MS 900
#define APART_LOSSY_MS 1500
#define APART_SILENT_S 3
#define AGE_MIN_MS     250
#define AGE_MAX_MS     1000

bool evidence_judge(const struct evidence *evidence, unsigned refusals_needed,
                    bool is_silence_enough, enum port_state *ret_state, int *ret_errnum)
{
    unsigned refusals_enough = is_silence_enough ? 1 : refusals_needed;
    if (evidence->refusals >= refusals_enough) {
        *ret_state = PORT_STATE_CLOSED;
        *ret_errnum = ECONNREFUSED;
        return true;
    }

    unsigned errors_enough = is_silence_enough ? 1 : EVIDENCE_ERRORS_NEEDED;
    if (evidence->errors >= errors_enough) {
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

struct silence_rule silence_rule_make(const struct silence_facts *facts)
{
    if (!facts->is_answering)
        return (struct silence_rule){
            .syns = syns_needed(max(LOSS_SILENT, facts->loss_overall)),
            .age = span_ms(AGE_MAX_MS),
            .apart = span_seconds(APART_SILENT_S),
        };

    double loss = facts->is_clean ? facts->loss : max(LOSS_UNPROVED, facts->loss);
    return (struct silence_rule){
        .syns = syns_needed(loss),
        .age = answer_age(&facts->rtt),
        .apart = span_ms(facts->is_clean ? APART_CLEAN_MS : APART_LOSSY_MS),
    };
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
