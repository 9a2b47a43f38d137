/* SPDX-License-Identifier: MIT */
#include "probe/evidence.h"

#include <errno.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOTHING PORT_STATE_COUNT

static void what_is_known_suffices_or_does_not(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *what;
        struct evidence evidence; /* attempts, refusals, errors, errno */
        unsigned needed;
        bool is_time_up;
        enum port_state state;
        int errnum;
    } rows[] = {
        {"silence",               {1, 0, 0, 0},            1, false, NOTHING, 0},
        {"silence to the end",    {1, 0, 0, 0},            1, true,  PORT_STATE_FILTERED, ETIMEDOUT},
        {"a refusal",             {1, 1, 0, 0},            1, false, PORT_STATE_CLOSED, ECONNREFUSED},
        {"one of three",          {1, 1, 0, 0},            3, false, NOTHING, 0},
        {"two of three",          {2, 2, 0, 0},            3, false, NOTHING, 0},
        {"three of three",        {3, 3, 0, 0},            3, false, PORT_STATE_CLOSED, ECONNREFUSED},
        {"one at the end",        {2, 1, 0, 0},            3, true,  PORT_STATE_CLOSED, ECONNREFUSED},
        {"an error",              {1, 0, 1, EHOSTUNREACH}, 1, false, NOTHING, 0},
        {"two errors",            {2, 0, 2, ENETUNREACH},  1, false, PORT_STATE_UNREACHABLE, ENETUNREACH},
        {"an error at the end",   {2, 0, 1, EACCES},       1, true,  PORT_STATE_UNREACHABLE, EACCES},
        {"a refusal beats errors",{3, 1, 2, EHOSTUNREACH}, 1, false, PORT_STATE_CLOSED, ECONNREFUSED},
        {"at the end as well",    {2, 1, 1, EHOSTUNREACH}, 3, true,  PORT_STATE_CLOSED, ECONNREFUSED},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum port_state got = NOTHING;
        int errnum = 0;
        bool is_known = evidence_judge(&rows[i].evidence, rows[i].needed,
                                       rows[i].is_time_up, &got, &errnum);
        if (got != rows[i].state || errnum != rows[i].errnum ||
            is_known != (rows[i].state != NOTHING))
            fail_msg("%s: state %d, errno %d", rows[i].what, (int)got, errnum);
    }
}

/* --- the rule of silence -------------------------------------------------------------- */

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
        bool is_answering, is_clean;
        double loss, loss_overall;
        int64_t rtt;
        unsigned syns;
        int64_t age, apart;
    } rows[] = {
        /* clang-format off */
        {"clean, 100 SYNs",       true,  true,  0.009, 0.9,  1,   4,  250,  900},
        {"clean, loss 0.02",      true,  true,  0.02,  0.9,  1,   4,  250,  900},
        {"clean, 20 SYNs",        true,  true,  0.033, 0.01, 1,   4,  250,  900},
        {"clean, four suffice",   true,  true,  0.099, 0.01, 1,   4,  250,  900},
        {"unproved",              true,  false, 0.09,  0.9,  1,   6,  250,  1500},
        {"loss 0.2",              true,  false, 0.2,   0.01, 1,   6,  250,  1500},
        {"loss 0.25",             true,  false, 0.25,  0.01, 1,   7,  250,  1500},
        {"loss 0.36",             true,  false, 0.36,  0.01, 1,   10, 250,  1500},
        {"loss 0.5",              true,  false, 0.5,   0.01, 1,   14, 250,  1500},
        {"loss 0.9",              true,  false, 0.9,   0.01, 1,   14, 250,  1500},
        {"all is lost",           true,  false, 1.0,   0.01, 1,   14, 250,  1500},
        {"200 ms away",           true,  true,  0.02,  0.01, 200, 4,  1000, 900},
        {"130 ms away",           true,  true,  0.02,  0.01, 130, 4,  780,  900},
        {"distance unknown",      true,  false, 0.1,   0.01, 0,   6,  1000, 1500},
        {"silent",                false, false, 0.1,   0.1,  0,   10, 1000, 3000},
        {"silent, was near",      false, true,  0.01,  0.01, 1,   10, 1000, 3000},
        {"silent, others lossy",  false, false, 0.1,   0.45, 0,   12, 1000, 3000},
        {"silent, own loss does not count", false, false, 0.9, 0.1, 0, 10, 1000, 3000},
        /* clang-format on */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct silence_facts facts = {
            .is_answering = rows[i].is_answering,
            .is_clean = rows[i].is_clean,
            .loss = rows[i].loss,
            .loss_overall = rows[i].loss_overall,
            .rtt = rtt_of(rows[i].rtt),
        };
        struct silence_rule rule = silence_rule_make(&facts);
        if (rule.syns != rows[i].syns || rule.age.ns != rows[i].age * NS_PER_MS ||
            rule.apart.ns != rows[i].apart * NS_PER_MS)
            fail_msg("%s: %u SYNs, %lld ms old, %lld ms apart", rows[i].what, rule.syns,
                     (long long)(rule.age.ns / NS_PER_MS),
                     (long long)(rule.apart.ns / NS_PER_MS));
    }
}

/* The promise behind the table: all SYNs lost by accident, at most once in 10,000. */
static void no_accident_is_likelier_than_one_in_ten_thousand(void **state)
{
    (void)state;
    for (int percent = 1; percent <= 51; percent++) {
        const struct silence_facts facts = {.is_answering = true, .loss = percent / 100.0};
        struct silence_rule rule = silence_rule_make(&facts);
        double chance = 1, one_less = 1;
        for (unsigned i = 0; i < rule.syns; i++) {
            one_less = chance;
            chance *= percent < 20 ? 0.2 : percent / 100.0;
        }
        assert_true(chance <= 1e-4);
        assert_true(one_less > 1e-4);
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
