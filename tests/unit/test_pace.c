/* SPDX-License-Identifier: MIT */
#include "probe/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static bool is_near(double a, double b)
{
    return a > b - 1e-9 && a < b + 1e-9;
}

static struct pace pace_of(double rate, double known)
{
    return (struct pace){.rate = rate, .known = known};
}

static void it_begins_at_ten_a_second(void **state)
{
    (void)state;
    struct pace pace = pace_begin();
    assert_int_equal(pace_gap(&pace).ns, 100 * NS_PER_MS);
    assert_false(pace_is_waiting(&pace));
    assert_false(pace_is_free(&pace));
}

static void an_answer_raises_it_as_the_past_allows(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        double rate, known;
        bool is_raise;
        double after;
    } rows[] = {
        {"no limit known: by half", 10, 0, true, 15},
        {"far below it: by half", 1, 10, true, 1.5},
        {"up to half of it", 4.8, 10, true, 7.2},
        {"from there on slowly", 5, 10, true, 5.3},
        {"after a miss", 7, 10, true, 7.3},
        {"up to four fifths of it", 7.9, 10, true, 8.2},
        {"near it hardly", 8.1, 10, true, 8.12},
        {"beyond it as well", 30, 10, true, 30.02},
        {"an answer of a port does not", 10, 0, false, 10},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pace pace = pace_of(rows[i].rate, rows[i].known);
        pace_answered(&pace, rows[i].is_raise);
        if (!is_near(pace.rate, rows[i].after) || !is_near(pace.known, rows[i].known))
            fail_msg("%s: %f, known %f", rows[i].what, pace.rate, pace.known);
    }
}

static void a_miss_lowers_it_and_remembers_where(void **state)
{
    (void)state;
    static const struct {
        double rate, after;
    } rows[] = {{100, 70}, {10, 7}, {3, 2.1}, {2.5, 2}, {2, 2}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pace pace = pace_of(rows[i].rate, 0);
        pace_missed(&pace, span_ms(0));
        assert_true(is_near(pace.rate, rows[i].after));
        assert_true(is_near(pace.known, rows[i].rate));
        assert_false(pace_is_waiting(&pace));
    }
}

/* Misses in a row, and for how long nothing has answered then. */
static void when_nothing_answers_it_waits_longer_and_longer(void **state)
{
    (void)state;
    static const struct {
        int64_t silence;
        unsigned seconds;
    } rows[] = {
        {100, 0},  {9000, 0}, {2499, 0},  {2500, 1}, {2600, 2},
        {5000, 4}, {9000, 8}, {17000, 8}, {2499, 8},
    };
    struct pace pace = pace_begin();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pace_missed(&pace, span_ms(rows[i].silence));
        assert_int_equal(pace_is_waiting(&pace), rows[i].seconds > 0);
        if (rows[i].seconds > 0)
            assert_int_equal(pace_gap(&pace).ns, rows[i].seconds * NS_PER_SECOND);
    }

    pace_answered(&pace, false); /* any answer ends that */
    assert_false(pace_is_waiting(&pace));
    assert_int_equal(pace_gap(&pace).ns, 500 * NS_PER_MS); /* PACE_MIN */
    pace_missed(&pace, span_seconds(60));
    pace_missed(&pace, span_seconds(60));
    assert_false(pace_is_waiting(&pace));
    pace_missed(&pace, span_seconds(60));
    assert_int_equal(pace_gap(&pace).ns, NS_PER_SECOND);
}

static void the_gap_is_one_by_the_rate(void **state)
{
    (void)state;
    static const struct {
        double rate;
        int64_t ms;
    } rows[] = {{1, 1000}, {2, 500}, {4, 250}, {10, 100}, {50, 20}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pace pace = pace_of(rows[i].rate, 0);
        assert_int_equal(pace_gap(&pace).ns, rows[i].ms * NS_PER_MS);
    }
}

static void a_hundred_a_second_is_free(void **state)
{
    (void)state;
    struct pace pace = pace_of(99.9, 0);
    assert_false(pace_is_free(&pace));
    pace.rate = PACE_FREE;
    assert_true(pace_is_free(&pace));

    /* From the first on, six answered controls. */
    pace = pace_begin();
    int answers = 0;
    for (; !pace_is_free(&pace); answers++)
        pace_answered(&pace, true);
    assert_int_equal(answers, 6);
}

/* How well the pace keeps to a limit: each fourth SYN is a control; a bucket of five takes
 * it or not. */
static double sustained(double limit, double *ret_refused)
{
    struct pace pace = pace_begin();
    double now = 0, tokens = 0, heard = 0, sent = 0, lost = 0;
    while (now < 300) {
        double gap = (double)pace_gap(&pace).ns / (double)NS_PER_SECOND;
        now += gap;
        tokens += gap * limit;
        tokens = tokens > 5 ? 5 : tokens;
        bool is_taken = tokens >= 1;
        tokens -= is_taken;
        sent++;
        lost += !is_taken;
        heard = is_taken ? now : heard;
        if ((int)sent % 4 != 0)
            continue;
        if (is_taken)
            pace_answered(&pace, true);
        else
            pace_missed(&pace, (struct span){(int64_t)((now - heard) * 1e9)});
    }
    *ret_refused = lost / sent;
    return (sent - lost) / 300;
}

static void it_keeps_to_a_limit(void **state)
{
    (void)state;
    double refused;
    for (double limit = 2; limit <= 50; limit *= 2) {
        double rate = sustained(limit, &refused);
        if (rate < 0.6 * limit || rate > limit || refused > 0.3)
            fail_msg("%f of %f a second, %f refused", rate, limit, refused);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_begins_at_ten_a_second),
        cmocka_unit_test(an_answer_raises_it_as_the_past_allows),
        cmocka_unit_test(a_miss_lowers_it_and_remembers_where),
        cmocka_unit_test(when_nothing_answers_it_waits_longer_and_longer),
        cmocka_unit_test(the_gap_is_one_by_the_rate),
        cmocka_unit_test(a_hundred_a_second_is_free),
        cmocka_unit_test(it_keeps_to_a_limit),
    };
    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
