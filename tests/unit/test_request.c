/* SPDX-License-Identifier: MIT */
#include "http/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#define BODY_MAX    16
#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

/* --- reading in pieces --------------------------------------------------------------- */

struct reading {
    struct request request;
    enum request_progress progress;
    size_t given; /* bytes of the text passed so far */
    size_t len;
    char *bytes; /* owned; without a spare byte, so that a sanitizer sees a read past its
                    end */
};

static void give(struct reading *reading, const char *piece, size_t len)
{
    char *moved = malloc(reading->len + len);
    assert_non_null(moved);
    if (reading->len > 0)
        memcpy(moved, reading->bytes, reading->len);
    memcpy(moved + reading->len, piece, len);
    free(reading->bytes);
    reading->bytes = moved;
    reading->len += len;
    reading->given += len;
}

static void go_on(struct reading *reading, size_t max)
{
    do
        reading->progress =
            request_read(&reading->request, reading->bytes, &reading->len, max);
    while (reading->progress == REQUEST_HEAD);
}

/* Reads one request of a text that comes in pieces of `step` bytes. */
static struct reading read_pieces(const char *text, size_t len, size_t step, size_t max)
{
    struct reading reading = {.progress = REQUEST_MORE};
    request_init(&reading.request);
    while (reading.progress == REQUEST_MORE && reading.given < len) {
        size_t left = len - reading.given;
        give(&reading, text + reading.given, step < left ? step : left);
        go_on(&reading, max);
    }
    return reading;
}

static const size_t steps[] = {SIZE_MAX, 1, 2, 7};

static const char *text_of(const struct reading *reading, struct request_text text)
{
    const char *from = reading->bytes + text.at;
    assert_int_equal(strlen(from), text.len); /* terminated by a NUL */
    return from;
}

static const char *field(const struct reading *reading, const char *name)
{
    const struct request *request = &reading->request;
    for (size_t i = 0; i < request->field_count; i++) {
        struct request_text found = request->fields[i].name;
        if (found.len == strlen(name) &&
            strncasecmp(reading->bytes + found.at, name, found.len) == 0)
            return text_of(reading, request->fields[i].value);
    }
    return NULL;
}

/* The expected result for a text, in whatever pieces it comes. NULL = not checked. */
struct outcome {
    enum request_progress progress;
    enum http_error error;
    const char *method, *path, *query, *host, *x, *body;
};

#define DONE      .progress = REQUEST_DONE
#define MORE      .progress = REQUEST_MORE
#define BAD(name) .progress = REQUEST_BAD, .error = HTTP_ERROR_##name

static bool is_same(const char *wanted, const char *found)
{
    return !wanted || (found && strcmp(wanted, found) == 0);
}

static bool comes_out(const struct reading *reading, const struct outcome *wanted)
{
    const struct request *request = &reading->request;
    if (reading->progress != wanted->progress)
        return false;
    if (reading->progress == REQUEST_BAD)
        return request->error == wanted->error;
    if (reading->progress == REQUEST_MORE)
        return true;

    size_t body_len = request->at - request->body;
    return request->stage == REQUEST_WHOLE &&
           is_same(wanted->method, text_of(reading, request->method)) &&
           is_same(wanted->path, text_of(reading, request->path)) &&
           is_same(wanted->query, text_of(reading, request->query)) &&
           request->query.len == strlen(text_of(reading, request->query)) &&
           is_same(wanted->host, field(reading, "Host")) &&
           is_same(wanted->x, field(reading, "X")) &&
           (!wanted->body ||
            (strlen(wanted->body) == body_len &&
             memcmp(reading->bytes + request->body, wanted->body, body_len) == 0));
}

static void expect_bytes(const char *text, size_t len, const struct outcome *wanted)
{
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct reading reading = read_pieces(text, len, steps[i], BODY_MAX);
        if (!comes_out(&reading, wanted))
            fail_msg("in pieces of %zu: progress %d, error %d, %.200s", steps[i],
                     reading.progress, reading.request.error, text);
        free(reading.bytes);
    }
}

static void expect(const char *text, const struct outcome *wanted)
{
    expect_bytes(text, strlen(text), wanted);
}

struct row {
    const char *text;
    struct outcome wanted;
};

/* Tries each row's text between two others. */
static void expect_rows(const char *before, const struct row *rows, size_t count,
                        const char *after)
{
    char text[1024];
    for (size_t i = 0; i < count; i++) {
        snprintf(text, sizeof text, "%s%s%s", before, rows[i].text, after);
        expect(text, &rows[i].wanted);
    }
}

/* --- the first line ------------------------------------------------------------------ */

static void request_lines_that_are_understood(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"GET / HTTP/1.1", {DONE, .method = "GET", .path = "/", .host = "x"}},
        {"GET / HTTP/1.0", {DONE, .method = "GET", .path = "/"}},
        {"get /a HTTP/1.1", {DONE, .method = "get", .path = "/a"}},
        {"a!#$%&'*+-.^_`|~09Z / HTTP/1.1", {DONE, .method = "a!#$%&'*+-.^_`|~09Z"}},
        {"OPTIONS * HTTP/1.1", {DONE, .method = "OPTIONS", .path = "*", .query = ""}},
        {"CONNECT /a HTTP/1.1", {DONE, .method = "CONNECT", .path = "/a"}},
        {"PRI / HTTP/1.1", {DONE, .method = "PRI"}},
        {"PROXYX / HTTP/1.1", {DONE, .method = "PROXYX"}},
        {"GET /a?b=c HTTP/1.1", {DONE, .path = "/a", .query = "b=c"}},
        {"GET /a?b?c HTTP/1.1", {DONE, .path = "/a", .query = "b?c"}},
        {"GET /? HTTP/1.1", {DONE, .path = "/", .query = ""}},
        {"GET /a?%2C%00&/http://b/ HTTP/1.1",
         {DONE, .path = "/a", .query = "%2C%00&/http://b/", .host = "x"}},
        {"GET // HTTP/1.1", {DONE, .path = "//", .query = ""}},
        {"GET /../%00 HTTP/1.1", {DONE, .path = "/../%00"}},
        {"GET /!\"#$&'()*+,-.:;<=>@[\\]^_`{|}~ HTTP/1.1",
         {DONE, .path = "/!\"#$&'()*+,-.:;<=>@[\\]^_`{|}~"}},
        {"GET /http://a/ HTTP/1.1", {DONE, .path = "/http://a/", .host = "x"}},
        {"\r\n\r\nGET /a HTTP/1.1", {DONE, .path = "/a"}},
    };
    expect_rows("", rows, COUNT(rows), "\r\nHost: x\r\n\r\n");
}

static void request_lines_that_are_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "GET",
        "GET /",
        "GET / ",
        "GET /HTTP/1.1",
        "GET HTTP/1.1",
        "GET  HTTP/1.1",
        "/ HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        " GET / HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET / HTTP/1.2",
        "GET / HTTP/1.10",
        "GET / HTTP/1.",
        "GET / HTTP/0.9",
        "GET / HTTP/2.0",
        "GET / HTTP/3",
        "GET / http/1.1",
        "GET / HTTPS/1.1",
        "GET / XHTTP/1.1",
        "G(T / HTTP/1.1",
        "G:T / HTTP/1.1",
        "G\xc3\xa4T / HTTP/1.1",
        "G\x7fT / HTTP/1.1",
        "GET a HTTP/1.1",
        "GET ?a HTTP/1.1",
        "GET ** HTTP/1.1",
        "GET *a HTTP/1.1",
        "GET /\x01 HTTP/1.1",
        "GET /\x7f HTTP/1.1",
        "GET /\x80 HTTP/1.1",
        "GET /\xc3\xa4 HTTP/1.1",
        "CONNECT a:80 HTTP/1.1",
        "GET / HTTP/1.1\r",
        "GET /\r HTTP/1.1",
        "\rGET / HTTP/1.1",
        "GET / HTTP/1.1\nX: y",
        "\nGET / HTTP/1.1",
    };
    char text[256];
    for (size_t i = 0; i < COUNT(lines); i++) {
        snprintf(text, sizeof text, "%s\r\nHost: x\r\n\r\n", lines[i]);
        expect(text, &(struct outcome){BAD(BAD_FRAMING)});
    }
}

static void a_target_in_absolute_form_replaces_the_host(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"http://a/", {DONE, .path = "/", .host = "a"}},
        {"http://a/b/c?d", {DONE, .path = "/b/c", .query = "d", .host = "a"}},
        {"https://a.example:443/b", {DONE, .path = "/b", .host = "a.example:443"}},
        {"HTTP://A:80/b", {DONE, .path = "/b", .host = "A:80"}},
        {"http://[::1]:80/b", {DONE, .path = "/b", .host = "[::1]:80"}},
        {"http://a", {DONE, .path = "/", .query = "", .host = "a"}},
        {"https://a", {DONE, .path = "/", .host = "a"}},
        {"http://a:80", {DONE, .path = "/", .host = "a:80"}},
        {"http://a?b", {DONE, .path = "/", .query = "b", .host = "a"}},
        {"https://a?/b", {DONE, .path = "/", .query = "/b", .host = "a"}},
        {"http://a?", {DONE, .path = "/", .query = "", .host = "a"}},
        {"http://a/b?c?d=http://e",
         {DONE, .path = "/b", .query = "c?d=http://e", .host = "a"}},
        {"http://a/?b", {DONE, .path = "/", .query = "b", .host = "a"}},
        {"http://a//", {DONE, .path = "//", .host = "a"}},
        {"http://a/http://b/", {DONE, .path = "/http://b/", .host = "a"}},
        {"http://", {BAD(BAD_FRAMING)}},
        {"https://", {BAD(BAD_FRAMING)}},
        {"http:///", {BAD(BAD_FRAMING)}},
        {"http://?a", {BAD(BAD_FRAMING)}},
        {"http://:80/", {BAD(BAD_FRAMING)}},
        {"http://u@a/", {BAD(BAD_FRAMING)}},
        {"http://u:p@a/", {BAD(BAD_FRAMING)}},
        {"http://@a/", {BAD(BAD_FRAMING)}},
        {"http://a\\b/", {BAD(BAD_FRAMING)}},
        {"http://a#b/", {BAD(BAD_FRAMING)}},
        {"http://a\xc3\xa4/", {BAD(BAD_FRAMING)}},
        {"http:/a/", {BAD(BAD_FRAMING)}},
        {"http:a/", {BAD(BAD_FRAMING)}},
        {"httpx://a/", {BAD(BAD_FRAMING)}},
        {"ftp://a/", {BAD(BAD_FRAMING)}},
    };
    expect_rows("GET ", rows, COUNT(rows), " HTTP/1.1\r\nX: y\r\nHost: b.example\r\n\r\n");
    expect_rows("GET ", rows, COUNT(rows), " HTTP/1.1\r\nHost:\r\n\r\n");
}

static void an_absolute_form_is_no_excuse_for_a_host(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"1.1\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: b\r\nHost: b\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: b/c\r\n", {BAD(BAD_FRAMING)}},
        {"1.0\r\n", {DONE, .path = "/p"}},
        {"1.0\r\nHost: b\r\n", {DONE, .path = "/p", .host = "a"}},
    };
    expect_rows("GET http://a/p HTTP/", rows, COUNT(rows), "\r\n");
}

/* --- other lines --------------------------------------------------------------------- */

static void every_request_has_the_hosts_that_its_version_allows(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"1.1\r\nHost: x\r\n", {DONE, .host = "x"}},
        {"1.1\r\nhOST:x:80\r\n", {DONE, .host = "x:80"}},
        {"1.1\r\nHost:\r\n", {DONE, .host = ""}},
        {"1.1\r\nHost: [fe80::1]\r\n", {DONE, .host = "[fe80::1]"}},
        {"1.1\r\nHost: [::1]:65535\r\n", {DONE, .host = "[::1]:65535"}},
        {"1.1\r\nHost: [V1f.a:~]:\r\n", {DONE, .host = "[V1f.a:~]:"}},
        {"1.1\r\nHost: a%2fb\r\n", {DONE, .host = "a%2fb"}},
        {"1.1\r\nHost: [::1]:65536\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: [::1]80\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: [v1.\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: [v1.]\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: [vg.a]\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: [192.0.2.1]\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: [\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: a:b\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: a[b\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: a%b\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: a%2\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: :80\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nX: y\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHosts: x\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: x\r\nHost: x\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: x\r\nA: b\r\nhost:\r\n", {BAD(BAD_FRAMING)}},
        {"1.0\r\n", {DONE}},
        {"1.0\r\nHost: x\r\n", {DONE, .host = "x"}},
        {"1.0\r\nHost: x\r\nHost: x\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: a b\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: a\tb\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: a/b\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: a?b\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: a#b\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: u@a\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: a\\b\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: <a>\r\n", {BAD(BAD_FRAMING)}},
        {"1.1\r\nHost: \xc3\xa4\r\n", {BAD(BAD_FRAMING)}},
        {"1.0\r\nHost: a/b\r\n", {BAD(BAD_FRAMING)}},
    };
    expect_rows("GET / HTTP/", rows, COUNT(rows), "\r\n");
}

static void lines_are_names_and_values(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"X: y", {DONE, .x = "y"}},
        {"X:y", {DONE, .x = "y"}},
        {"x: \t y \t ", {DONE, .x = "y"}},
        {"X:", {DONE, .x = ""}},
        {"X: ", {DONE, .x = ""}},
        {"X: \t ", {DONE, .x = ""}},
        {"X: a \t b", {DONE, .x = "a \t b"}},
        {"X: a:b: c", {DONE, .x = "a:b: c"}},
        {"X: \xc3\xa4\xff\x80", {DONE, .x = "\xc3\xa4\xff\x80"}},
        {"X: 1\r\nX: 2", {DONE, .x = "1"}},
        {"!#$%&'*+-.^_`|~09: 1\r\nX: 2", {DONE, .x = "2"}},
        {"X", {BAD(BAD_FRAMING)}},
        {": y", {BAD(BAD_FRAMING)}},
        {":", {BAD(BAD_FRAMING)}},
        {"X : y", {BAD(BAD_FRAMING)}},
        {"X\t: y", {BAD(BAD_FRAMING)}},
        {"X Y: z", {BAD(BAD_FRAMING)}},
        {"X(: y", {BAD(BAD_FRAMING)}},
        {"\xc3\xa4: y", {BAD(BAD_FRAMING)}},
        {"X\x01: y", {BAD(BAD_FRAMING)}},
        {"X: \x01", {BAD(BAD_FRAMING)}},
        {"X: a\x0b", {BAD(BAD_FRAMING)}},
        {"X: \x1b[1m", {BAD(BAD_FRAMING)}},
        {"X: a\x7f", {BAD(BAD_FRAMING)}},
        {"X: a\rb", {BAD(BAD_FRAMING)}},
        {"X: a\r", {BAD(BAD_FRAMING)}},
        {"X: a\nY: b", {BAD(BAD_FRAMING)}},
        {"X: a\r\n\nY: b", {BAD(BAD_FRAMING)}},
        {"X: a\n\r", {BAD(BAD_FRAMING)}},
        {"X: a\r\n b", {BAD(BAD_FRAMING)}},
        {"X: a\r\n\tb", {BAD(BAD_FRAMING)}},
        {"X: a\r\n : b", {BAD(BAD_FRAMING)}},
        {" X: a", {BAD(BAD_FRAMING)}},
        {"X:\r\n b", {BAD(BAD_FRAMING)}},
        {"X: a\r\n ", {BAD(BAD_FRAMING)}},
    };
    expect_rows("GET / HTTP/1.1\r\nHost: x\r\n", rows, COUNT(rows), "\r\n\r\n");
    expect_rows("GET / HTTP/1.1\r\n", rows, COUNT(rows), "\r\nHost: x\r\n\r\n");
}

static void a_nul_is_refused_anywhere_in_a_head(void **state)
{
    (void)state;
    static const char sound[] = "GET /path HTTP/1.1\r\nHost: x\r\nX: value\r\n\r\n";
    char text[sizeof sound];
    for (size_t i = 0; i < sizeof sound - 2; i++) {
        memcpy(text, sound, sizeof sound);
        text[i] = '\0';
        expect_bytes(text, sizeof sound - 1, &(struct outcome){BAD(BAD_FRAMING)});
    }
}

static void a_line_ends_with_both_its_bytes(void **state)
{
    (void)state;
    static const char sound[] = "\r\nPOST / HTTP/1.1\r\nHost: x\r\nX: y\r\n"
                                "Transfer-Encoding: chunked\r\n\r\n"
                                "1;a\r\nb\r\n0\r\nX: y\r\n\r\n";
    char text[sizeof sound];
    expect(sound, &(struct outcome){DONE, .body = "b"});
    for (size_t i = 0; i < sizeof sound - 1; i++) {
        if (sound[i] != '\r' && sound[i] != '\n')
            continue;
        memcpy(text, sound, i);
        memcpy(text + i, sound + i + 1, sizeof sound - i - 1);
        if (i == sizeof sound - 2)
            expect(text, &(struct outcome){MORE});
        else
            expect(text, &(struct outcome){BAD(BAD_FRAMING)});
    }
}

/* --- how long a body is -------------------------------------------------------------- */

static void a_length_is_one_number(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"Content-Length: 5", {DONE, .body = "hello"}},
        {"content-length:5", {DONE, .body = "hello"}},
        {"Content-Length: \t5\t ", {DONE, .body = "hello"}},
        {"Content-Length: 005", {DONE, .body = "hello"}},
        {"Content-Length: 0", {DONE, .body = ""}},
        {"Content-Length: 16", {DONE, .body = "hello and more. "}},
        {"X: y", {DONE, .body = ""}},
        {"Content-Length: 999", {BAD(BODY_TOO_LARGE)}},
        {"Content-Length: 17", {BAD(BODY_TOO_LARGE)}},
        {"Content-Length: 4294967301", {BAD(BODY_TOO_LARGE)}},
        {"Content-Length: 9223372036854775807", {BAD(BODY_TOO_LARGE)}},
        {"Content-Length: 9223372036854775808", {BAD(BAD_FRAMING)}},
        {"Content-Length: 18446744073709551621", {BAD(BAD_FRAMING)}},
        {"Content-Length:", {BAD(BAD_FRAMING)}},
        {"Content-Length: +5", {BAD(BAD_FRAMING)}},
        {"Content-Length: -5", {BAD(BAD_FRAMING)}},
        {"Content-Length: 0x5", {BAD(BAD_FRAMING)}},
        {"Content-Length: 5 5", {BAD(BAD_FRAMING)}},
        {"Content-Length: 5,", {BAD(BAD_FRAMING)}},
        {"Content-Length: 5, 5", {BAD(BAD_FRAMING)}},
        {"Content-Length: 5.0", {BAD(BAD_FRAMING)}},
        {"Content-Length: \"5\"", {BAD(BAD_FRAMING)}},
        {"Content-Length: five", {BAD(BAD_FRAMING)}},
        {"Content-Length: 5\r\nContent-Length: 5", {BAD(BAD_FRAMING)}},
        {"Content-Length: 5\r\nContent-Length: 6", {BAD(BAD_FRAMING)}},
        {"Content-Length: 0\r\nContent-Length: 0", {BAD(BAD_FRAMING)}},
        {"Content-Length: 5\r\nX: y\r\ncontent-length: 5", {BAD(BAD_FRAMING)}},
    };
    for (int minor = 0; minor <= 1; minor++) {
        char before[64];
        snprintf(before, sizeof before, "GET / HTTP/1.%d\r\nHost: x\r\n", minor);
        expect_rows(before, rows, COUNT(rows), "\r\n\r\nhello and more. And more.");
    }
}

static void the_only_coding_is_chunked(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"Transfer-Encoding: chunked", {DONE, .body = "hello"}},
        {"transfer-encoding:CHUNKED \t", {DONE, .body = "hello"}},
        {"Transfer-Encoding:", {BAD(BAD_FRAMING)}},
        {"Transfer-Encoding: identity", {BAD(BAD_FRAMING)}},
        {"Transfer-Encoding: gzip", {BAD(BAD_FRAMING)}},
        {"Transfer-Encoding: gzip, chunked", {BAD(BAD_FRAMING)}},
        {"Transfer-Encoding: chunked, gzip", {BAD(BAD_FRAMING)}},
        {"Transfer-Encoding: chunked, chunked", {BAD(BAD_FRAMING)}},
        {"Transfer-Encoding: chunked,", {BAD(BAD_FRAMING)}},
        {"Transfer-Encoding: ,chunked", {BAD(BAD_FRAMING)}},
        {"Transfer-Encoding: chunked;a=b", {BAD(BAD_FRAMING)}},
        {"Transfer-Encoding: \"chunked\"", {BAD(BAD_FRAMING)}},
        {"Transfer-Encoding: xchunked", {BAD(BAD_FRAMING)}},
        {"Transfer-Encoding: chunkedx", {BAD(BAD_FRAMING)}},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", {BAD(BAD_FRAMING)}},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding:", {BAD(BAD_FRAMING)}},
        {"Transfer-Encoding: chunked\r\nContent-Length: 5", {BAD(BAD_FRAMING)}},
        {"Content-Length: 5\r\nTransfer-Encoding: chunked", {BAD(BAD_FRAMING)}},
        {"Content-Length: 0\r\nTransfer-Encoding: chunked", {BAD(BAD_FRAMING)}},
    };
    expect_rows("POST / HTTP/1.1\r\nHost: x\r\n", rows, COUNT(rows),
                "\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    expect("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           &(struct outcome){BAD(BAD_FRAMING)});
}

static void whether_a_body_follows(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool has_body;
    } rows[] = {
        {"", false},
        {"Content-Length: 0\r\n", false},
        {"Content-Length: 1\r\n", true},
        {"Transfer-Encoding: chunked\r\n", true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[128];
        int len = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n",
                           rows[i].line);
        struct request request;
        request_init(&request);
        size_t size = (size_t)len;
        assert_int_equal(request_read(&request, text, &size, 0), REQUEST_HEAD);
        assert_int_equal(request.body, len);
        assert_int_equal(request.at, len);
        assert_int_equal(request_has_body(&request), rows[i].has_body);
    }
}

static void whether_100_continue_is_waited_for(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        bool is_expected;
    } rows[] = {
        {"1.1\r\nHost: x\r\n\r\n", false},
        {"1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n", true},
        {"1.1\r\nexpect:100-Continue\r\nHost: x\r\n\r\n", true},
        {"1.1\r\nHost: x\r\nExpect: 100-continued\r\n\r\n", false},
        {"1.1\r\nHost: x\r\nExpect:\r\n\r\n", false},
        {"1.0\r\nExpect: 100-continue\r\n\r\n", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[128];
        int len = snprintf(text, sizeof text, "GET / HTTP/%s", rows[i].lines);
        struct request request;
        request_init(&request);
        size_t size = (size_t)len;
        assert_int_equal(request_read(&request, text, &size, 0), REQUEST_HEAD);
        assert_int_equal(request.expects_continue, rows[i].is_expected);
    }
}

static void a_body_is_whole_with_its_last_byte(void **state)
{
    (void)state;
    static const char head[] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
    char text[sizeof head + 5];
    for (size_t len = 0; len < sizeof head + 4; len++) {
        snprintf(text, sizeof text, "%shello", head);
        text[len] = '\0';
        expect(text, &(struct outcome){MORE});
    }
    snprintf(text, sizeof text, "%shello", head);
    expect(text, &(struct outcome){DONE, .body = "hello"});
}

static void a_body_is_any_bytes(void **state)
{
    (void)state;
    static const char text[] =
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\n\0\r\n\r\n3\r\n\n\xff\r\r\n0\r\n\r\n";
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct reading reading = read_pieces(text, sizeof text - 1, steps[i], BODY_MAX);
        assert_int_equal(reading.progress, REQUEST_DONE);
        assert_int_equal(reading.request.at - reading.request.body, 6);
        assert_memory_equal(reading.bytes + reading.request.body, "\0\r\n\n\xff\r", 6);
        free(reading.bytes);
    }
}

/* --- chunks -------------------------------------------------------------------------- */

#define CHUNKED_HEAD "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

static void chunks_are_joined(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"0\r\n\r\n", {DONE, .body = ""}},
        {"000\r\n\r\n", {DONE, .body = ""}},
        {"5\r\nhello\r\n0\r\n\r\n", {DONE, .body = "hello"}},
        {"1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n", {DONE, .body = "abcdef"}},
        {"0005\r\nhello\r\n0\r\n\r\n", {DONE, .body = "hello"}},
        {"00000000000000000000000000000005\r\nhello\r\n0\r\n\r\n", {DONE, .body = "hello"}},
        {"a\r\n0123456789\r\n0\r\n\r\n", {DONE, .body = "0123456789"}},
        {"F\r\n0123456789abcde\r\n0\r\n\r\n", {DONE, .body = "0123456789abcde"}},
        {"10\r\n0123456789abcdef\r\n0\r\n\r\n", {DONE, .body = "0123456789abcdef"}},
        {"5\r\n0\r\n\r\n\r\n0\r\n\r\n", {DONE, .body = "0\r\n\r\n"}},
        {"f\r\n0123456789abcde\r\n1\r\nf\r\n0\r\n\r\n", {DONE, .body = "0123456789abcdef"}},
        {"5;a=b\r\nhello\r\n0;c\r\n\r\n", {DONE, .body = "hello"}},
        {"5;\r\nhello\r\n0;;\r\n\r\n", {DONE, .body = "hello"}},
        {"5;a=\"b;\tc\"\r\nhello\r\n0\r\n\r\n", {DONE, .body = "hello"}},
        {"0\r\nA: b\r\nC:\r\n\r\n", {DONE, .body = "", .host = "x"}},
        {"0\r\nHost: y\r\nContent-Lengths: 5\r\n\r\n", {DONE, .body = "", .host = "x"}},
        {"", {MORE}},
        {"5", {MORE}},
        {"5\r\n", {MORE}},
        {"5\r\nhello", {MORE}},
        {"5\r\nhello\r", {MORE}},
        {"5\r\nhello\r\n", {MORE}},
        {"0\r\n", {MORE}},
        {"0\r\nA: b\r\n", {MORE}},
        {"0\r\nA: b\r\n\r", {MORE}},
    };
    expect_rows(CHUNKED_HEAD, rows, COUNT(rows), "");
}

static void chunks_that_are_refused(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"\r\n", {BAD(BAD_FRAMING)}},
        {"x\r\n", {BAD(BAD_FRAMING)}},
        {"g\r\n", {BAD(BAD_FRAMING)}},
        {" 5\r\nhello\r\n", {BAD(BAD_FRAMING)}},
        {"5 \r\nhello\r\n", {BAD(BAD_FRAMING)}},
        {"5\t\r\nhello\r\n", {BAD(BAD_FRAMING)}},
        {"5 ;a\r\nhello\r\n", {BAD(BAD_FRAMING)}},
        {"+5\r\nhello\r\n", {BAD(BAD_FRAMING)}},
        {"-5\r\nhello\r\n", {BAD(BAD_FRAMING)}},
        {"-0\r\n\r\n", {BAD(BAD_FRAMING)}},
        {"0x5\r\nhello\r\n", {BAD(BAD_FRAMING)}},
        {"5h\r\nhello\r\n", {BAD(BAD_FRAMING)}},
        {"5,\r\nhello\r\n", {BAD(BAD_FRAMING)}},
        {";a\r\n", {BAD(BAD_FRAMING)}},
        {"5;a\x01\r\nhello\r\n", {BAD(BAD_FRAMING)}},
        {"5;a\x7f\r\nhello\r\n", {BAD(BAD_FRAMING)}},
        {"5;a\rb\r\nhello\r\n", {BAD(BAD_FRAMING)}},
        {"5;a\nhello\r\n", {BAD(BAD_FRAMING)}},
        {"5\nhello\r\n", {BAD(BAD_FRAMING)}},
        {"5\r\nhelloXY", {BAD(BAD_FRAMING)}},
        {"5\r\nhello\rX", {BAD(BAD_FRAMING)}},
        {"5\r\nhello\n", {BAD(BAD_FRAMING)}},
        {"4\r\nhello\r\n", {BAD(BAD_FRAMING)}},
        {"0\r\nA b\r\n", {BAD(BAD_FRAMING)}},
        {"0\r\nA : b\r\n", {BAD(BAD_FRAMING)}},
        {"0\r\nA: \x01\r\n", {BAD(BAD_FRAMING)}},
        {"0\r\nA: b\r\n c\r\n", {BAD(BAD_FRAMING)}},
        {"0\r\nContent-Length: 5\r\n", {BAD(BAD_FRAMING)}},
        {"0\r\nA: b\r\ncontent-length:\r\n", {BAD(BAD_FRAMING)}},
        {"0\r\nTransfer-Encoding: chunked\r\n", {BAD(BAD_FRAMING)}},
        {"0\r\nConnection: close\r\n", {BAD(BAD_FRAMING)}},
        {"0\r\nProxy-Connection: close\r\n", {BAD(BAD_FRAMING)}},
        {"0\r\n\n", {BAD(BAD_FRAMING)}},
        {"0\n\r\n", {BAD(BAD_FRAMING)}},
    };
    expect_rows(CHUNKED_HEAD, rows, COUNT(rows), "");
    expect_rows(CHUNKED_HEAD "1\r\na\r\n", rows, COUNT(rows), "");
}

/* The size alone decides: no byte of the chunk needs to arrive. */
static void chunks_that_are_too_large(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"11\r\n", {BAD(BODY_TOO_LARGE)}},
        {"00011;a\r\n", {BAD(BODY_TOO_LARGE)}},
        {"8\r\n01234567\r\n9\r\n", {BAD(BODY_TOO_LARGE)}},
        {"10\r\n0123456789abcdef\r\n1\r\n", {BAD(BODY_TOO_LARGE)}},
        {"ffffffff\r\n", {BAD(BODY_TOO_LARGE)}},
        {"100000000\r\n", {BAD(BODY_TOO_LARGE)}},
        {"100000001\r\n", {BAD(BODY_TOO_LARGE)}},
        {"ffffffffffffffff\r\n", {BAD(BODY_TOO_LARGE)}},
        {"10000000000000000\r\n", {BAD(BODY_TOO_LARGE)}},
        {"10000000000000005\r\n", {BAD(BODY_TOO_LARGE)}},
        {"1000000000000000000000000000000000000005\r\n", {BAD(BODY_TOO_LARGE)}},
        {"1\r\na\r\nffffffffffffffff\r\n", {BAD(BODY_TOO_LARGE)}},
    };
    expect_rows(CHUNKED_HEAD, rows, COUNT(rows), "");
}

static void trailers_are_dropped(void **state)
{
    (void)state;
    static const char text[] = CHUNKED_HEAD "1\r\na\r\n0\r\nX: y\r\nHost: z\r\n\r\nnext";
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct reading reading = read_pieces(text, sizeof text - 1, steps[i], BODY_MAX);
        assert_int_equal(reading.progress, REQUEST_DONE);
        assert_int_equal(reading.request.field_count, 2);
        assert_null(field(&reading, "X"));
        free(reading.bytes);
    }
}

/* An offset of a large body fits no 16 bits. */
static void trailers_behind_a_large_body_are_read_alike(void **state)
{
    (void)state;
    static const struct {
        const char *trailer;
        enum request_progress progress;
    } rows[] = {
        {"Content-Length: 5", REQUEST_BAD},
        {"Connection: close", REQUEST_BAD},
        {"X: y", REQUEST_DONE},
    };
    static const char fill[] = "Content-Length: 5 ";
    const size_t large = 0x10000;
    char *text = malloc(sizeof CHUNKED_HEAD + large + 200);
    assert_non_null(text);
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t len = (size_t)snprintf(text, 200, CHUNKED_HEAD "%zx\r\n", large);
        for (size_t j = 0; j < large; j++)
            text[len++] = fill[j % (sizeof fill - 1)];
        len += (size_t)snprintf(text + len, 100, "\r\n0\r\n%s\r\n\r\n", rows[i].trailer);
        for (size_t step = 1000; step < len; step *= 10) {
            struct reading reading = read_pieces(text, len, step, large);
            assert_int_equal(reading.progress, rows[i].progress);
            free(reading.bytes);
        }
    }
    free(text);
}

/* --- limits -------------------------------------------------------------------------- */

struct growing {
    char bytes[4 * REQUEST_HEAD_MAX];
    size_t len;
};

static void grow(struct growing *text, const char *more)
{
    size_t len = strlen(more);
    assert_true(text->len + len <= sizeof text->bytes);
    memcpy(text->bytes + text->len, more, len);
    text->len += len;
}

static void fill(struct growing *text, char c, size_t count)
{
    assert_true(text->len + count <= sizeof text->bytes);
    memset(text->bytes + text->len, c, count);
    text->len += count;
}

static struct growing head_of(size_t size, const char *before)
{
    struct growing text = {.len = 0};
    grow(&text, before);
    grow(&text, "GET / HTTP/1.1\r\nHost: x\r\nX: ");
    fill(&text, 'y', size - text.len - 4);
    grow(&text, "\r\n\r\n");
    assert_int_equal(text.len, size);
    return text;
}

static void a_head_may_have_8_kilobytes(void **state)
{
    (void)state;
    static const char *const before[] = {"", "\r\n\r\n"};
    for (size_t i = 0; i < COUNT(before); i++) {
        struct growing text = head_of(REQUEST_HEAD_MAX, before[i]);
        expect_bytes(text.bytes, text.len, &(struct outcome){DONE, .path = "/"});
        fill(&text, 'z', 100);
        expect_bytes(text.bytes, text.len, &(struct outcome){DONE, .path = "/"});
        text = head_of(REQUEST_HEAD_MAX + 1, before[i]);
        expect_bytes(text.bytes, text.len, &(struct outcome){BAD(HEADERS_TOO_LARGE)});
    }
}

static void a_head_without_an_end_is_refused_at_its_limit(void **state)
{
    (void)state;
    static const char *const before[] = {"G", "GET / HTTP/1.1\r\nX: "};
    for (size_t i = 0; i < COUNT(before); i++) {
        struct growing text = {.len = 0};
        grow(&text, before[i]);
        fill(&text, 'y', REQUEST_HEAD_MAX - 1 - text.len);
        expect_bytes(text.bytes, text.len, &(struct outcome){MORE});
        fill(&text, 'y', 1);
        expect_bytes(text.bytes, text.len, &(struct outcome){BAD(HEADERS_TOO_LARGE)});
    }
}

static void blank_lines_count(void **state)
{
    (void)state;
    struct growing text = {.len = 0};
    while (text.len < REQUEST_HEAD_MAX - 2)
        grow(&text, "\r\n");
    expect_bytes(text.bytes, text.len, &(struct outcome){MORE});
    grow(&text, "\r\n");
    expect_bytes(text.bytes, text.len, &(struct outcome){BAD(HEADERS_TOO_LARGE)});
}

static void a_head_may_have_256_lines(void **state)
{
    (void)state;
    struct growing text = {.len = 0};
    grow(&text, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < REQUEST_FIELDS_MAX - 2; i++)
        grow(&text, "a:\r\n");
    struct growing more = text;
    grow(&text, "X: last\r\n\r\n");
    expect_bytes(text.bytes, text.len, &(struct outcome){DONE, .x = "last"});
    grow(&more, "a:\r\nX: one more\r\n\r\n");
    expect_bytes(more.bytes, more.len, &(struct outcome){BAD(HEADERS_TOO_LARGE)});
}

#define FREE 16 /* bytes of a chunk-size line that do not count */

/* Extensions of two chunks and a trailer: `size` bytes that count. */
static struct growing extra_of(size_t size)
{
    struct growing text = {.len = 0};
    grow(&text, CHUNKED_HEAD "1;");
    fill(&text, 'e', 999);
    grow(&text, "\r\na\r\n0;");
    fill(&text, 'e', 999);
    grow(&text, "\r\nX: ");
    fill(&text, 'y', size - 2 * (1001 - FREE) - 3);
    grow(&text, "\r\n\r\n");
    return text;
}

static void extensions_and_trailers_may_have_8_kilobytes(void **state)
{
    (void)state;
    struct growing text = extra_of(REQUEST_EXTRA_MAX);
    expect_bytes(text.bytes, text.len, &(struct outcome){DONE, .body = "a"});
    text = extra_of(REQUEST_EXTRA_MAX + 1);
    expect_bytes(text.bytes, text.len, &(struct outcome){BAD(HEADERS_TOO_LARGE)});
}

static void one_extension_may_have_8_kilobytes(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        struct outcome wanted;
    } rows[] = {
        {REQUEST_EXTRA_MAX + FREE, {DONE, .body = "a"}},
        {REQUEST_EXTRA_MAX + FREE + 1, {BAD(HEADERS_TOO_LARGE)}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct growing text = {.len = 0};
        grow(&text, CHUNKED_HEAD "1;");
        fill(&text, 'e', rows[i].size - 2);
        grow(&text, "\r\na\r\n0\r\n\r\n");
        expect_bytes(text.bytes, text.len, &rows[i].wanted);
    }
}

static void a_chunk_line_without_an_end_is_refused_at_its_limit(void **state)
{
    (void)state;
    static const char *const before[] = {"1;", "0", "0\r\nX: "};
    for (size_t i = 0; i < COUNT(before); i++) {
        struct growing text = {.len = 0};
        grow(&text, CHUNKED_HEAD);
        grow(&text, before[i]);
        fill(&text, '0', REQUEST_EXTRA_MAX / 2);
        expect_bytes(text.bytes, text.len, &(struct outcome){MORE});
        fill(&text, '0', REQUEST_EXTRA_MAX);
        expect_bytes(text.bytes, text.len, &(struct outcome){BAD(HEADERS_TOO_LARGE)});
    }
}

/* --- what is not HTTP ---------------------------------------------------------------- */

static void what_cannot_be_a_request_is_refused_at_its_first_byte(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool is_token = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                        (c >= 'a' && c <= 'z') || (c != 0 && strchr("!#$%&'*+-.^_`|~", c));
        struct outcome wanted = {BAD(BAD_FRAMING)};
        if (c == 0x16)
            wanted = (struct outcome){BAD(TLS_AT_PLAIN)};
        else if (c == '\r' || is_token)
            wanted = (struct outcome){MORE};
        char text[3] = {'\r', '\n', (char)c};
        expect_bytes(text + 2, 1, &wanted);
        expect_bytes(text, 3, &wanted);
    }
}

static void other_protocols_are_named(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"PRI * HTTP/2.0\r\n", {BAD(HTTP_2)}},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {BAD(HTTP_2)}},
        {"PRI * HTTP/2.0", {MORE}},
        {"PRI * HTTP/2.1\r\n", {BAD(BAD_FRAMING)}},
        {"PRI * HTTP/2.0\n", {BAD(BAD_FRAMING)}},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", {BAD(PROXY_PROTOCOL)}},
        {"PROXY UNKNOWN\r\n", {BAD(PROXY_PROTOCOL)}},
        {"PROXY UNKNOWN\n", {BAD(BAD_FRAMING)}},
        {"PROXY\r\n", {BAD(BAD_FRAMING)}},
        {"PROX", {MORE}},
        {"\x16\x03\x01\x02", {BAD(TLS_AT_PLAIN)}},
    };
    expect_rows("", rows, COUNT(rows), "");
    expect_rows("\r\n", rows, COUNT(rows), "");
}

/* The line ends in its preamble are blank lines before a request and decide nothing. */
static void the_binary_proxy_protocol_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        enum http_error error; /* NONE: more bytes are needed */
    } rows[] = {
        {"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", 16, HTTP_ERROR_PROXY_PROTOCOL},
        {"\r\n\r\n\0", 5, HTTP_ERROR_PROXY_PROTOCOL},
        {"\r\n\r\n", 4, HTTP_ERROR_NONE},
        {"\r\n\0", 3, HTTP_ERROR_BAD_FRAMING},
        {"\r\n\r\n\r\n\0", 7, HTTP_ERROR_BAD_FRAMING},
        {"\r\n\r\nG\0", 6, HTTP_ERROR_NONE},
        {"abc \0", 5, HTTP_ERROR_NONE},
        {"\0\r\nQUIT\n", 8, HTTP_ERROR_BAD_FRAMING},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char bytes[32];
        size_t len = rows[i].len;
        struct request request;
        memcpy(bytes, rows[i].bytes, len);
        request_init(&request);
        enum request_progress progress = request_read(&request, bytes, &len, 0);
        assert_int_equal(request.error, rows[i].error);
        assert_int_equal(progress, rows[i].error ? REQUEST_BAD : REQUEST_MORE);
    }
}

/* --- what follows -------------------------------------------------------------------- */

/* Uses the buffer as a connection does: drops what was read and moves the rest to the
 * front. */
static void expect_sequence(const char *text, const struct outcome *wanted, size_t count,
                            size_t step)
{
    size_t len = strlen(text);
    struct reading reading = {.progress = REQUEST_MORE};
    request_init(&reading.request);
    for (size_t i = 0; i < count; i++) {
        if (reading.len > 0)
            go_on(&reading, BODY_MAX);
        while (reading.progress == REQUEST_MORE && reading.given < len) {
            size_t left = len - reading.given;
            give(&reading, text + reading.given, step < left ? step : left);
            go_on(&reading, BODY_MAX);
        }
        if (!comes_out(&reading, &wanted[i]))
            fail_msg("request %zu in pieces of %zu", i, step);
        size_t at = reading.request.at;
        reading.len -= at;
        memmove(reading.bytes, reading.bytes + at, reading.len);
        request_init(&reading.request);
        reading.progress = REQUEST_MORE;
    }
    assert_int_equal(reading.given, len);
    assert_int_equal(reading.len, 0);
    free(reading.bytes);
}

static void a_request_begins_where_the_last_one_ended(void **state)
{
    (void)state;
    static const char text[] =
        CHUNKED_HEAD "3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nT: t\r\n\r\n"
                     "GET /second HTTP/1.1\r\nHost: 2\r\n\r\n"
                     "POST /third HTTP/1.1\r\nHost: 3\r\nContent-Length: 3\r\n\r\n\r\n\r"
                     "\r\nPUT /fourth HTTP/1.0\r\nX: 4\r\n\r\n" CHUNKED_HEAD "0\r\n\r\n"
                     "DELETE http://six/sixth?q HTTP/1.1\r\nHost: 6\r\n\r\n";
    static const struct outcome wanted[] = {
        {DONE, .method = "POST", .path = "/", .body = "abcd"},
        {DONE, .method = "GET", .path = "/second", .host = "2", .body = ""},
        {DONE, .method = "POST", .path = "/third", .host = "3", .body = "\r\n\r"},
        {DONE, .method = "PUT", .path = "/fourth", .x = "4", .body = ""},
        {DONE, .method = "POST", .path = "/", .body = ""},
        {DONE, .method = "DELETE", .path = "/sixth", .host = "six", .body = ""},
    };
    for (size_t step = 1; step <= sizeof text; step++)
        expect_sequence(text, wanted, COUNT(wanted), step);
}

static void what_follows_a_body_lies_right_behind_it(void **state)
{
    (void)state;
    static const char text[] = CHUNKED_HEAD "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\nNEXT";
    struct reading reading = read_pieces(text, sizeof text - 1, SIZE_MAX, BODY_MAX);
    const struct request *request = &reading.request;
    assert_int_equal(reading.progress, REQUEST_DONE);
    assert_int_equal(request->body, sizeof CHUNKED_HEAD - 1);
    assert_int_equal(request->at, request->body + 4);
    assert_int_equal(reading.len, request->at + 4);
    assert_memory_equal(reading.bytes + request->body, "abcdNEXT", 8);
    free(reading.bytes);
}

static void what_has_come_of_a_body_lies_in_one_piece(void **state)
{
    (void)state;
    static const char text[] = CHUNKED_HEAD "2\r\nab\r\n4\r\ncd";
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct reading reading = read_pieces(text, sizeof text - 1, steps[i], BODY_MAX);
        const struct request *request = &reading.request;
        assert_int_equal(reading.progress, REQUEST_MORE);
        assert_int_equal(request->at, request->body + 4);
        assert_int_equal(reading.len, request->at);
        assert_memory_equal(reading.bytes + request->body, "abcd", 4);
        free(reading.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_lines_that_are_understood),
        cmocka_unit_test(request_lines_that_are_refused),
        cmocka_unit_test(a_target_in_absolute_form_replaces_the_host),
        cmocka_unit_test(an_absolute_form_is_no_excuse_for_a_host),
        cmocka_unit_test(every_request_has_the_hosts_that_its_version_allows),
        cmocka_unit_test(lines_are_names_and_values),
        cmocka_unit_test(a_nul_is_refused_anywhere_in_a_head),
        cmocka_unit_test(a_line_ends_with_both_its_bytes),
        cmocka_unit_test(a_length_is_one_number),
        cmocka_unit_test(the_only_coding_is_chunked),
        cmocka_unit_test(whether_a_body_follows),
        cmocka_unit_test(whether_100_continue_is_waited_for),
        cmocka_unit_test(a_body_is_whole_with_its_last_byte),
        cmocka_unit_test(a_body_is_any_bytes),
        cmocka_unit_test(chunks_are_joined),
        cmocka_unit_test(chunks_that_are_refused),
        cmocka_unit_test(chunks_that_are_too_large),
        cmocka_unit_test(trailers_are_dropped),
        cmocka_unit_test(trailers_behind_a_large_body_are_read_alike),
        cmocka_unit_test(a_head_may_have_8_kilobytes),
        cmocka_unit_test(a_head_without_an_end_is_refused_at_its_limit),
        cmocka_unit_test(blank_lines_count),
        cmocka_unit_test(a_head_may_have_256_lines),
        cmocka_unit_test(extensions_and_trailers_may_have_8_kilobytes),
        cmocka_unit_test(one_extension_may_have_8_kilobytes),
        cmocka_unit_test(a_chunk_line_without_an_end_is_refused_at_its_limit),
        cmocka_unit_test(what_cannot_be_a_request_is_refused_at_its_first_byte),
        cmocka_unit_test(other_protocols_are_named),
        cmocka_unit_test(the_binary_proxy_protocol_is_named),
        cmocka_unit_test(a_request_begins_where_the_last_one_ended),
        cmocka_unit_test(what_follows_a_body_lies_right_behind_it),
        cmocka_unit_test(what_has_come_of_a_body_lies_in_one_piece),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
