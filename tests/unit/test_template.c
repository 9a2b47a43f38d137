/* SPDX-License-Identifier: MIT */
#include "base/template.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void put_ctx(const void *ctx, struct text *text)
{
    text_append_str(text, ctx);
}

static void put_nothing(const void *ctx, struct text *text)
{
    (void)ctx;
    (void)text;
}

static void put_braces(const void *ctx, struct text *text)
{
    (void)ctx;
    text_append_str(text, "{port} }{");
}

static const struct template_word words[] = {
    {"port", put_ctx}, {"ports", put_nothing}, {"braces", put_braces}, {NULL, NULL}};

static void placeholders_get_their_values(void **state)
{
    (void)state;
    static const struct {
        const char *sentence, *expected;
    } rows[] = {
        {"", ""},
        {"no placeholder", "no placeholder"},
        {"{port}", "7466"},
        {"{port}{port}", "74667466"},
        {"open {port}, please", "open 7466, please"},
        {"a{ports}b", "ab"},                     /* a value may be empty */
        {"{braces}: {port}", "{port} }{: 7466"}, /* a value is not a sentence */
        {"100% of %s {port} \\{port}", "100% of %s 7466 \\7466"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct text text;
        text_init(&text, 100);
        text_append_str(&text, "> ");
        assert_true(template_expand(rows[i].sentence, words, "7466", &text));
        assert_false(text.failed);
        assert_string_equal(text.data + 2, rows[i].expected);
        text_done(&text);
    }
}

static void faults_of_a_sentence_are_found(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{unknown}", "{por}",        "{portss}",      "{Port}",  "{ port}",
        "{}",        "{port",        "port}",         "{",       "}",
        "{{port}}",  "{po{port}rt}", "{port} {gone}", "{port}}",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct text text;
        text_init(&text, 100);
        if (template_expand(rows[i], words, "7466", &text))
            print_error("%s: %s\n", rows[i], text.data);
        assert_true(text.failed);
        text_done(&text);
    }
}

static void a_long_value_is_put_whole(void **state)
{
    (void)state;
    static char value[60001];
    memset(value, 'x', sizeof value - 1);
    struct text text;
    text_init(&text, 70000);
    assert_true(template_expand("<{port}>", words, value, &text));
    assert_int_equal(text.len, sizeof value - 1 + 2);
    assert_int_equal(text.data[text.len - 1], '>');
    text_done(&text);
}

static void the_ceiling_of_the_text_holds(void **state)
{
    (void)state;
    static const struct {
        size_t max;
        const char *left; /* what had its place */
        bool has_failed;
    } rows[] = {{6, "<7466>", false}, {5, "<7466", true}, {4, "<", true}, {0, "", true}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct text text;
        text_init(&text, rows[i].max);
        /* The sentence is right, so that this is for the text alone to tell. */
        assert_true(template_expand("<{port}>", words, "7466", &text));
        assert_int_equal(text.failed, rows[i].has_failed);
        assert_string_equal(text.data, rows[i].left);
        text_done(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(placeholders_get_their_values),
        cmocka_unit_test(faults_of_a_sentence_are_found),
        cmocka_unit_test(a_long_value_is_put_whole),
        cmocka_unit_test(the_ceiling_of_the_text_holds),
    };
    return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
