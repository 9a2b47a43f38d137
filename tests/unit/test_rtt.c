/* SPDX-License-Identifier: MIT */
#include "probe/rtt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void the_first_sample_is_the_time_and_half_of_it_the_variance(void **state)
{
    (void)state;
    struct rtt rtt = {0};
    rtt_add(&rtt, span_ms(100));
    assert_true(rtt.is_known);
    assert_int_equal(rtt.smoothed.ns, 100 * NS_PER_MS);
    assert_int_equal(rtt.variance.ns, 50 * NS_PER_MS);
    assert_int_equal(rtt_timeout(&rtt).ns, 300 * NS_PER_MS);
}

/* RFC 6298, section 2.3: RTTVAR first, with the old SRTT; 1/4 and 1/8. */
static void later_samples_are_smoothed_as_rfc_6298_says(void **state)
{
    (void)state;
    struct rtt rtt = {0};
    rtt_add(&rtt, span_ms(100));
    rtt_add(&rtt, span_ms(180));
    assert_int_equal(rtt.variance.ns, 57500000); /* 50 + (80 - 50) / 4 */
    assert_int_equal(rtt.smoothed.ns, 110 * NS_PER_MS);
    rtt_add(&rtt, span_ms(30));
    assert_int_equal(rtt.variance.ns, 63125000); /* 57.5 + (80 - 57.5) / 4 */
    assert_int_equal(rtt.smoothed.ns, 100 * NS_PER_MS);
}

static void a_steady_time_still_gets_ten_milliseconds_of_patience(void **state)
{
    (void)state;
    struct rtt rtt = {0};
    for (int i = 0; i < 200; i++)
        rtt_add(&rtt, span_ms(20));
    assert_int_equal(rtt.smoothed.ns, 20 * NS_PER_MS);
    assert_int_equal(rtt_timeout(&rtt).ns, 30 * NS_PER_MS);
}

static void it_follows_a_path_that_becomes_slower(void **state)
{
    (void)state;
    struct rtt rtt = {0};
    rtt_add(&rtt, span_ms(10));
    for (int i = 0; i < 60; i++)
        rtt_add(&rtt, span_ms(400));
    assert_in_range(rtt.smoothed.ns, 399 * NS_PER_MS, 400 * NS_PER_MS);
    assert_true(rtt_timeout(&rtt).ns >= 400 * NS_PER_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_sample_is_the_time_and_half_of_it_the_variance),
        cmocka_unit_test(later_samples_are_smoothed_as_rfc_6298_says),
        cmocka_unit_test(a_steady_time_still_gets_ten_milliseconds_of_patience),
        cmocka_unit_test(it_follows_a_path_that_becomes_slower),
    };
    return cmocka_run_group_tests_name("rtt", tests, NULL, NULL);
}
