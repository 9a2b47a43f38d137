/* SPDX-License-Identifier: MIT */
#include "probe/evidence.h"

#include <errno.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOTHING PORT_STATE_COUNT

/* What the attempts at a port told: how many, refusals, prohibitions, errors, errno. */
#define TOLD(of_attempts, of_refusals, of_prohibitions, of_errors, errnum)                 \
    {.attempts = (of_attempts),                                                            \
     .refusals = (of_refusals),                                                            \
     .prohibitions = (of_prohibitions),                                                    \
     .errors = (of_errors),                                                                \
     .error_errnum = (errnum)}

static void what_is_known_suffices_or_does_not(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *what;
        struct evidence evidence;
        unsigned needed;
        bool is_enough; /* silence suffices, or the time is up */
        enum port_state state;
        int errnum;
    } rows[] = {
        {"silence",                 TOLD(1, 0, 0, 0, 0),            1, false, NOTHING, 0},
        {"silence to the end",      TOLD(1, 0, 0, 0, 0),            1, true,  PORT_STATE_FILTERED, ETIMEDOUT},
        {"a refusal",               TOLD(1, 1, 0, 0, 0),            1, false, PORT_STATE_CLOSED, ECONNREFUSED},
        {"one of three",            TOLD(1, 1, 0, 0, 0),            3, false, NOTHING, 0},
        {"two of three",            TOLD(2, 2, 0, 0, 0),            3, false, NOTHING, 0},
        {"three of three",          TOLD(3, 3, 0, 0, 0),            3, false, PORT_STATE_CLOSED, ECONNREFUSED},
        {"one at the end",          TOLD(2, 1, 0, 0, 0),            3, true,  PORT_STATE_CLOSED, ECONNREFUSED},
        {"a prohibition",           TOLD(1, 0, 1, 0, EHOSTUNREACH), 1, false, NOTHING, 0},
        {"two prohibitions",        TOLD(2, 0, 2, 0, EACCES),       1, false, PORT_STATE_UNREACHABLE, EACCES},
        {"a prohibition at the end",TOLD(2, 0, 1, 0, EACCES),       1, true,  PORT_STATE_UNREACHABLE, EACCES},
        {"an error",                TOLD(1, 0, 0, 1, EHOSTUNREACH), 1, false, NOTHING, 0},
        {"errors are no prohibitions", TOLD(4, 0, 0, 4, EHOSTUNREACH), 1, false, NOTHING, 0},
        {"one of each",             TOLD(2, 0, 1, 1, ENETUNREACH),  1, false, NOTHING, 0},
        {"an error at the end",     TOLD(4, 0, 0, 1, ENETUNREACH),  1, true,  PORT_STATE_UNREACHABLE, ENETUNREACH},
        {"a refusal beats errors",  TOLD(3, 1, 0, 2, EHOSTUNREACH), 1, false, PORT_STATE_CLOSED, ECONNREFUSED},
        {"and prohibitions",        TOLD(3, 1, 2, 0, EHOSTUNREACH), 1, false, PORT_STATE_CLOSED, ECONNREFUSED},
        {"at the end as well",      TOLD(2, 1, 1, 1, EHOSTUNREACH), 3, true,  PORT_STATE_CLOSED, ECONNREFUSED},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum port_state got = NOTHING;
        int errnum = 0;
        bool is_known = evidence_judge(&rows[i].evidence, rows[i].needed, rows[i].is_enough,
                                       &got, &errnum);
        if (got != rows[i].state || errnum != rows[i].errnum ||
            is_known != (rows[i].state != NOTHING))
            fail_msg("%s: state %d, errno %d", rows[i].what, (int)got, errnum);
    }
}

/* --- the rule of silence -------------------------------------------------------------- */

#define ANSWERS(of_trials, lost_trials, of_controls, lost_controls)                        \
    {.is_answering = true,                                                                 \
     .trials = (of_trials),                                                                \
     .losses = (lost_trials),                                                              \
     .controls = (of_controls),                                                            \
     .controls_lost = (lost_controls),                                                     \
     .loss_overall = 0.9}
#define SILENT(overall) {.loss_overall = (overall)}
#define WITH_ERROR(answering, of_trials, of_controls, lost_controls)                       \
    {.is_answering = (answering),                                                          \
     .trials = (of_trials),                                                                \
     .controls = (of_controls),                                                            \
     .controls_lost = (lost_controls),                                                     \
     .loss_overall = 0.1,                                                                  \
     .has_error = true}

static struct rtt rtt_of(int64_t ms)
{
    struct rtt rtt = {0};
    if (ms > 0)
        rtt_add(&rtt, span_ms(ms));
    return rtt;
}

static void what_is_asked_of_silence_follows_from_the_address(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct silence_facts facts;
        int64_t rtt;
        unsigned attempts, syns;
        bool is_fresh, is_hopeless;
        int64_t age, apart;
    } rows[] = {
        /* clang-format off */
        /* No loss: q = 1/(2 + controls + at most 20 trials), 4 SYNs where q < 0.1. */
        {"clean, 100 trials",     ANSWERS(100, 0, 0, 0), 1,   4, 4,  false, false, 250,  900},
        {"clean, 9 trials",       ANSWERS(9, 0, 0, 0),   1,   4, 4,  false, false, 250,  900},
        {"clean, 7 trials",       ANSWERS(7, 0, 0, 0),   1,   4, 5,  false, false, 250,  900},
        {"clean, one trial",      ANSWERS(1, 0, 0, 0),   1,   4, 9,  false, false, 250,  900},
        {"one trial, 8 controls", ANSWERS(1, 0, 8, 0),   1,   4, 4,  false, false, 250,  900},
        {"clean, nothing known",  ANSWERS(0, 0, 0, 0),   1,   4, 14, false, false, 250,  900},

        /* Loss: at least 0.36 is assumed, 0.20 where much was tried, and fresh sockets. */
        {"a trial lost",          ANSWERS(30, 1, 0, 0),  1,  10, 10, true,  false, 250,  1500},
        {"a control lost",        ANSWERS(30, 0, 8, 1),  1,  10, 10, true,  false, 250,  1500},
        {"59 of all",             ANSWERS(50, 1, 9, 0),  1,  10, 10, true,  false, 250,  1500},
        {"60 of all",             ANSWERS(50, 1, 10, 0), 1,   6, 6,  true,  false, 250,  1500},
        {"60, more lost",         ANSWERS(80, 35, 0, 0), 1,  11, 11, true,  false, 250,  1500},
        {"trials never make it hopeless",
                                  ANSWERS(80, 80, 0, 0), 1,  14, 14, true,  false, 250,  1500},
        {"controls, half lost",   ANSWERS(30, 0, 8, 4),  1,  14, 14, true,  false, 250,  1500},
        {"worse than half",       ANSWERS(30, 0, 8, 5),  1,  14, 14, true,  true,  250,  1500},
        {"one, lost",             ANSWERS(30, 0, 1, 1),  1,  14, 14, true,  true,  250,  1500},
        {"5 of 5 lost",           ANSWERS(30, 0, 5, 5),  1,  14, 14, true,  true,  250,  1500},

        /* Blocked: three of four controls lost, of at least six. */
        {"6 of 6 lost",           ANSWERS(30, 0, 6, 6),  1,   4, 4,  false, true,  250,  900},
        {"6 of 8 lost",           ANSWERS(30, 0, 8, 6),  1,   4, 4,  false, true,  250,  900},
        {"8 of 11 lost",          ANSWERS(30, 0, 11, 8), 1,  14, 14, true,  true,  250,  1500},

        {"200 ms away",           ANSWERS(50, 0, 0, 0),  200, 4, 4,  false, false, 1000, 900},
        {"130 ms away",           ANSWERS(50, 0, 0, 0),  130, 4, 4,  false, false, 780,  900},
        {"distance unknown",      ANSWERS(50, 0, 0, 0),  0,   4, 4,  false, false, 1000, 900},

        {"silent",                SILENT(0.1),           0,   4, 10, false, false, 1000, 3000},
        {"silent, was near",      SILENT(0.01),          1,   4, 10, false, false, 1000, 3000},
        {"silent, others lossy",  SILENT(0.45),          0,   4, 12, false, false, 1000, 3000},
        {"silent, all are lossy", SILENT(1.0),           0,   4, 14, false, false, 1000, 3000},
        {"silent, its own past does not count",
         {.trials = 9, .losses = 8, .controls = 9, .controls_lost = 9, .loss_overall = 0.1},
                                                         0,   4, 10, false, false, 1000, 3000},

        /* The kernel repeats nothing after an ICMP error: one SYN each socket. */
        {"error, answers",        WITH_ERROR(true, 50, 0, 0),  1, 4, 4, false, false, 250, 900},
        {"error, loses",          WITH_ERROR(true, 50, 8, 1),  1, 4, 4, false, false, 250, 1500},
        {"error, hopeless",       WITH_ERROR(true, 50, 8, 5),  1, 4, 4, false, true,  250, 1500},
        {"error, silent",         WITH_ERROR(false, 0, 0, 0),  0, 4, 4, false, false, 500, 4000},
        /* clang-format on */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct silence_facts facts = rows[i].facts;
        facts.rtt = rtt_of(rows[i].rtt);
        struct silence_rule rule = silence_rule_make(&facts);
        if (rule.attempts != rows[i].attempts || rule.syns != rows[i].syns ||
            rule.is_fresh != rows[i].is_fresh || rule.is_hopeless != rows[i].is_hopeless ||
            rule.age.ns != rows[i].age * NS_PER_MS ||
            rule.apart.ns != rows[i].apart * NS_PER_MS)
            fail_msg("%s: %u sockets, %u SYNs, fresh %d, hopeless %d, %lld ms old, %lld ms "
                     "apart",
                     rows[i].what, rule.attempts, rule.syns, rule.is_fresh,
                     rule.is_hopeless, (long long)(rule.age.ns / NS_PER_MS),
                     (long long)(rule.apart.ns / NS_PER_MS));
    }
}

static bool is_power_small(double loss, unsigned count)
{
    double chance = 1;
    for (unsigned i = 0; i < count; i++)
        chance *= loss;
    return chance <= 1e-4;
}

/* The promise behind the table, for each number of controls and of those that were lost:
 * all SYNs lost by accident, at most once in 10,000, or hopeless; and no SYN in vain. */
static void no_accident_is_likelier_than_one_in_ten_thousand(void **state)
{
    (void)state;
    for (unsigned controls = 1; controls <= 60; controls++)
        for (unsigned lost = 1; lost <= controls; lost++) {
            const struct silence_facts facts = ANSWERS(0, 0, controls, lost);
            struct silence_rule rule = silence_rule_make(&facts);
            double loss = (1.0 + lost) / (2 + controls);
            double least = controls < 60 ? 0.36 : 0.20;
            loss = loss > least ? loss : least;
            assert_int_equal(rule.is_hopeless, !is_power_small(loss, 14));
            if (rule.is_hopeless)
                continue;
            assert_true(is_power_small(loss, rule.syns));
            assert_false(is_power_small(loss, rule.syns - 1));
        }
}

static void enough_syns_far_enough_apart_and_old_enough(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        int64_t sent[8]; /* ms; the first begins at 0 */
        size_t count;
        int64_t enough_at; /* -1 = never */
    } rows[] = {
        {"none", {0}, 0, -1},
        {"one", {0}, 1, -1},
        {"three, far apart", {0, 1000, 2000}, 3, -1},
        {"four, exactly apart", {0, 100, 500, 900}, 4, 1150},
        {"four, a little short", {0, 100, 500, 899}, 4, -1},
        {"the fifth brings it apart", {0, 100, 200, 300, 1000}, 5, 1250},
        {"more do not delay", {0, 100, 500, 900, 1000, 1100}, 6, 1150},
        {"all at once, and late", {0, 0, 0, 0, 0, 0, 0, 2000}, 8, 2250},
    };
    const struct silence_rule rule = {
        .syns = 4, .age = span_ms(250), .apart = span_ms(900)};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct instant syns[8], at = {-1};
        for (size_t n = 0; n < rows[i].count; n++)
            syns[n] = (struct instant){(7000 + rows[i].sent[n]) * NS_PER_MS};
        bool is_enough = silence_suffices_at(&rule, syns, rows[i].count, &at);
        int64_t got = is_enough ? at.ns / NS_PER_MS - 7000 : -1;
        if (got != rows[i].enough_at || (!is_enough && at.ns != -1))
            fail_msg("%s: %lld", rows[i].what, (long long)got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_known_suffices_or_does_not),
        cmocka_unit_test(what_is_asked_of_silence_follows_from_the_address),
        cmocka_unit_test(no_accident_is_likelier_than_one_in_ten_thousand),
        cmocka_unit_test(enough_syns_far_enough_apart_and_old_enough),
    };
    return cmocka_run_group_tests_name("evidence", tests, NULL, NULL);
}
