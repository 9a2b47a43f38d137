/* SPDX-License-Identifier: MIT */
#include "base/err.h"

#include <errno.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void a_system_error_names_what_failed_and_why(void **state)
{
    (void)state;
    struct err err;
    assert_false(err_sys(&err, ENOENT, "/proc/%s", "none"));
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_int_equal(err.errnum, ENOENT);
    assert_string_equal(err.message, "/proc/none: No such file or directory");
}

static void other_errors_carry_a_sentence_and_no_errno(void **state)
{
    (void)state;
    struct err err = {.errnum = 7};
    assert_false(err_set(&err, ERR_INVALID, "%d is not a port", 0));
    assert_int_equal(err.kind, ERR_INVALID);
    assert_int_equal(err.errnum, 0);
    assert_string_equal(err.message, "0 is not a port");
}

static void a_prefix_keeps_kind_and_errno(void **state)
{
    (void)state;
    struct err err;
    err_sys(&err, EACCES, "open");
    assert_false(err_prefix(&err, "line %d", 3));
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_int_equal(err.errnum, EACCES);
    assert_string_equal(err.message, "line 3: open: Permission denied");
}

static void a_caller_that_needs_no_reason_passes_null(void **state)
{
    (void)state;
    assert_false(err_sys(NULL, EIO, "x"));
    assert_false(err_set(NULL, ERR_LIMIT, "x"));
    assert_false(err_prefix(NULL, "x"));
}

static void long_texts_are_cut_and_the_reason_stays(void **state)
{
    (void)state;
    struct err err;
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';

    err_sys(&err, ENOENT, "%s", text);
    assert_true(strlen(err.message) < sizeof err.message);
    assert_non_null(strstr(err.message, ": No such file or directory"));

    err_set(&err, ERR_INVALID, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    err_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_non_null(strstr(err.message, ": x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_system_error_names_what_failed_and_why),
        cmocka_unit_test(other_errors_carry_a_sentence_and_no_errno),
        cmocka_unit_test(a_prefix_keeps_kind_and_errno),
        cmocka_unit_test(a_caller_that_needs_no_reason_passes_null),
        cmocka_unit_test(long_texts_are_cut_and_the_reason_stays),
    };
    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
