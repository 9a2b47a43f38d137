/* SPDX-License-Identifier: MIT */
#include "http/framing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A copy without a terminator on the heap, so that a sanitizer sees a read past its end. */
static enum head_state scan(const char *text, size_t len, size_t max, struct head *head,
                            bool *is_1_1)
{
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    enum head_state state = head_scan(copy, len, max, head, is_1_1);
    free(copy);
    return state;
}

#define POST "POST / HTTP/1.1\r\n"

static void lines_that_have_one_reading_only(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        bool is_sound;
        bool has_body;
    } rows[] = {
        {POST "\r\n", true, false},
        {POST "Content-Length: 5\r\n\r\n", true, true},
        {POST "content-length:5\r\n\r\n", true, true},
        {POST "Content-Length: \t5 \t\r\n\r\n", true, true},
        {POST "Content-Length: 0\r\n\r\n", true, false},
        {POST "Transfer-Encoding: chunked\r\n\r\n", true, true},
        {POST "transfer-encoding:CHUNKED\n\n", true, true},
        {"\r\n\n" POST "Host: x\n\r\n", true, false},
        {POST "X: a:b\r\nY:\r\nZ: \xc3\xa4\r\n\r\n", true, false},

        {POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", false, true},
        {POST "Content-Length: 5, 5\r\n\r\n", false, false},
        {POST "Content-Length: +5\r\n\r\n", false, false},
        {POST "Content-Length: 0x5\r\n\r\n", false, false},
        {POST "Content-Length:\r\n\r\n", false, false},
        {POST "Content-Length: 9223372036854775808\r\n\r\n", false, false},
        {POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", false, true},
        {POST "Transfer-Encoding: gzip, chunked\r\n\r\n", false, true},
        {POST "Transfer-Encoding: \r\n\r\n", false, true},
        {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", false,
         true},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", false, true},
        {POST "Host: x\r\nHost: x\r\n\r\n", false, false},
        {POST "Content-Length : 5\r\n\r\n", false, false},
        {POST "X: a\r\n b\r\n\r\n", false, false},
        {POST " X: a\r\n\r\n", false, false},
        {POST "X: a\rY: b\r\n\r\n", false, false},
        {POST "no colon\r\n\r\n", false, false},
        {POST ": a\r\n\r\n", false, false},
        {POST "X: \x7f\r\n\r\n", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct head head;
        bool is_1_1;
        size_t len = strlen(rows[i].head);
        assert_int_equal(scan(rows[i].head, len, 8192, &head, &is_1_1), HEAD_WHOLE);
        if (head_is_sound(&head, is_1_1) != rows[i].is_sound ||
            head_has_body(&head) != rows[i].has_body)
            fail_msg("row %zu: %s", i, rows[i].head);
    }
}

static void a_nul_byte_is_refused(void **state)
{
    (void)state;
    static const char value[] = POST "X: a\0b\r\n\r\n";
    static const char name[] = POST "X\0: a\r\n\r\n";
    static const char first[] = "\0POST / HTTP/1.1\r\n\r\n";
    struct head head;
    bool is_1_1;
    assert_int_equal(scan(first, sizeof first - 1, 8192, &head, &is_1_1), HEAD_WHOLE);
    assert_false(head_is_sound(&head, is_1_1));
    assert_int_equal(scan(value, sizeof value - 1, 8192, &head, &is_1_1), HEAD_WHOLE);
    assert_false(head_is_sound(&head, is_1_1));
    assert_int_equal(scan(name, sizeof name - 1, 8192, &head, &is_1_1), HEAD_WHOLE);
    assert_false(head_is_sound(&head, is_1_1));
}

static void a_head_is_whole_with_its_last_byte(void **state)
{
    (void)state;
    static const char text[] = "\r\n" POST "Host: x\r\n\r\nbody\n\n";
    size_t whole = strlen(text) - strlen("body\n\n");
    struct head head = {0};
    bool is_1_1;
    for (size_t len = 0; len < whole; len++)
        assert_int_equal(scan(text, len, 8192, &head, &is_1_1), HEAD_PARTIAL);
    for (size_t len = whole; len < sizeof text; len++) {
        assert_int_equal(scan(text, len, 8192, &head, &is_1_1), HEAD_WHOLE);
        assert_int_equal(head.size, whole);
        assert_int_equal(head.lines, 1);
        assert_true(is_1_1);
    }
}

static void a_head_may_be_as_large_as_the_limit(void **state)
{
    (void)state;
    static const char text[] = POST "Host: x\r\n\r\n";
    size_t len = sizeof text - 1;
    struct head head;
    bool is_1_1;
    assert_int_equal(scan(text, len, len, &head, &is_1_1), HEAD_WHOLE);
    assert_int_equal(scan(text, len, len - 1, &head, &is_1_1), HEAD_TOO_LARGE);
    assert_int_equal(scan(text, len - 1, len - 1, &head, &is_1_1), HEAD_TOO_LARGE);
    assert_int_equal(scan("\r\n\r\n\r\n", 6, 6, &head, &is_1_1), HEAD_TOO_LARGE);
}

/* The way of the lines that libmicrohttpd has cut: names and values in one piece of memory,
 * their line ends overwritten. */
static void a_line_out_of_place_is_refused(void **state)
{
    (void)state;
    char memory[] = "HTTP/1.1\0\0A\0b\0\0C\0d\0\0\0";
    const char *version_end = memory + 8;
    struct head head;

    head_init(&head, version_end);
    head_add(&head, memory + 10, 1, memory + 12, 1);
    head_add(&head, memory + 15, 1, memory + 17, 1);
    head_finish(&head, memory + 22);
    assert_true(head_is_sound(&head, true));

    head_init(&head, version_end);
    head_add(&head, memory + 15, 1, memory + 17, 1); /* one was left out before it */
    head_finish(&head, memory + 22);
    assert_false(head_is_sound(&head, true));

    head_init(&head, version_end);
    head_add(&head, memory + 10, 1, memory + 12, 1); /* and after it */
    head_finish(&head, memory + 22);
    assert_false(head_is_sound(&head, true));
}

/* --- plain requests ------------------------------------------------------------------ */

/* What head_scan() finds sound, taken apart; on the heap, as above. The texts of `ret` are
 * those of `*ret_bytes`, which the caller frees. */
static bool take_apart(const char *text, struct request *ret, char **ret_bytes)
{
    size_t len = strlen(text);
    char *bytes = malloc(len);
    assert_non_null(bytes);
    memcpy(bytes, text, len);
    *ret_bytes = bytes;

    struct head head;
    bool is_1_1;
    assert_int_equal(head_scan(bytes, len, 8192, &head, &is_1_1), HEAD_WHOLE);
    if (!head_is_sound(&head, is_1_1))
        fail_msg("not sound: %s", text);
    return request_parse(bytes, &head, ret);
}

static void a_plain_request_is_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text, *method, *path;
        bool is_1_1;
        const char *fields;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/", true, "Host=x;"},
        {"GET / HTTP/1.0\r\n\r\n", "GET", "/", false, ""},
        {"\r\n\nX-Y!z /a/b%00?c=d?e HTTP/1.1\nHost:x\n\n", "X-Y!z", "/a/b%00", true,
         "Host=x;"},
        {"GET /? HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/", true, "Host=x;"},
        {"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab", "POST", "/p", true,
         "Host=x;Content-Length=2;"},
        {"GET / HTTP/1.1\r\nA: \t b c\t \r\nHost:\r\nA:\n\r\n", "GET", "/", true,
         "A=b c;Host=;A=;"},
        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", "GET", "/", true,
         "Host=x;Connection=keep-alive;"},
        {"GET / HTTP/1.0\r\nConnection: close\r\n\r\n", "GET", "/", false,
         "Connection=close;"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct request request;
        char *bytes;
        char fields[256] = "";
        assert_true(take_apart(rows[i].text, &request, &bytes));
        assert_string_equal(request.method, rows[i].method);
        assert_string_equal(request.path, rows[i].path);
        assert_int_equal(request.is_1_1, rows[i].is_1_1);
        for (size_t k = 0; k < request.field_count; k++) {
            const struct request_field *field = &request.fields[k];
            size_t used = strlen(fields);
            assert_int_equal(strlen(field->value), field->value_len);
            snprintf(fields + used, sizeof fields - used, "%.*s=%s;", (int)field->name_len,
                     field->name, field->value);
        }
        assert_string_equal(fields, rows[i].fields);
        free(bytes);
    }
}

static void what_is_not_plain_is_left_to_libmicrohttpd(void **state)
{
    (void)state;
#define HOST "\r\nHost: x\r\n"
    static const char *const rows[] = {
        "GET /\r\nHost: x\r\n\r\n",
        "GET\r\nHost: x\r\n\r\n",
        "x\r\nHost: x\r\n\r\n",
        " HTTP/1.1" HOST "\r\n",
        "GET HTTP/1.1" HOST "\r\n",
        "GET  HTTP/1.1" HOST "\r\n",
        "GET  / HTTP/1.1" HOST "\r\n",
        "GET /  HTTP/1.1" HOST "\r\n",
        "GET / HTTP/1.1 " HOST "\r\n",
        "GET / a HTTP/1.1" HOST "\r\n",
        "GET\t/\tHTTP/1.1" HOST "\r\n",
        " GET / HTTP/1.1" HOST "\r\n",
        " / HTTP/1.1" HOST "\r\n",
        "G\"T / HTTP/1.1" HOST "\r\n",
        "GET /\xc3\xa4 HTTP/1.1" HOST "\r\n",
        "GET * HTTP/1.1" HOST "\r\n",
        "GET http://x/ HTTP/1.1" HOST "\r\n",
        "GET / HTTP/1.2" HOST "\r\n",
        "GET / HTTP/2.0" HOST "\r\n",
        "GET / http/1.1" HOST "\r\n",
        "GET / HTTP/1.11" HOST "\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1" HOST "Transfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1" HOST "expect: 100-continue\r\n\r\n",
        "GET / HTTP/1.1" HOST "Upgrade: h2c\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
    };
#undef HOST
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct request request;
        char *bytes;
        if (take_apart(rows[i], &request, &bytes))
            fail_msg("taken: %s", rows[i]);
        free(bytes);
    }
}

static void a_plain_request_has_so_many_lines(void **state)
{
    (void)state;
    for (size_t lines = REQUEST_FIELDS_MAX - 1; lines <= REQUEST_FIELDS_MAX + 1; lines++) {
        char text[1024] = "GET / HTTP/1.1\r\nHost: x\r\n";
        for (size_t i = 1; i < lines; i++)
            strncat(text, "A: b\r\n", sizeof text - strlen(text) - 1);
        strncat(text, "\r\n", sizeof text - strlen(text) - 1);

        struct request request;
        char *bytes;
        bool is_taken = take_apart(text, &request, &bytes);
        assert_int_equal(is_taken, lines <= REQUEST_FIELDS_MAX);
        assert_true(!is_taken || request.field_count == lines);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_that_have_one_reading_only),
        cmocka_unit_test(a_nul_byte_is_refused),
        cmocka_unit_test(a_head_is_whole_with_its_last_byte),
        cmocka_unit_test(a_head_may_be_as_large_as_the_limit),
        cmocka_unit_test(a_line_out_of_place_is_refused),
        cmocka_unit_test(a_plain_request_is_taken_apart),
        cmocka_unit_test(what_is_not_plain_is_left_to_libmicrohttpd),
        cmocka_unit_test(a_plain_request_has_so_many_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
