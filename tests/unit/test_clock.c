/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void the_clock_never_goes_back(void **state)
{
    (void)state;
    struct instant last = clock_now();
    assert_true(last.ns > 0);
    for (int i = 0; i < 10000; i++) {
        struct instant now = clock_now();
        assert_false(instant_before(now, last));
        last = now;
    }
}

static void points_and_lengths_add_up(void **state)
{
    (void)state;
    const struct instant a = {5 * NS_PER_SECOND};
    const struct instant b = instant_add(a, span_ms(1500));
    assert_int_equal(b.ns, 6500 * NS_PER_MS);
    assert_int_equal(instant_since(b, a).ns, 1500 * NS_PER_MS);
    assert_int_equal(instant_since(a, b).ns, -1500 * NS_PER_MS);
    assert_int_equal(instant_back(b, span_seconds(2)).ns, 4500 * NS_PER_MS);
    assert_true(instant_before(a, b));
    assert_false(instant_before(a, a));
    assert_int_equal(instant_min(b, a).ns, a.ns);
    assert_true(span_to_ms(span_seconds(2)) == 2000.0);
    assert_true(span_to_seconds(span_ms(250)) == 0.25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clock_never_goes_back),
        cmocka_unit_test(points_and_lengths_add_up),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
