/* SPDX-License-Identifier: MIT
 *
 * The reader of .env text by itself. Whether it reads as python-dotenv does is settled by
 * the oracle test among the service tests; here stands what must hold without Python.
 */
#include "base/err.h"
#include "settings/dotenv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Pairs as text: `name=[value]` or `name`, then a semicolon. */
struct seen {
    char text[256];
    unsigned count;
    unsigned refuse_at; /* the pair, counted from 1, for which the callback fails */
};

static bool see(void *ctx, const char *name, const char *value, struct err *err)
{
    struct seen *seen = ctx;
    if (++seen->count == seen->refuse_at)
        return err_set(err, ERR_LIMIT, "no more of that");

    size_t len = strlen(seen->text);
    if (value)
        snprintf(seen->text + len, sizeof seen->text - len, "%s=[%s];", name, value);
    else
        snprintf(seen->text + len, sizeof seen->text - len, "%s;", name);
    return true;
}

/* Copies the text into a heap block of exactly its size, for the address sanitizer. */
static bool parse(const char *text, size_t len, struct seen *seen, struct err *err)
{
    char *exact = malloc(len > 0 ? len : 1);
    assert_non_null(exact);
    memcpy(exact, text, len);
    bool ok = dotenv_parse(exact, len, see, seen, err);
    free(exact);
    return ok;
}

static void text_gives_pairs(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *pairs;
    } cases[] = {
        {"", ""},
        {"# comment\n\n  \n", ""},
        {"A=1", "A=[1];"},
        {"A=1\nB=2\n", "A=[1];B=[2];"},
        {"A=1\r\nB=2\rC=3", "A=[1];B=[2];C=[3];"},
        {"A\nB=\nC= \n", "A;B=[];C=[];"},
        {"export A = 1 # why\n", "A=[1];"},
        {"export=1\n", "export=[1];"},
        {"A=a#b #c\n", "A=[a#b];"},
        {"A= # d\n", "A=[# d];"},
        {"A='x\\'y\\n' # c\n", "A=[x'y\\n];"},
        {"A=\"x\\ty\\q\"\n", "A=[x\ty\\q];"},
        {"A='one\r\ntwo'\nB=3\n", "A=[one\ntwo];B=[3];"},
        {"A='x\\'\n", "A=[x\\];"},
        {"'A B'=1\n", "A B=[1];"},
        {"\xef\xbb\xbf"
         "A=1\n",
         "\xef\xbb\xbf"
         "A=[1];"},
        {"A=1\xc2\xa0# c\n", "A=[1];"},
        {"A=1\nA=2\nA\n", "A=[1];A=[2];A;"},
        {"A=$B\n", "A=[$B];"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct seen seen = {.text = ""};
        struct err err;
        assert_true(parse(cases[i].text, strlen(cases[i].text), &seen, &err));
        assert_string_equal(seen.text, cases[i].pairs);
    }
}

static void a_fault_names_the_line_of_its_statement(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len; /* 0 = strlen(text) */
        const char *message;
        const char *before; /* the pairs read before the error */
    } cases[] = {
        {"A B=1\n", 0, "line 1: expected NAME=value", ""},
        {"A=1\n\n  B C\n", 0, "line 3: expected NAME=value", "A=[1];"},
        {"A=1\r\rB C\n", 0, "line 3: expected NAME=value", "A=[1];"},
        {"=1\n", 0, "line 1: a name is missing", ""},
        {"A=1\nexport ", 0, "line 2: a name is missing", "A=[1];"},
        {"''=1\n", 0, "line 1: the name is empty", ""},
        {"'A=1\n", 0, "line 1: the closing quote of the name is missing", ""},
        {"A='x\ny\n", 0, "line 1: the closing quote of the value is missing", ""},
        {"A='x\ny'\nB=\"z\n\n", 0, "line 3: the closing quote of the value is missing",
         "A=[x\ny];"},
        {"A='1' 2\n", 0, "line 1: unexpected text after the quoted value", ""},
        {"A=1\nB=\xff\n", 0, "line 2: not UTF-8 text", ""},
        {"A=\xed\xa0\x80\n", 0, "line 1: not UTF-8 text", ""},
        {"A=1\nB=\xc3", 0, "line 2: not UTF-8 text", ""},
        {"A=1\nB=\0\n", 8, "line 2: a NUL byte", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct seen seen = {.text = ""};
        struct err err;
        size_t len = cases[i].len > 0 ? cases[i].len : strlen(cases[i].text);
        assert_false(parse(cases[i].text, len, &seen, &err));
        assert_int_equal(err.kind, ERR_INVALID);
        assert_string_equal(err.message, cases[i].message);
        assert_string_equal(seen.text, cases[i].before);
    }
}

static void a_refused_pair_ends_the_reading(void **state)
{
    (void)state;
    static const char text[] = "A=1\nB=2\nC=3\n";
    struct seen seen = {.refuse_at = 2};
    struct err err;
    assert_false(parse(text, sizeof text - 1, &seen, &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_string_equal(err.message, "no more of that");
    assert_string_equal(seen.text, "A=[1];");
    assert_int_equal(seen.count, 2);
}

static void every_cut_of_a_text_is_safe(void **state)
{
    (void)state;
    static const char text[] = "export 'A b'=\"x\\\"y\\\\\" # c\r\nB='z\\'\xe2\x80\xa8' \n"
                               "C=\xf0\x9f\x98\x80 # d\nD";
    for (size_t len = 0; len < sizeof text; len++) {
        struct seen seen = {.text = ""};
        struct err err = {.message = ""};
        if (!parse(text, len, &seen, &err))
            assert_memory_equal(err.message, "line ", 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_gives_pairs),
        cmocka_unit_test(a_fault_names_the_line_of_its_statement),
        cmocka_unit_test(a_refused_pair_ends_the_reading),
        cmocka_unit_test(every_cut_of_a_text_is_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
