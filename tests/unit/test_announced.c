/* SPDX-License-Identifier: MIT
 *
 * When announcements are heeded, by a clock of the test's own.
 */
#include "router/announced.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct instant at(int64_t ms)
{
    return instant_add((struct instant){0}, span_ms(ms));
}

static void without_one_there_is_nothing_to_do(void **state)
{
    (void)state;
    struct announced announced = {0};
    assert_true(announced_next(&announced).ns == INT64_MAX);
    assert_false(announced_take(&announced, at(1000)));
}

static void the_first_is_heeded_at_once_and_once(void **state)
{
    (void)state;
    struct announced announced = {.is_due = true};
    assert_false(instant_before(at(1000), announced_next(&announced)));
    assert_true(announced_take(&announced, at(1000)));
    assert_false(announced_take(&announced, at(20000)));
}

static void those_within_the_pause_are_heeded_after_it(void **state)
{
    (void)state;
    struct announced announced = {.is_due = true};
    assert_true(announced_take(&announced, at(1000)));
    for (int64_t ms = 1000; ms < 11000; ms += 100) {
        announced.is_due = true;
        assert_false(announced_take(&announced, at(ms)));
        assert_int_equal(announced_next(&announced).ns, at(11000).ns);
    }
    assert_true(announced_take(&announced, at(11000)));
    assert_false(announced_take(&announced, at(40000)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_one_there_is_nothing_to_do),
        cmocka_unit_test(the_first_is_heeded_at_once_and_once),
        cmocka_unit_test(those_within_the_pause_are_heeded_after_it),
    };
    return cmocka_run_group_tests_name("announced", tests, NULL, NULL);
}
