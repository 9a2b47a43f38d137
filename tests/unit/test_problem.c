/* SPDX-License-Identifier: MIT */
#include "api/problem.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

static void plain_rows_look_as_fastapi_s(void **state)
{
    (void)state;
    assert_string_equal(problem_text(PROBLEM_NOT_FOUND), "{\"detail\": \"Not Found\"}");
    assert_string_equal(problem_text(PROBLEM_METHOD_NOT_ALLOWED),
                        "{\"detail\": \"Method Not Allowed\"}");
    assert_null(problem_code(PROBLEM_NOT_FOUND));
}

static void the_contract_s_codes_and_statuses(void **state)
{
    (void)state;
    static const struct {
        enum problem problem;
        unsigned status;
        const char *code;
    } rows[] = {
        {PROBLEM_BAD_FRAMING, 400, "bad_framing"},
        {PROBLEM_TARGET_NOT_ALLOWED, 403, "target_not_allowed"},
        {PROBLEM_OTHER_SITE, 403, "other_site"},
        {PROBLEM_BODY_TOO_LARGE, 413, "body_too_large"},
        {PROBLEM_RATE_LIMITED, 429, "rate_limited"},
        {PROBLEM_CALLER_CONNECTIONS, 429, "rate_limited"},
        {PROBLEM_HEADERS_TOO_LARGE, 431, "headers_too_large"},
        {PROBLEM_CONNECTIONS, 503, "overloaded"},
        {PROBLEM_OVERLOADED, 503, "overloaded"},
        {PROBLEM_CHECKER_FAULT, 503, "checker_fault"},
        {PROBLEM_DRAINING, 503, "draining"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(problem_status(rows[i].problem), rows[i].status);
        assert_string_equal(problem_code(rows[i].problem), rows[i].code);
    }
}

/* The preprocessor assembles the constants: they must be what jansson would write. */
static void every_constant_is_json_in_our_form(void **state)
{
    (void)state;
    for (int i = 0; i < PROBLEM_COUNT; i++) {
        const char *text = problem_text((enum problem)i);
        const char *code = problem_code((enum problem)i);
        json_t *root = json_loads(text, 0, NULL);
        assert_non_null(root);
        char *again = json_dumps(root, 0);
        assert_string_equal(again, text);
        assert_true(json_string_length(json_object_get(root, "detail")) > 0);
        if (code)
            assert_string_equal(json_string_value(json_object_get(root, "code")), code);
        assert_int_equal(json_object_size(root), code ? 2 : 1);
        free(again);
        json_decref(root);
    }
}

static void every_http_fault_has_its_problem(void **state)
{
    (void)state;
    static const struct {
        enum http_error error;
        enum problem problem;
    } rows[] = {
#define X(NAME, status, protocol) {HTTP_ERROR_##NAME, PROBLEM_##NAME},
        HTTP_ERROR_MAP(X)
#undef X
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_ptr_equal(problem_of_http_error(rows[i].error),
                         problem_text(rows[i].problem));
    }
}

static void a_sentence_of_one_s_own(void **state)
{
    (void)state;
    size_t len = 0;
    char *body = problem_body(PROBLEM_OVERLOADED, "say \"when\"\n", &len);
    assert_string_equal(body,
                        "{\"detail\": \"say \\\"when\\\"\\n\", \"code\": \"overloaded\"}");
    assert_int_equal(len, strlen(body));
    free(body);

    body = problem_body(PROBLEM_NOT_FOUND, "no", &len);
    assert_string_equal(body, "{\"detail\": \"no\"}");
    free(body);
    assert_null(problem_body(PROBLEM_OVERLOADED, "\xff", &len));
}

static void the_four_places_of_a_violation(void **state)
{
    (void)state;
    struct violation_list list = {0};
    size_t len = 0;
    violation_add(&list, VIOLATION_MISSING, (struct violation_place){0});
    violation_add_message(&list, VIOLATION_JSON,
                          (struct violation_place){.has_index = true, .index = 17}, "%s",
                          "bad \"\xc3\xa9\"");
    violation_add(&list, VIOLATION_LIST, (struct violation_place){.field = "ports"});
    violation_add(
        &list, VIOLATION_INTEGER,
        (struct violation_place){.field = "ports", .has_index = true, .index = 3});
    assert_false(violation_list_is_full(&list));
    char *body = violation_list_body(&list, &len);
    assert_string_equal(
        body,
        "{\"detail\": ["
        "{\"loc\": [\"body\"], \"msg\": \"field required\", "
        "\"type\": \"value_error.missing\"}, "
        "{\"loc\": [\"body\", 17], \"msg\": \"bad \\\"\xc3\xa9\\\"\", "
        "\"type\": \"value_error.jsondecode\"}, "
        "{\"loc\": [\"body\", \"ports\"], \"msg\": \"value is not a valid list\", "
        "\"type\": \"type_error.list\"}, "
        "{\"loc\": [\"body\", \"ports\", 3], \"msg\": \"value is not a valid integer\", "
        "\"type\": \"type_error.integer\"}]}");
    assert_int_equal(len, strlen(body));
    free(body);
}

static void a_message_that_is_not_utf_8_is_shown_without_it(void **state)
{
    (void)state;
    struct violation_list list = {0};
    size_t len = 0;
    violation_add_message(&list, VIOLATION_JSON, (struct violation_place){0},
                          "near '\xc3'");
    char *body = violation_list_body(&list, &len);
    assert_non_null(body);
    assert_non_null(strstr(body, "\"msg\": \"near '?'\""));
    free(body);
}

static void the_20th_violation_is_the_last(void **state)
{
    (void)state;
    struct violation_list list = {0};
    for (int i = 1; i <= 25; i++) {
        violation_add(&list, VIOLATION_VALUE, (struct violation_place){0});
        assert_int_equal(violation_list_is_full(&list), i >= 20);
    }
    assert_int_equal(list.count, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_rows_look_as_fastapi_s),
        cmocka_unit_test(the_contract_s_codes_and_statuses),
        cmocka_unit_test(every_constant_is_json_in_our_form),
        cmocka_unit_test(every_http_fault_has_its_problem),
        cmocka_unit_test(a_sentence_of_one_s_own),
        cmocka_unit_test(the_four_places_of_a_violation),
        cmocka_unit_test(a_message_that_is_not_utf_8_is_shown_without_it),
        cmocka_unit_test(the_20th_violation_is_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
