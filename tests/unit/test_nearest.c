/* SPDX-License-Identifier: MIT */
#include "base/nearest.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <string.h>

static const struct {
    int other;
    const char *name;
} known[] = {{0, "verify"}, {0, NULL}, {0, "probe"}, {0, "probes"}};

static const char *nearest(const char *word, unsigned limit)
{
    return nearest_name(word, strlen(word), &known->name, sizeof *known, 4, limit);
}

static void one_slip_is_forgiven(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        const char *name;
    } rows[] = {
        {"probe", "probe"},  {"prboe", "probe"},    {"prob", "probe"},
        {"prove", "probe"},  {"probees", "probes"}, {"PROBE", "probe"},
        {"verfy", "verify"}, {"evrify", "verify"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(nearest(rows[i].word, 1), rows[i].name);
}

static void what_is_farther_is_another_word(void **state)
{
    (void)state;
    assert_null(nearest("proxy", 1));
    assert_string_equal(nearest("proxy", 2), "probe");
    assert_null(nearest("", 1));
    assert_null(nearest("localhost", 2));
}

static void without_a_limit_there_is_always_one(void **state)
{
    (void)state;
    char longest[300];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_non_null(nearest(longest, UINT_MAX));
    assert_string_equal(nearest("", UINT_MAX), "probe");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_slip_is_forgiven),
        cmocka_unit_test(what_is_farther_is_another_word),
        cmocka_unit_test(without_a_limit_there_is_always_one),
    };
    return cmocka_run_group_tests_name("nearest", tests, NULL, NULL);
}
