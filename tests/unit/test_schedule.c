/* SPDX-License-Identifier: MIT */
#include "probe/schedule.h"

#include <errno.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Milliseconds all through: five seconds for an answer, three refusals, a second apart. */
static const struct schedule_rules rules = {
    .timeout = {5000 * NS_PER_MS},
    .refusals_needed = 3,
    .refusal_delay = {1000 * NS_PER_MS},
};
#define START 100000

struct row {
    const char *what;
    struct evidence evidence; /* attempts, refusals, errors, errno */
    int64_t answered;         /* after the first SYN */
    unsigned live, silent;
    int64_t now;
    enum schedule_step step;
    int64_t until; /* of SCHEDULE_WAIT */
};

static struct instant at(int64_t ms)
{
    return (struct instant){(START + ms) * NS_PER_MS};
}

static void assert_step(const struct row *row, const struct rtt *rtt)
{
    struct instant until = {-1};
    const struct schedule_facts facts = {
        .evidence = row->evidence,
        .first_syn = at(0),
        .last_answer = at(row->answered),
        .live = row->live,
        .silent = row->silent,
    };
    enum schedule_step step = schedule_next(&facts, &rules, rtt, at(row->now), &until);
    if (step != row->step)
        fail_msg("%s: step %d, not %d", row->what, (int)step, (int)row->step);
    if (step == SCHEDULE_WAIT && until.ns != at(row->until).ns)
        fail_msg("%s: until %lld ms", row->what, (long long)(until.ns / NS_PER_MS - START));
}

static void the_next_step_follows_from_what_happened(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct row rows[] = {
        {"nothing yet",                {0, 0, 0, 0}, 0, 0, 0, 0,          SCHEDULE_ATTEMPT, 0},
        {"silence",                    {1, 0, 0, 0}, 0, 1, 1, 10,         SCHEDULE_WAIT, 5000},
        {"silence, nearly over",       {1, 0, 0, 0}, 0, 1, 1, 4999,       SCHEDULE_WAIT, 5000},
        {"time is up",                 {1, 0, 0, 0}, 0, 1, 1, 5000,       SCHEDULE_TIME_UP, 0},
        {"refused",                    {1, 1, 0, 0}, 20, 0, 0, 20,        SCHEDULE_WAIT, 1020},
        {"refused, a second ago",      {1, 1, 0, 0}, 20, 0, 0, 1020,      SCHEDULE_ATTEMPT, 0},
        {"refused, asked again",       {2, 1, 0, 0}, 20, 1, 1, 1021,      SCHEDULE_WAIT, 5000},
        {"refused twice",              {2, 2, 0, 0}, 1040, 0, 0, 1040,    SCHEDULE_WAIT, 2040},
        {"refused late",               {2, 2, 0, 0}, 4500, 0, 0, 4500,    SCHEDULE_WAIT, 5000},
        {"refused, then an error",     {2, 1, 1, EHOSTUNREACH}, 900, 1, 0, 900, SCHEDULE_WAIT, 1900},
        {"an error",                   {1, 0, 1, EHOSTUNREACH}, 50, 1, 0, 50,   SCHEDULE_WAIT, 350},
        {"an error, a while ago",      {1, 0, 1, EHOSTUNREACH}, 50, 1, 0, 350,  SCHEDULE_ATTEMPT, 0},
        {"an error, socket gone",      {1, 0, 1, EHOSTUNREACH}, 50, 0, 0, 51,   SCHEDULE_WAIT, 350},
        {"an error, asked again",      {2, 0, 1, EHOSTUNREACH}, 50, 2, 1, 400,  SCHEDULE_WAIT, 5000},
        {"given up by the kernel",     {1, 0, 0, 0}, 0, 0, 0, 3000,       SCHEDULE_ATTEMPT, 0},
        {"four sockets were enough",   {4, 0, 0, 0}, 0, 0, 0, 3000,       SCHEDULE_WAIT, 5000},
        {"four, two of them refused",  {4, 2, 0, 0}, 100, 0, 0, 4000,     SCHEDULE_WAIT, 5000},
    };
    /* clang-format on */
    const struct rtt unknown = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_step(&rows[i], &unknown);
}

static void an_error_is_asked_about_later_where_answers_take_longer(void **state)
{
    (void)state;
    struct rtt slow = {0};
    rtt_add(&slow, span_ms(200)); /* timeout 600 ms */
    const struct row row = {"slow", {1, 0, 1, EHOSTUNREACH}, 50, 1, 0,
                            400,    SCHEDULE_WAIT,           650};
    assert_step(&row, &slow);
}

static void an_answer_is_waited_for_at_least_300_ms(void **state)
{
    (void)state;
    struct rtt rtt = {0};
    assert_int_equal(schedule_answer_time(&rtt).ns, 300 * NS_PER_MS);
    rtt_add(&rtt, span_ms(1));
    assert_int_equal(schedule_answer_time(&rtt).ns, 300 * NS_PER_MS);
    struct rtt slow = {0};
    rtt_add(&slow, span_ms(200));
    assert_int_equal(schedule_answer_time(&slow).ns, 600 * NS_PER_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_step_follows_from_what_happened),
        cmocka_unit_test(an_error_is_asked_about_later_where_answers_take_longer),
        cmocka_unit_test(an_answer_is_waited_for_at_least_300_ms),
    };
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
