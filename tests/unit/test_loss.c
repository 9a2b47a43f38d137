/* SPDX-License-Identifier: MIT */
#include "probe/loss.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Seconds; the machine has been up for a while. */
static struct instant at(double seconds)
{
    return (struct instant){(int64_t)((5000 + seconds) * (double)NS_PER_SECOND)};
}

static bool is_rate(const struct loss *loss, double now, double losses, double trials)
{
    double rate = loss_rate(loss, at(now)), wanted = (1 + losses) / (10 + trials);
    return rate > wanted - 1e-9 && rate < wanted + 1e-9;
}

static void a_tenth_is_assumed_while_nothing_is_known(void **state)
{
    (void)state;
    const struct loss loss = {0};
    assert_true(is_rate(&loss, 0, 0, 0));
}

static void the_rate_follows_what_was_lost(void **state)
{
    (void)state;
    struct loss loss = {0};
    loss_add(&loss, 1, 0, at(0));
    assert_true(is_rate(&loss, 0, 0, 1));
    loss_add(&loss, 3, 2, at(1));
    assert_true(is_rate(&loss, 1, 2, 4));
    for (int i = 0; i < 1000; i++)
        loss_add(&loss, 1, 0, at(2));
    assert_true(is_rate(&loss, 2, 2, 1004));
}

static void trials_and_losses_are_counted(void **state)
{
    (void)state;
    struct loss loss = {0};
    unsigned trials = 99, losses = 99;
    loss_counts(&loss, at(0), &trials, &losses);
    assert_int_equal(trials, 0);
    assert_int_equal(losses, 0);

    loss_add(&loss, 3, 2, at(0));
    loss_add(&loss, 5, 1, at(35)); /* in the other half */
    loss_counts(&loss, at(59), &trials, &losses);
    assert_int_equal(trials, 8);
    assert_int_equal(losses, 3);
    loss_counts(&loss, at(61), &trials, &losses);
    assert_int_equal(trials, 5);
    assert_int_equal(losses, 1);
    loss_counts(&loss, at(95), &trials, &losses);
    assert_int_equal(trials, 0);
    assert_int_equal(losses, 0);
}

/* Two halves of thirty seconds: what was seen counts for thirty to sixty. */
static void what_was_seen_is_forgotten_after_a_while(void **state)
{
    (void)state;
    struct loss loss = {0};
    loss_add(&loss, 10, 5, at(0)); /* begins a half: the clock did not start at zero */
    loss_add(&loss, 20, 1, at(29));
    assert_true(is_rate(&loss, 29.9, 6, 30));
    assert_true(is_rate(&loss, 59.9, 6, 30));
    assert_true(is_rate(&loss, 60, 0, 0));

    loss_add(&loss, 7, 1, at(40)); /* the second half */
    assert_true(is_rate(&loss, 59.9, 7, 37));
    assert_true(is_rate(&loss, 60, 1, 7));
    loss_add(&loss, 100, 0, at(61));
    assert_true(is_rate(&loss, 61, 1, 107));
    assert_true(is_rate(&loss, 90, 0, 100));
    assert_true(is_rate(&loss, 120, 0, 0));
}

static void looking_does_not_change_it(void **state)
{
    (void)state;
    struct loss loss = {0};
    loss_add(&loss, 10, 5, at(0));
    assert_true(is_rate(&loss, 100, 0, 0));
    assert_true(is_rate(&loss, 10, 5, 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tenth_is_assumed_while_nothing_is_known),
        cmocka_unit_test(the_rate_follows_what_was_lost),
        cmocka_unit_test(trials_and_losses_are_counted),
        cmocka_unit_test(what_was_seen_is_forgotten_after_a_while),
        cmocka_unit_test(looking_does_not_change_it),
    };
    return cmocka_run_group_tests_name("loss", tests, NULL, NULL);
}
