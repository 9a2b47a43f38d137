/* SPDX-License-Identifier: MIT */
#include "http/query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The values of all fields named "ports", each between brackets. */
static void fields_are_found_by_their_names(void **state)
{
    (void)state;
    static const struct {
        const char *query, *wanted;
    } rows[] = {
        {"", ""},
        {"ports", "[]"},
        {"ports=", "[]"},
        {"ports=1", "[1]"},
        {"ports=1,2-3&ports=%34", "[1,2-3][%34]"},
        {"a=b&ports=1&c", "[1]"},
        {"&&ports=1&&", "[1]"},
        {"ports=a=b", "[a=b]"},
        {"ports&ports=1", "[][1]"},
        {"port=1&portss=2&Ports=3&=4&x=ports", ""},
        {"%70orts=1&ports%3d1", ""},
        {"ports=1?ports=2", "[1?ports=2]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *at = rows[i].query, *value;
        char found[64] = "";
        size_t len = 0;
        while ((value = query_next(&at, "ports", &len)))
            snprintf(found + strlen(found), sizeof found - strlen(found), "[%.*s]",
                     (int)len, value);
        assert_string_equal(found, rows[i].wanted);
        assert_string_equal(at, "");
    }
}

/* A value on the heap, without a byte to spare behind it. */
static bool decode(const char *value, size_t len, char ret[QUERY_VALUE_MAX],
                   size_t *ret_len)
{
    char *exact = malloc(len > 0 ? len : 1);
    assert_non_null(exact);
    memcpy(exact, value, len);
    bool is_decoded = query_decode(exact, len, ret, ret_len);
    free(exact);
    return is_decoded;
}

static void values_are_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *value, *wanted;
        size_t len;
    } rows[] = {
        {"", "", 0},
        {"7466,50800-50900", "7466,50800-50900", 16},
        {"7466%2C50800%2D50900", "7466,50800-50900", 16},
        {"7466%2c50800%2d50900", "7466,50800-50900", 16},
        {"+%20+%2B", "+ ++", 4},
        {"%25%32%35", "%25", 3}, /* once */
        {"%00%ff%FF", "\0\xff\xff", 3},
    };
    static char text[QUERY_VALUE_MAX];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t len = SIZE_MAX;
        assert_true(decode(rows[i].value, strlen(rows[i].value), text, &len));
        assert_int_equal(len, rows[i].len);
        assert_memory_equal(text, rows[i].wanted, len);
    }
}

static void what_is_not_percent_encoded_is_refused(void **state)
{
    (void)state;
    static const char *const values[] = {"%",    "1%",    "%2",  "%%",  "%2%", "%g0",
                                         "%0g",  "%2x",   "%-1", "% 1", "%0x", "%u0031",
                                         "%%31", "%2Cc%", "%:0", "%@0", "%`0"};
    static char text[QUERY_VALUE_MAX];
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        size_t len = 7;
        assert_false(decode(values[i], strlen(values[i]), text, &len));
        assert_int_equal(len, 7);
    }
}

static void a_value_has_its_ceiling(void **state)
{
    (void)state;
    static char value[QUERY_VALUE_MAX + 1], text[QUERY_VALUE_MAX];
    size_t len = 0;
    memset(value, '1', sizeof value);
    assert_true(decode(value, QUERY_VALUE_MAX, text, &len));
    assert_int_equal(len, QUERY_VALUE_MAX);
    assert_false(decode(value, QUERY_VALUE_MAX + 1, text, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_found_by_their_names),
        cmocka_unit_test(values_are_decoded),
        cmocka_unit_test(what_is_not_percent_encoded_is_refused),
        cmocka_unit_test(a_value_has_its_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
