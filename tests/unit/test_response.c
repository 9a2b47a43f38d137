/* SPDX-License-Identifier: MIT */
#include "http/response.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))
#define DATE        "Thu, 26 Nov 2026 05:34:57 GMT"

/* Freed by the caller. */
static char *head_of(struct response response, const char *more_fields, bool *ret_failed)
{
    struct text fields, out;
    text_init(&fields, 1000);
    text_init(&out, RESPONSE_HEAD_MAX);
    text_append_str(&fields, more_fields);
    response.date = DATE;
    response.server = "s/1";
    response.content_type = "text/plain";
    response.fields = &fields;
    response_append_head(&out, &response);
    text_done(&fields);
    *ret_failed = out.failed;
    char *head = strdup(out.data);
    assert_non_null(head);
    text_done(&out);
    return head;
}

static void heads_look_so(void **state)
{
    (void)state;
    static const struct {
        struct response response;
        const char *fields;
        const char *head;
    } rows[] = {
        {{200, PERSISTENCE_STAYS, BODY_LENGTH, .body_len = 5},
         "",
         "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nServer: s/1\r\nCache-Control: no-store\r\n"
         "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n"},
        {{404, PERSISTENCE_CLOSE, BODY_LENGTH, .body_len = 0},
         "",
         "HTTP/1.1 404 Not Found\r\nDate: " DATE "\r\nConnection: close\r\nServer: s/1\r\n"
         "Cache-Control: no-store\r\nContent-Type: text/plain\r\nContent-Length: "
         "0\r\n\r\n"},
        {{200, PERSISTENCE_KEEP_ALIVE, BODY_LENGTH, .body_len = 18446744073709551615U},
         "",
         "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nConnection: keep-alive\r\nServer: s/1\r\n"
         "Cache-Control: no-store\r\nContent-Type: text/plain\r\n"
         "Content-Length: 18446744073709551615\r\n\r\n"},
        {{200, PERSISTENCE_STAYS, BODY_CHUNKS, .body_len = 5},
         "",
         "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nServer: s/1\r\nCache-Control: no-store\r\n"
         "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {{200, PERSISTENCE_CLOSE, BODY_TO_THE_END, .body_len = 5},
         "",
         "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nConnection: close\r\nServer: s/1\r\n"
         "Cache-Control: no-store\r\nContent-Type: text/plain\r\n\r\n"},
        {{204, PERSISTENCE_STAYS, BODY_LENGTH, .body_len = 5},
         "",
         "HTTP/1.1 204 No Content\r\nDate: " DATE "\r\nServer: s/1\r\n"
         "Cache-Control: no-store\r\nContent-Type: text/plain\r\n\r\n"},
        {{304, PERSISTENCE_STAYS, BODY_LENGTH, .body_len = 5},
         "ETag: \"e\"\r\nCache-Control: max-age=9\r\n",
         "HTTP/1.1 304 Not Modified\r\nDate: " DATE "\r\nServer: s/1\r\n"
         "Content-Type: text/plain\r\nContent-Length: 5\r\nETag: \"e\"\r\n"
         "Cache-Control: max-age=9\r\n\r\n"},
        {{200, PERSISTENCE_STAYS, BODY_LENGTH, .body_len = 5},
         "Cache-Control: public\r\nA: b\r\n",
         "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nServer: s/1\r\nContent-Type: text/plain\r\n"
         "Content-Length: 5\r\nCache-Control: public\r\nA: b\r\n\r\n"},
        {{200, PERSISTENCE_STAYS, BODY_LENGTH, .body_len = 5},
         "Vary: Cache-Control\r\n",
         "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nServer: s/1\r\nCache-Control: no-store\r\n"
         "Content-Type: text/plain\r\nContent-Length: 5\r\nVary: Cache-Control\r\n\r\n"},
        {{200, PERSISTENCE_STAYS, BODY_LENGTH, .body_len = 5, .is_tls = true},
         "",
         "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nServer: s/1\r\nCache-Control: no-store\r\n"
         "Strict-Transport-Security: max-age=31536000\r\n"
         "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n"},
        {{299, PERSISTENCE_STAYS, BODY_LENGTH, .body_len = 5},
         "",
         "HTTP/1.1 299 \r\nDate: " DATE "\r\nServer: s/1\r\nCache-Control: no-store\r\n"
         "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool failed;
        char *head = head_of(rows[i].response, rows[i].fields, &failed);
        assert_false(failed);
        assert_string_equal(head, rows[i].head);
        free(head);
    }
}

static void a_value_that_looks_like_cache_control_is_not_taken_for_it(void **state)
{
    (void)state;
    static const char *const fields[] = {"X: Cache-Control: public\r\n",
                                         "X-Cache-Control: public\r\n"};
    for (size_t i = 0; i < COUNT(fields); i++) {
        bool failed;
        char *head = head_of((struct response){.status = 200}, fields[i], &failed);
        assert_non_null(strstr(head, "\r\nCache-Control: no-store\r\n"));
        free(head);
    }
}

static void every_fault_has_a_status_with_a_phrase(void **state)
{
    (void)state;
    static const struct {
        enum http_error error;
        const char *line;
    } rows[] = {
        {HTTP_ERROR_BAD_FRAMING, "HTTP/1.1 400 Bad Request\r\n"},
        {HTTP_ERROR_HTTP_2, "HTTP/1.1 400 Bad Request\r\n"},
        {HTTP_ERROR_PROXY_PROTOCOL, "HTTP/1.1 400 Bad Request\r\n"},
        {HTTP_ERROR_TLS_AT_PLAIN, "HTTP/1.1 400 Bad Request\r\n"},
        {HTTP_ERROR_PLAIN_AT_TLS, "HTTP/1.1 400 Bad Request\r\n"},
        {HTTP_ERROR_NOT_FOUND, "HTTP/1.1 404 Not Found\r\n"},
        {HTTP_ERROR_METHOD_NOT_ALLOWED, "HTTP/1.1 405 Method Not Allowed\r\n"},
        {HTTP_ERROR_TIMEOUT, "HTTP/1.1 408 Request Timeout\r\n"},
        {HTTP_ERROR_BODY_TOO_LARGE, "HTTP/1.1 413 Content Too Large\r\n"},
        {HTTP_ERROR_UNSUPPORTED_ENCODING, "HTTP/1.1 415 Unsupported Media Type\r\n"},
        {HTTP_ERROR_CALLER_CONNECTIONS, "HTTP/1.1 429 Too Many Requests\r\n"},
        {HTTP_ERROR_HEADERS_TOO_LARGE, "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
        {HTTP_ERROR_CONNECTIONS, "HTTP/1.1 503 Service Unavailable\r\n"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool failed;
        struct response response = {.status = http_error_status(rows[i].error)};
        char *head = head_of(response, "", &failed);
        assert_memory_equal(head, rows[i].line, strlen(rows[i].line));
        free(head);
    }
}

static void a_head_whose_fields_failed_has_failed(void **state)
{
    (void)state;
    struct text fields, out;
    text_init(&fields, 8);
    text_init(&out, RESPONSE_HEAD_MAX);
    text_append_str(&fields, "A: b\r\n");
    text_append_str(&fields, "C: d\r\n");
    assert_true(fields.failed);
    const struct response response = {
        .status = 200, .date = DATE, .server = "s", .content_type = "t", .fields = &fields};
    response_append_head(&out, &response);
    assert_true(out.failed);
    text_done(&fields);
    text_done(&out);
}

static void pieces_have_frames_in_chunks_alone(void **state)
{
    (void)state;
    static const struct {
        enum body_form form;
        const char *body;
    } rows[] = {
        {BODY_CHUNKS, "1\r\na\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"},
        {BODY_TO_THE_END, "a0123456789abcdef"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct text out;
        text_init(&out, 1000);
        response_append_piece(&out, rows[i].form, "a", 1);
        response_append_piece(&out, rows[i].form, "0123456789abcdefg", 16);
        response_append_end(&out, rows[i].form);
        assert_string_equal(out.data, rows[i].body);
        text_done(&out);
    }
}

static void pieces_are_any_bytes(void **state)
{
    (void)state;
    struct text out;
    text_init(&out, 1000);
    response_append_piece(&out, BODY_CHUNKS, "\0\r\n", 3);
    assert_int_equal(out.len, 8);
    assert_memory_equal(out.data, "3\r\n\0\r\n\r\n", 8);
    text_done(&out);
}

static void pieces_beyond_the_ceiling_mark_the_text(void **state)
{
    (void)state;
    struct text out;
    text_init(&out, 10);
    response_append_piece(&out, BODY_CHUNKS, "12345", 5);
    assert_false(out.failed);
    response_append_piece(&out, BODY_CHUNKS, "6", 1);
    assert_true(out.failed);
    text_done(&out);
}

static void dates_are_written_so(void **state)
{
    (void)state;
    static const struct {
        int64_t second;
        const char *text;
    } rows[] = {
        {1, "Thu, 01 Jan 1970 00:00:01 GMT"},
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {951782399, "Mon, 28 Feb 2000 23:59:59 GMT"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {1795671297, "Thu, 26 Nov 2026 05:34:57 GMT"},
        {4102444799, "Thu, 31 Dec 2099 23:59:59 GMT"},
        {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
    };
    struct http_date date = {0};
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_string_equal(http_date_text(&date, rows[i].second), rows[i].text);
}

static void every_weekday_and_month_has_its_name(void **state)
{
    (void)state;
    static const char *const days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct http_date date = {0};
    for (int i = 0; i < 7; i++)
        assert_memory_equal(http_date_text(&date, i * 86400 + 1), days[i], 3);
    for (int i = 0; i < 12; i++)
        assert_memory_equal(http_date_text(&date, (i * 30 + 15) * 86400) + 8, months[i], 3);
}

static void a_date_is_made_once_a_second(void **state)
{
    (void)state;
    struct http_date date = {0};
    const char *text = http_date_text(&date, 784111777);
    date.text[0] = 'X'; /* shows whether it is formatted again */
    assert_ptr_equal(http_date_text(&date, 784111777), text);
    assert_int_equal(text[0], 'X');
    assert_string_equal(http_date_text(&date, 784111778), "Sun, 06 Nov 1994 08:49:38 GMT");
    assert_string_equal(http_date_text(&date, 784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_look_so),
        cmocka_unit_test(a_value_that_looks_like_cache_control_is_not_taken_for_it),
        cmocka_unit_test(every_fault_has_a_status_with_a_phrase),
        cmocka_unit_test(a_head_whose_fields_failed_has_failed),
        cmocka_unit_test(pieces_have_frames_in_chunks_alone),
        cmocka_unit_test(pieces_are_any_bytes),
        cmocka_unit_test(pieces_beyond_the_ceiling_mark_the_text),
        cmocka_unit_test(dates_are_written_so),
        cmocka_unit_test(every_weekday_and_month_has_its_name),
        cmocka_unit_test(a_date_is_made_once_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
