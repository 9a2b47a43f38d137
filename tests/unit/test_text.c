/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void a_new_text_is_an_empty_string(void **state)
{
    (void)state;
    struct text text;
    text_init(&text, 10);
    assert_string_equal(text.data, "");
    assert_int_equal(text.len, 0);
    text_done(&text);
}

static void appends_follow_each_other(void **state)
{
    (void)state;
    struct text text;
    text_init(&text, 1000);
    text_append(&text, "abc", 2);
    text_append_str(&text, "-");
    text_append(&text, NULL, 0);
    text_printf(&text, "%d/%s", 7, "x");
    assert_string_equal(text.data, "ab-7/x");
    assert_int_equal(text.len, 6);
    text_done(&text);
}

static void bytes_may_hold_a_nul(void **state)
{
    (void)state;
    struct text text;
    text_init(&text, 10);
    text_append(&text, "a\0b", 3);
    assert_int_equal(text.len, 3);
    assert_memory_equal(text.data, "a\0b", 4);
    text_done(&text);
}

static void the_ceiling_can_be_reached_but_not_passed(void **state)
{
    (void)state;
    struct text text;
    text_init(&text, 5);
    text_append_str(&text, "abcde");
    assert_false(text.failed);
    text_append_str(&text, "f");
    assert_true(text.failed);
    assert_string_equal(text.data, "abcde");
    text_done(&text);
}

static void an_append_that_does_not_fit_appends_nothing_and_ends_all_others(void **state)
{
    (void)state;
    struct text text;
    text_init(&text, 5);
    text_append_str(&text, "abc");
    text_printf(&text, "%d", 12345);
    text_append_str(&text, "d");
    assert_true(text.failed);
    assert_string_equal(text.data, "abc");

    size_t len = 99;
    assert_null(text_take(&text, &len));
    assert_int_equal(len, 99);
}

static void a_reset_forgets_content_and_failure(void **state)
{
    (void)state;
    struct text text;
    text_init(&text, 5);
    text_append_str(&text, "abc");
    text_append_str(&text, "abc");
    text_reset(&text);
    assert_string_equal(text.data, "");
    text_append_str(&text, "abcde");
    assert_false(text.failed);
    assert_string_equal(text.data, "abcde");
    text_done(&text);
}

static void the_content_can_be_taken_also_when_empty(void **state)
{
    (void)state;
    struct text text;
    size_t len = 99;
    text_init(&text, 5);
    char *taken = text_take(&text, &len);
    assert_string_equal(taken, "");
    assert_int_equal(len, 0);
    free(taken);

    text_append_str(&text, "abc");
    taken = text_take(&text, &len);
    assert_string_equal(taken, "abc");
    assert_int_equal(len, 3);
    assert_int_equal(text.len, 0);
    text_append_str(&text, "de");
    assert_string_equal(text.data, "de");
    assert_string_equal(taken, "abc");
    free(taken);
    text_done(&text);
}

static void thousands_of_appends_arrive_whole(void **state)
{
    (void)state;
    struct text text;
    text_init(&text, 100000);
    for (int i = 0; i < 10000; i++)
        text_printf(&text, "%04d,", i);
    assert_false(text.failed);
    assert_int_equal(text.len, 50000);
    assert_memory_equal(text.data + 5 * 1234, "1234,", 5);
    assert_true(text.size <= 100001);
    text_done(&text);
}

static void a_format_longer_than_the_room_that_is_there_arrives_whole(void **state)
{
    (void)state;
    for (int len = 0; len < 600; len++) {
        struct text text;
        text_init(&text, 1000);
        text_append_str(&text, "abc");
        text_printf(&text, "%*d", len, 7);
        assert_false(text.failed);
        assert_int_equal(text.len, 3 + (len > 0 ? len : 1));
        assert_int_equal(strlen(text.data), text.len);
        assert_int_equal(text.data[text.len - 1], '7');
        text_done(&text);
    }
}

static void a_json_string_has_its_escapes(void **state)
{
    (void)state;
    struct text text;
    text_init(&text, 100);
    text_append_json(&text, "", 0);
    text_append_json(&text, "a\"b\\c/\xc3\xa9\x7f", 9);
    text_append_json(&text, "\n\0\x1f", 3);
    assert_string_equal(text.data,
                        "\"\"\"a\\\"b\\\\c/\xc3\xa9\x7f\"\"\\u000a\\u0000\\u001f\"");
    text_done(&text);
}

static void digits_are_written_as_they_are_read(void **state)
{
    (void)state;
    static const struct {
        uint64_t number;
        size_t width;
        const char *digits;
    } rows[] = {
        {0, 0, "0"},
        {0, 1, "0"},
        {7, 3, "007"},
        {999, 3, "999"},
        {1000, 3, "1000"},
        {10, 1, "10"},
        {UINT64_MAX, 1, "18446744073709551615"},
        {1, 20, "00000000000000000001"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char digits[TEXT_DIGITS_MAX];
        size_t len = text_digits(rows[i].number, rows[i].width, digits);
        assert_int_equal(len, strlen(rows[i].digits));
        assert_memory_equal(digits, rows[i].digits, len);
    }
}

static void bytes_are_written_as_lower_case_hexadecimal_digits(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0x00, 0x1f, 0xa9, 0xff};
    char digits[9] = "........";
    text_hex(bytes, 4, digits);
    assert_string_equal(digits, "001fa9ff");
    text_hex(bytes + 3, 1, digits);
    assert_string_equal(digits, "ff1fa9ff");
}

static void a_number_is_digits_and_nothing_else(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *digits;
        uint64_t max;
        bool is_good;
        uint64_t value;
    } rows[] = {
        {"0",                    65535,      true,  0},
        {"65535",                65535,      true,  65535},
        {"00080",                65535,      true,  80},
        {"65536",                65535,      false, 0},
        {"18446744073709551615", UINT64_MAX, true,  UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"99999999999999999999", UINT64_MAX, false, 0},
        {"7",                    6,          false, 0},
        {"10",                   9,          false, 0},
        {"0",                    0,          true,  0},
        {"1",                    0,          false, 0},
        {"",                     65535,      false, 0},
        {"+1",                   65535,      false, 0},
        {"-1",                   65535,      false, 0},
        {" 1",                   65535,      false, 0},
        {"1 ",                   65535,      false, 0},
        {"1\n",                  65535,      false, 0},
        {"0x10",                 65535,      false, 0},
        {"1e3",                  65535,      false, 0},
        {"1.0",                  65535,      false, 0},
        {"\xd9\xa1",             65535,      false, 0}, /* an Arabic digit one */
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t value = 4711;
        bool is_good =
            text_parse_u64(rows[i].digits, strlen(rows[i].digits), rows[i].max, &value);
        if (is_good != rows[i].is_good || value != (is_good ? rows[i].value : 4711))
            fail_msg("\"%s\" up to %llu: %d, %llu", rows[i].digits,
                     (unsigned long long)rows[i].max, is_good, (unsigned long long)value);
    }
}

static void a_number_ends_where_its_length_says(void **state)
{
    (void)state;
    uint64_t value = 0;
    assert_true(text_parse_u64("12345", 3, 1000, &value));
    assert_int_equal(value, 123);
    assert_false(text_parse_u64("1\0002", 3, 1000, &value));
}

static void words_are_compared_whole_and_without_case(void **state)
{
    (void)state;
    assert_true(text_equals_nocase("TrUe", 4, "true"));
    assert_true(text_equals_nocase("truest", 4, "true"));
    assert_false(text_equals_nocase("tru", 3, "true"));
    assert_false(text_equals_nocase("truest", 6, "true"));
    assert_true(text_equals_nocase("", 0, ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_text_is_an_empty_string),
        cmocka_unit_test(appends_follow_each_other),
        cmocka_unit_test(bytes_may_hold_a_nul),
        cmocka_unit_test(the_ceiling_can_be_reached_but_not_passed),
        cmocka_unit_test(an_append_that_does_not_fit_appends_nothing_and_ends_all_others),
        cmocka_unit_test(a_reset_forgets_content_and_failure),
        cmocka_unit_test(the_content_can_be_taken_also_when_empty),
        cmocka_unit_test(thousands_of_appends_arrive_whole),
        cmocka_unit_test(a_format_longer_than_the_room_that_is_there_arrives_whole),
        cmocka_unit_test(a_json_string_has_its_escapes),
        cmocka_unit_test(digits_are_written_as_they_are_read),
        cmocka_unit_test(bytes_are_written_as_lower_case_hexadecimal_digits),
        cmocka_unit_test(a_number_is_digits_and_nothing_else),
        cmocka_unit_test(a_number_ends_where_its_length_says),
        cmocka_unit_test(words_are_compared_whole_and_without_case),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
