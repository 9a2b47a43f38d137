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
    assert_false(loss_is_clean(&loss, at(0)));
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

static void twenty_without_a_loss_are_clean(void **state)
{
    (void)state;
    struct loss loss = {0};
    for (int i = 0; i < LOSS_CLEAN_TRIALS - 1; i++)
        loss_add(&loss, 1, 0, at(0));
    assert_false(loss_is_clean(&loss, at(0)));
    loss_add(&loss, 1, 0, at(0));
    assert_true(loss_is_clean(&loss, at(0)));
    loss_add(&loss, 2, 1, at(0));
    assert_false(loss_is_clean(&loss, at(0)));
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

static void a_loss_is_forgiven_and_cleanness_forgotten(void **state)
{
    (void)state;
    struct loss loss = {0};
    loss_add(&loss, 1, 1, at(0));
    for (int i = 0; i < 100; i++)
        loss_add(&loss, 1, 0, at(35));
    assert_false(loss_is_clean(&loss, at(59)));
    assert_true(loss_is_clean(&loss, at(61)));
    assert_false(loss_is_clean(&loss, at(91))); /* nothing is known any more */
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
        cmocka_unit_test(twenty_without_a_loss_are_clean),
        cmocka_unit_test(what_was_seen_is_forgotten_after_a_while),
        cmocka_unit_test(a_loss_is_forgiven_and_cleanness_forgotten),
        cmocka_unit_test(looking_does_not_change_it),
    };
    return cmocka_run_group_tests_name("loss", tests, NULL, NULL);
}
