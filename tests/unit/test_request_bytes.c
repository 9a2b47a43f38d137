/* SPDX-License-Identifier: MIT
 *
 * Every byte at every kind of place in a request: accepted where the grammar of RFC 9110,
 * RFC 9112 and RFC 3986 allows it, and refused everywhere else.
 */
#include "http/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

/* --- sets of bytes
 * ------------------------------------------------------------------------ */

typedef bool(set_fn)(unsigned char c);

static bool none(unsigned char c)
{
    (void)c;
    return false;
}

static bool a_cr(unsigned char c)
{
    return c == '\r';
}

static bool an_lf(unsigned char c)
{
    return c == '\n';
}

static bool a_space(unsigned char c)
{
    return c == ' ';
}

static bool a_blank(unsigned char c)
{
    return c == ' ' || c == '\t';
}

static bool a_slash(unsigned char c)
{
    return c == '/';
}

static bool a_colon(unsigned char c)
{
    return c == ':';
}

static bool a_minor_version(unsigned char c)
{
    return c == '0' || c == '1';
}

static bool a_token(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c));
}

static bool of_a_name(unsigned char c)
{
    return a_token(c) || c == ':'; /* which ends it */
}

static bool visible(unsigned char c)
{
    return c > ' ' && c < 0x7f;
}

static bool of_a_value(unsigned char c)
{
    return c == '\t' || (c >= ' ' && c != 0x7f);
}

static bool of_a_host(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != 0 && strchr("!$&'()*+,-.;=_~", c));
}

/* In a target, a slash or a question mark ends it. */
static bool of_an_authority(unsigned char c)
{
    return of_a_host(c) || c == '/' || c == '?';
}

static bool around_a_host(unsigned char c)
{
    return of_a_host(c) || c == ':' || a_blank(c); /* the port may be empty */
}

static bool a_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static bool around_a_length(unsigned char c)
{
    return a_digit(c) || a_blank(c);
}

static bool a_hex_digit(unsigned char c)
{
    return a_digit(c) || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

static bool behind_a_size(unsigned char c)
{
    return a_hex_digit(c) || c == ';';
}

/* --- places
 * ------------------------------------------------------------------------------- */

#define GET     "GET /path HTTP/1.1\r\nHost: a\r\n"
#define LENGTH  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: "
#define CHUNKED "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

/* A byte between the two texts. The request is not refused if it is one of the set. */
static const struct place {
    const char *before, *after;
    set_fn *accepted;
} places[] = {
    {"G", "ET / HTTP/1.1\r\nHost: a\r\n\r\n", a_token},
    {"GET", " / HTTP/1.1\r\nHost: a\r\n\r\n", a_token},
    {"GET", "/ HTTP/1.1\r\nHost: a\r\n\r\n", a_space},
    {"GET ", "/ HTTP/1.1\r\nHost: a\r\n\r\n", a_slash},
    {"GET /a", "b HTTP/1.1\r\nHost: a\r\n\r\n", visible},
    {"GET /a", " HTTP/1.1\r\nHost: a\r\n\r\n", visible},
    {"GET /?a", "b HTTP/1.1\r\nHost: a\r\n\r\n", visible},
    {"GET http://a", "b/ HTTP/1.1\r\nHost: a\r\n\r\n", of_an_authority},
    {"GET http://a/b", "c HTTP/1.1\r\nHost: a\r\n\r\n", visible},
    {"GET /", "HTTP/1.1\r\nHost: a\r\n\r\n", a_space},
    {"GET / ", "HTTP/1.1\r\nHost: a\r\n\r\n", none},
    {"GET / HTTP", "/1.1\r\nHost: a\r\n\r\n", none},
    {"GET / HTTP/1", ".1\r\nHost: a\r\n\r\n", none},
    {"GET / HTTP/1.", "\r\nHost: a\r\n\r\n", a_minor_version},
    {"GET / HTTP/1.1", "\r\nHost: a\r\n\r\n", none},
    {"GET / HTTP/1.1", "\nHost: a\r\n\r\n", a_cr},
    {"GET / HTTP/1.1\r", "Host: a\r\n\r\n", an_lf},
    {"GET / HTTP/1.1\r\n", "\r\nHost: a\r\n\r\n", none},
    {"GET / HTTP/1.1\r\nHost: a", "b\r\n\r\n", of_a_host},
    {"GET / HTTP/1.1\r\nHost: a", "\r\n\r\n", around_a_host},
    {"GET / HTTP/1.1\r\nHost: a:1", "2\r\n\r\n", a_digit},
    {"GET / HTTP/1.1\r\nHost: a%2", "b\r\n\r\n", a_hex_digit},
    {"GET / HTTP/1.1\r\nHost: [::1]", "1\r\n\r\n", a_colon},
    {GET "X", "Y: a\r\n\r\n", of_a_name},
    {GET "X", ": a\r\n\r\n", of_a_name},
    {GET "X", "a\r\n\r\n", a_colon},
    {GET "X:", "a\r\n\r\n", of_a_value},
    {GET "X: a", "b\r\n\r\n", of_a_value},
    {GET "X: a", "\r\n\r\n", of_a_value},
    {GET "X: a", "\n\r\n", a_cr},
    {GET, "\n", a_cr},
    {GET "\r", "\n", an_lf},
    {LENGTH "1", "0\r\n\r\n", a_digit},
    {LENGTH, "1\r\n\r\n", around_a_length},
    {LENGTH "1", "\r\n\r\n", around_a_length},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ", "chunked\r\n\r\n", a_blank},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked", "\r\n\r\n", a_blank},
    {CHUNKED, "1\r\na", a_hex_digit},
    {CHUNKED "1", "\r\na", behind_a_size},
    {CHUNKED "1;a", "b\r\na\r\n", of_a_value},
    {CHUNKED "1\r\na", "\n0\r\n\r\n", a_cr},
    {CHUNKED "1\r\na\r", "0\r\n\r\n", an_lf},
    {CHUNKED "0", "\r\n", behind_a_size},
    {CHUNKED "0\r\nX", "Y: a\r\n\r\n", of_a_name},
    {CHUNKED "0\r\nX: a", "b\r\n\r\n", of_a_value},
    {CHUNKED "0\r\nX: a\r\n", "\n", a_cr},
};

static bool is_refused(const char *text, size_t len, size_t step)
{
    struct request request;
    size_t come = 0, given = 0;
    enum request_progress progress = REQUEST_MORE;
    char *bytes = malloc(len);
    assert_non_null(bytes);
    request_init(&request);
    while (progress == REQUEST_HEAD || (progress == REQUEST_MORE && given < len)) {
        size_t piece = step < len - given ? step : len - given;
        if (progress == REQUEST_MORE) {
            memcpy(bytes + come, text + given, piece);
            come += piece;
            given += piece;
        }
        progress = request_read(&request, bytes, &come, UINT32_MAX);
    }
    free(bytes);
    return progress == REQUEST_BAD;
}

static void every_byte_is_accepted_only_where_it_belongs(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(places); i++)
        for (unsigned c = 0; c < 256; c++) {
            const struct place *place = &places[i];
            char text[256];
            size_t before = strlen(place->before), after = strlen(place->after);
            memcpy(text, place->before, before);
            text[before] = (char)c;
            memcpy(text + before + 1, place->after, after);
            bool is_wanted = !place->accepted((unsigned char)c);
            if (is_refused(text, before + 1 + after, SIZE_MAX) != is_wanted ||
                is_refused(text, before + 1 + after, 1) != is_wanted)
                fail_msg("0x%02x between \"%s\" and \"%s\" is %s", c, place->before,
                         place->after, is_wanted ? "accepted" : "refused");
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_accepted_only_where_it_belongs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
