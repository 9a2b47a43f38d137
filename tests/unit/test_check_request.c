/* SPDX-License-Identifier: MIT */
#include "api/check_request.h"

#include "api/problem.h"
#include "base/json_memory.h"
#include "base/text.h"
#include "net/port_set.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#define PORTS_MAX 1024

/* The n-th allocation of our own code from now on fails, jansson's included. */
static unsigned fails_at;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    return fails_at > 0 && --fails_at == 0 ? NULL : __real_malloc(size);
}

/* Parses `body` and writes the result as text: the body of the 422, or the address, ports
 * and `details` of a request. */
static void read_body(const char *body, size_t len, const char *content_type, size_t max,
                      struct text *out)
{
    static struct violation_list violations;
    struct check_request request;
    struct port_set ports;
    char address[ADDRESS_TEXT_SIZE];

    assert_true(port_set_init(&ports, max, NULL));
    text_reset(out);
    if (check_request_parse(body, len, content_type, &ports, &request, &violations)) {
        assert_int_equal(violations.count, 0);
        text_append_str(out, address_format(&request.target, address));
        for (size_t i = 0; i < ports.count; i++)
            text_printf(out, " %u", ports.ports[i]);
        text_append_str(out, request.wants_details ? " details" : "");
        text_append_str(out, request.wants_receipt ? " receipt" : "");
        text_append_str(out, request.for_text);
    } else {
        size_t reply_len = 0;
        char *reply = violation_list_body(&violations, &reply_len);
        assert_non_null(reply);
        assert_int_equal(ports.count, 0);
        text_append(out, reply, reply_len);
        free(reply);
    }
    assert_false(out->failed);
    port_set_done(&ports);
}

static void assert_read_as(const char *body, size_t len, const char *content_type,
                           const char *wanted)
{
    struct text out;
    text_init(&out, 1 << 20);
    read_body(body, len, content_type, PORTS_MAX, &out);
    if (strcmp(out.data, wanted) != 0)
        fail_msg("%.*s\n  gave   %s\n  wanted %s", (int)len, body, out.data, wanted);
    text_done(&out);
}

#define VIOLATION(loc, msg, type)                                                          \
    "{\"loc\": [" loc "], \"msg\": \"" msg "\", \"type\": \"" type "\"}"
#define DETAIL(violations) "{\"detail\": [" violations "]}"
#define BODY               "\"body\""
#define FIELD(name)        "\"body\", \"" name "\""
#define PORT(index)        "\"body\", \"ports\", " #index

#define REQUIRED(loc)      VIOLATION(loc, "field required", "value_error.missing")
#define NO_INTEGER(loc)    VIOLATION(loc, "value is not a valid integer", "type_error.integer")
#define NO_PORT(loc, n)    VIOLATION(loc, "Invalid port number: " n, "value_error")
#define NO_RANGE(loc)                                                                      \
    VIOLATION(loc,                                                                         \
              "Invalid port range: write it as first-last, both 1-65535, first not above " \
              "last",                                                                      \
              "value_error")
#define NO_ADDRESS                                                                         \
    VIOLATION(                                                                             \
        FIELD("provider_ip"),                                                              \
        "value is not a valid IPv4 or IPv6 address: write one such as 203.0.113.7 or "     \
        "2001:db8::7, no name, port, brackets or zone",                                    \
        "value_error")
#define NO_DICT VIOLATION(BODY, "value is not a valid dict", "type_error.dict")
#define NO_LIST VIOLATION(FIELD("ports"), "value is not a valid list", "type_error.list")
#define NO_BOOL                                                                            \
    VIOLATION(FIELD("details"), "value could not be parsed to a boolean", "type_error.bool")
#define NO_STR VIOLATION(FIELD("provider_ip"), "str type expected", "type_error.str")
#define TOO_MANY                                                                           \
    VIOLATION(FIELD("ports"),                                                              \
              "too many ports: at most 1024 different ones may be asked for at once",      \
              "value_error")

/* The rest of a request whose `ports` are tried. */
#define WITH(ports) "{\"provider_ip\": \"192.0.2.7\", \"ports\": " ports "}"
#define TO(ip)      "{\"provider_ip\": " ip ", \"ports\": [80]}"

struct row {
    const char *body;
    const char *wanted;
};

static void assert_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_read_as(rows[i].body, strlen(rows[i].body), "application/json",
                       rows[i].wanted);
}

#define ASSERT_ROWS(rows) assert_rows((rows), sizeof(rows) / sizeof(rows)[0])

static void requests_are_read(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"provider_ip\": \"192.168.1.100\", \"ports\": [7466, 50800, 50801]}",
         "192.168.1.100 7466 50800 50801"},
        {"{\"ports\":[1],\"provider_ip\":\"2001:db8::1\"}", "2001:db8::1 1"},
        {" \r\n\t{\"ports\" : [ 65535 , 1 ], \"provider_ip\" : \"::ffff:192.0.2.1\"}\n ",
         "::ffff:192.0.2.1 65535 1"},
        {WITH("[]"), "192.0.2.7"},
        {WITH("[443, 80, 443, 22, 80]"), "192.0.2.7 443 80 22"},
        {WITH("[7466, \"50800-50803\"]"), "192.0.2.7 7466 50800 50801 50802 50803"},
        {WITH("[\"5-5\", \"4-6\", 5]"), "192.0.2.7 5 4 6"},
        {WITH("[\"00001-00003\"]"), "192.0.2.7 1 2 3"},
        {WITH("[20000.0, 2e4, 3E+2, 2.5e1]"), "192.0.2.7 20000 300 25"},
        {WITH("[\"20000\", \"00080\", \"1\", \"65535\"]"), "192.0.2.7 20000 80 1 65535"},
    };
    ASSERT_ROWS(rows);
}

static void details_is_a_boolean_and_nothing_else(void **state)
{
    (void)state;
    static const char *const bad[] = {"null", "0", "1", "\"true\"", "[]", "{}", "1.0"};
    char body[128];

    static const struct row good[] = {
        {"{\"provider_ip\": \"::1\", \"ports\": [9], \"details\": true}", "::1 9 details"},
        {"{\"provider_ip\": \"::1\", \"ports\": [9], \"details\": false}", "::1 9"},
    };
    ASSERT_ROWS(good);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(body, sizeof body,
                 "{\"provider_ip\":\"::1\",\"ports\":[9],\"details\":%s}", bad[i]);
        assert_read_as(body, strlen(body), NULL, DETAIL(NO_BOOL));
    }
}

#define TOKEN       ", \"token\": \"00112233445566778899aabbccddeeff\""
#define ASKING(...) "{\"provider_ip\": \"::1\", \"ports\": [9]" __VA_ARGS__ "}"
#define RECEIPT     ", \"receipt\": true"
#define NO_FOR                                                                             \
    VIOLATION(FIELD("for"), "value is not 1 to 128 printable ASCII characters",            \
              "value_error")
#define SIXTEEN "0123456789abcdef"
#define LONG    SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN

static void a_receipt_needs_a_token_and_a_port(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {ASKING(RECEIPT TOKEN), "::1 9 receipt"},
        {ASKING(", \"receipt\": false, \"for\": 7"), "::1 9"},
        {ASKING(", \"for\": 7"), "::1 9"}, /* read only with a receipt */
        {ASKING(", \"receipt\": 1" TOKEN),
         DETAIL(VIOLATION(FIELD("receipt"), "value could not be parsed to a boolean",
                          "type_error.bool"))},
        {ASKING(RECEIPT),
         DETAIL(VIOLATION(FIELD("token"),
                          "field required: a receipt needs a token of 32 lower-case hex "
                          "digits, which proves the listeners",
                          "value_error.missing"))},
        {ASKING(RECEIPT ", \"token\": \"x\""),
         DETAIL(VIOLATION(FIELD("token"), "value is not 32 lower-case hex digits",
                          "value_error"))},
        {"{\"provider_ip\": \"::1\", \"ports\": []" RECEIPT TOKEN "}",
         DETAIL(VIOLATION(FIELD("ports"),
                          "the list is empty: a receipt needs at least one port",
                          "value_error"))},
        {ASKING(RECEIPT TOKEN ", \"for\": \" ~\""), "::1 9 receipt ~"},
        {ASKING(RECEIPT TOKEN ", \"for\": \"" LONG "\""), "::1 9 receipt" LONG},
        {ASKING(RECEIPT TOKEN ", \"for\": \"" LONG "0\""), DETAIL(NO_FOR)},
        {ASKING(RECEIPT TOKEN ", \"for\": \"\""), DETAIL(NO_FOR)},
        {ASKING(RECEIPT TOKEN ", \"for\": \"a\\u0000b\""), DETAIL(NO_FOR)},
        {ASKING(RECEIPT TOKEN ", \"for\": \"a\\nb\""), DETAIL(NO_FOR)},
        {ASKING(RECEIPT TOKEN ", \"for\": \"\\u00e4\""), DETAIL(NO_FOR)},
        {ASKING(RECEIPT TOKEN ", \"for\": null"),
         DETAIL(VIOLATION(FIELD("for"), "str type expected", "type_error.str"))},
    };
    ASSERT_ROWS(rows);
}

static void the_body_as_a_whole(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", DETAIL(REQUIRED(BODY))},
        {"null", DETAIL(REQUIRED(BODY))},
        {" null ", DETAIL(REQUIRED(BODY))},
        {"[]", DETAIL(NO_DICT)},
        {"\"{}\"", DETAIL(NO_DICT)},
        {"7466", DETAIL(NO_DICT)},
        {"1.5", DETAIL(NO_DICT)},
        {"true", DETAIL(NO_DICT)},
        {"{}", DETAIL(REQUIRED(FIELD("provider_ip")) ", " REQUIRED(FIELD("ports")))},
        {"{\"provider_ip\": null, \"ports\": null}",
         DETAIL(REQUIRED(FIELD("provider_ip")) ", " REQUIRED(FIELD("ports")))},
        {"{\"provider_ip\": \"::1\"}", DETAIL(REQUIRED(FIELD("ports")))},
        {"{\"ports\": [1]}", DETAIL(REQUIRED(FIELD("provider_ip")))},
        {"{\"Ports\": [1], \"provider_ip\": \"::1\"}", DETAIL(REQUIRED(FIELD("ports")))},
    };
    ASSERT_ROWS(rows);
}

static void what_is_not_a_list_of_ports(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {WITH("80"), DETAIL(NO_LIST)},
        {WITH("\"80\""), DETAIL(NO_LIST)},
        {WITH("{\"0\": 80}"), DETAIL(NO_LIST)},
        {WITH("true"), DETAIL(NO_LIST)},
    };
    ASSERT_ROWS(rows);
}

static void what_is_not_a_port(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {WITH("[true]"), DETAIL(NO_INTEGER(PORT(0)))},
        {WITH("[80, false]"), DETAIL(NO_INTEGER(PORT(1)))},
        {WITH("[80, 81, null]"), DETAIL(NO_INTEGER(PORT(2)))},
        {WITH("[20000.5]"), DETAIL(NO_INTEGER(PORT(0)))},
        {WITH("[1e-2]"), DETAIL(NO_INTEGER(PORT(0)))},
        {WITH("[[80]]"), DETAIL(NO_INTEGER(PORT(0)))},
        {WITH("[{}]"), DETAIL(NO_INTEGER(PORT(0)))},
        {WITH("[\"\"]"), DETAIL(NO_INTEGER(PORT(0)))},
        {WITH("[\"+80\"]"), DETAIL(NO_INTEGER(PORT(0)))},
        {WITH("[\"-80\"]"), DETAIL(NO_INTEGER(PORT(0)))},
        {WITH("[\"-\"]"), DETAIL(NO_INTEGER(PORT(0)))},
        {WITH("[\"0x50\"]"), DETAIL(NO_INTEGER(PORT(0)))},
        {WITH("[\" 80\"]"), DETAIL(NO_INTEGER(PORT(0)))},
        {WITH("[\"80 \"]"), DETAIL(NO_INTEGER(PORT(0)))},
        {WITH("[\"80.0\"]"), DETAIL(NO_INTEGER(PORT(0)))},
        {WITH("[\"8e1\"]"), DETAIL(NO_INTEGER(PORT(0)))},
        {WITH("[\"8_0\"]"), DETAIL(NO_INTEGER(PORT(0)))},
        {WITH("[\"000080\"]"), DETAIL(NO_INTEGER(PORT(0)))},
        {WITH("[\"123456\"]"), DETAIL(NO_INTEGER(PORT(0)))},
        {WITH("[\"http\"]"), DETAIL(NO_INTEGER(PORT(0)))},
        {WITH("[\"80\\u0000\"]"), DETAIL(NO_INTEGER(PORT(0)))},
        {WITH("[\"\\u0668\\u0660\"]"), DETAIL(NO_INTEGER(PORT(0)))}, /* digits, not ASCII */
        {WITH("[\"x\", 80, \"y\"]"), DETAIL(NO_INTEGER(PORT(0)) ", " NO_INTEGER(PORT(2)))},
    };
    ASSERT_ROWS(rows);
}

static void ports_outside_their_range(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {WITH("[0]"), DETAIL(NO_PORT(PORT(0), "0"))},
        {WITH("[-0]"), DETAIL(NO_PORT(PORT(0), "0"))},
        {WITH("[-0.0]"), DETAIL(NO_PORT(PORT(0), "0"))},
        {WITH("[-1]"), DETAIL(NO_PORT(PORT(0), "-1"))},
        {WITH("[7466, 65536]"), DETAIL(NO_PORT(PORT(1), "65536"))},
        {WITH("[\"0\"]"), DETAIL(NO_PORT(PORT(0), "0"))},
        {WITH("[\"00000\"]"), DETAIL(NO_PORT(PORT(0), "0"))},
        {WITH("[\"65536\"]"), DETAIL(NO_PORT(PORT(0), "65536"))},
        {WITH("[\"99999\"]"), DETAIL(NO_PORT(PORT(0), "99999"))},
        {WITH("[65536.0]"), DETAIL(NO_PORT(PORT(0), "65536"))},
        {WITH("[-65536.0]"), DETAIL(NO_PORT(PORT(0), "-65536"))},
        {WITH("[9223372036854775807]"), DETAIL(NO_PORT(PORT(0), "9223372036854775807"))},
        {WITH("[-9223372036854775808]"), DETAIL(NO_PORT(PORT(0), "-9223372036854775808"))},
        {WITH("[1e20]"), DETAIL(NO_PORT(PORT(0), "100000000000000000000"))},
        {WITH("[-1e20]"), DETAIL(NO_PORT(PORT(0), "-100000000000000000000"))},
        {WITH("[1e-400]"), DETAIL(NO_PORT(PORT(0), "0"))},
    };
    ASSERT_ROWS(rows);
}

static void the_largest_number_is_told_whole(void **state)
{
    (void)state;
    struct text out;
    char wanted[400];
    text_init(&out, 4096);
    snprintf(wanted, sizeof wanted, "\"Invalid port number: %.0f\"",
             -1.7976931348623157e308);
    read_body(WITH("[-1.7976931348623157e308]"), strlen(WITH("[-1.7976931348623157e308]")),
              NULL, PORTS_MAX, &out);
    assert_non_null(strstr(out.data, wanted));
    text_done(&out);
}

static void ranges_that_are_none(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {WITH("[\"50900-50800\"]"), DETAIL(NO_RANGE(PORT(0)))},
        {WITH("[\"0-5\"]"), DETAIL(NO_RANGE(PORT(0)))},
        {WITH("[\"1-65536\"]"), DETAIL(NO_RANGE(PORT(0)))},
        {WITH("[\"1-\"]"), DETAIL(NO_RANGE(PORT(0)))},
        {WITH("[\"--5\"]"), DETAIL(NO_RANGE(PORT(0)))},
        {WITH("[\"1 - 5\"]"), DETAIL(NO_RANGE(PORT(0)))},
        {WITH("[\"1-5 \"]"), DETAIL(NO_RANGE(PORT(0)))},
        {WITH("[\"1-5-9\"]"), DETAIL(NO_RANGE(PORT(0)))},
        {WITH("[\"1-+5\"]"), DETAIL(NO_RANGE(PORT(0)))},
        {WITH("[\"1-000005\"]"), DETAIL(NO_RANGE(PORT(0)))},
        {WITH("[\"1-5\\u0000\"]"), DETAIL(NO_RANGE(PORT(0)))},
        {WITH("[1, \"ssh-http\"]"), DETAIL(NO_RANGE(PORT(1)))},
    };
    ASSERT_ROWS(rows);
}

static void more_ports_than_allowed(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {WITH("[\"1-1025\"]"), DETAIL(TOO_MANY)},
        {WITH("[\"1-65535\"]"), DETAIL(TOO_MANY)},
        {WITH("[\"1-1024\", 1025]"), DETAIL(TOO_MANY)},
        {WITH("[\"1-1000\", \"2000-2024\"]"), DETAIL(TOO_MANY)},
        /* once, after the violations of single elements, however often it occurs */
        {WITH("[\"1-65535\", 0, \"1-65535\"]"),
         DETAIL(NO_PORT(PORT(1), "0") ", " TOO_MANY)},
    };
    ASSERT_ROWS(rows);
}

static void exactly_as_many_ports_as_allowed(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        WITH("[\"1-1024\"]"),
        WITH("[\"1-1024\", \"1-1024\", 1, \"512\"]"),
        WITH("[\"1-1000\", \"900-1024\"]"),
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct violation_list violations;
        struct check_request request;
        struct port_set ports;
        assert_true(port_set_init(&ports, PORTS_MAX, NULL));
        assert_true(check_request_parse(bodies[i], strlen(bodies[i]), NULL, &ports,
                                        &request, &violations));
        assert_int_equal(ports.count, 1024);
        port_set_done(&ports);
    }
}

static void what_is_not_an_address(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {TO("\"\""), DETAIL(NO_ADDRESS)},
        {TO("\"example.com\""), DETAIL(NO_ADDRESS)},
        {TO("\"localhost\""), DETAIL(NO_ADDRESS)},
        {TO("\"127.1\""), DETAIL(NO_ADDRESS)},
        {TO("\"2130706433\""), DETAIL(NO_ADDRESS)},
        {TO("\"0177.0.0.1\""), DETAIL(NO_ADDRESS)},
        {TO("\"0x7f.0.0.1\""), DETAIL(NO_ADDRESS)},
        {TO("\"192.0.2.256\""), DETAIL(NO_ADDRESS)},
        {TO("\"192.0.2.7 \""), DETAIL(NO_ADDRESS)},
        {TO("\" 192.0.2.7\""), DETAIL(NO_ADDRESS)},
        {TO("\"192.0.2.7\\n\""), DETAIL(NO_ADDRESS)},
        {TO("\"192.0.2.7\\u0000\""), DETAIL(NO_ADDRESS)},
        {TO("\"192.0.2.7:80\""), DETAIL(NO_ADDRESS)},
        {TO("\"192.0.2.0/24\""), DETAIL(NO_ADDRESS)},
        {TO("\"fe80::1%eth0\""), DETAIL(NO_ADDRESS)},
        {TO("\"[::1]\""), DETAIL(NO_ADDRESS)},
        {TO("3232235876"), DETAIL(NO_STR)},
        {TO("true"), DETAIL(NO_STR)},
        {TO("[\"192.0.2.7\"]"), DETAIL(NO_STR)},
        {TO("{}"), DETAIL(NO_STR)},
    };
    ASSERT_ROWS(rows);
}

static void violations_of_all_members_stand_together(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"details\": 1, \"ports\": [0, \"x\"], \"provider_ip\": \"x\"}",
         DETAIL(NO_ADDRESS
                ", " NO_PORT(PORT(0), "0") ", " NO_INTEGER(PORT(1)) ", " NO_BOOL)},
        {"{\"ports\": 5}", DETAIL(REQUIRED(FIELD("provider_ip")) ", " NO_LIST)},
    };
    ASSERT_ROWS(rows);
}

static void unknown_members_are_ignored(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"x\": {\"ports\": 5}, \"provider_ip\": \"::1\", \"ports\": [5], \"detail\": 1}",
         "::1 5"},
        {"{\"x\": \"a\\u0000b\", \"provider_ip\": \"::1\", \"ports\": [5]}", "::1 5"},
        {"{\"\\u00e9\": null, \"provider_ip\": \"::1\", \"ports\": [5]}", "::1 5"},
    };
    ASSERT_ROWS(rows);
}

static void the_last_of_two_members_counts(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{\"ports\": \"x\", \"provider_ip\": \"x\", \"ports\": [5], \"provider_ip\": "
         "\"::1\"}",
         "::1 5"},
        {"{\"provider_ip\": \"::1\", \"ports\": [5], \"provider_ip\": null}",
         DETAIL(REQUIRED(FIELD("provider_ip")))},
        {"{\"provider_ip\": \"::1\", \"ports\": [5], \"p\\u006frts\": [6]}", "::1 6"},
        {"{\"provider_ip\": \"::1\", \"ports\": [5], \"details\": 7, \"details\": true}",
         "::1 5 details"},
    };
    ASSERT_ROWS(rows);
}

/* Checks only that it is a jsondecode violation, and where: the sentence is the
 * parser's. */
static void assert_not_json(const char *body, size_t len, size_t offset)
{
    struct text out;
    char head[64];
    static const char tail[] = "\", \"type\": \"value_error.jsondecode\"}]}";
    text_init(&out, 4096);
    read_body(body, len, NULL, PORTS_MAX, &out);
    snprintf(head, sizeof head, "{\"detail\": [{\"loc\": [\"body\", %zu], \"msg\": \"",
             offset);
    if (strncmp(out.data, head, strlen(head)) != 0)
        fail_msg("%.*s gave %s", (int)len, body, out.data);
    assert_true(out.len > strlen(head) + strlen(tail));
    assert_string_equal(out.data + out.len - strlen(tail), tail);
    text_done(&out);
}

static void what_is_not_json(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        size_t offset;
    } rows[] = {
        {"{", 1},
        {"{\"ports\": [1,]}", 14},
        {"{'ports': [1]}", 2},
        {"{} {}", 4},
        {"nul", 3},
        {"NaN", 3},
        {"[Infinity]", 9},
        {"[+1]", 2},
        {"[01]", 2},
        {"[0x10]", 3},
        {"[1.]", 3},
        {"provider_ip=::1", 8},
        {" ", 1},
        {"[9223372036854775808]", 20},  /* beyond 64 bits */
        {"[-9223372036854775809]", 21}, /* likewise */
        {"[1e400]", 6},
        {"[\"\\ud800\"]", 9},   /* half of a surrogate pair */
        {"[\"\\udc00x\"]", 10}, /* the other half */
        {"[\"\\x41\"]", 4},
        {"[\"a\nb\"]", 3},
        {"{\"a\\u0000b\": 1}", 11}, /* a name with NUL: jansson keeps names as C strings */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_not_json(rows[i].body, strlen(rows[i].body), rows[i].offset);
    assert_not_json("{}\0", 3, 3);
    assert_not_json("[\"\xff\"]", 5, 2);
    assert_not_json("[\"\xc3\"]", 5, 2);
    assert_not_json("[\"\\u00\xc3\xa9\"]", 9,
                    7); /* the message quotes half of the character */
    assert_not_json("[\"\xed\xa0\x80\"]", 7, 2); /* a surrogate as UTF-8 */
}

#define ENCODED(name)                                                                      \
    DETAIL(VIOLATION(BODY ", 0", "the body is encoded as " name ": send it as UTF-8",      \
                     "value_error.jsondecode"))

static void other_encodings_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        size_t len;
        const char *wanted;
    } rows[] = {
#define ROW(body, name) {(body), sizeof(body) - 1, ENCODED(name)}
        ROW("\x1f\x8b\x08\0", "gzip"),
        ROW("(\xb5/\xfd\x04", "zstd"),
        ROW("\xff\xfe", "UTF-16LE"),
        ROW("\xff\xfe{\0}\0", "UTF-16LE"),
        ROW("{\0}\0", "UTF-16LE"),
        ROW("{\0", "UTF-16LE"),
        ROW(" \0{\0}\0", "UTF-16LE"),
        ROW("\"\0\xac\x20\"\0", "UTF-16LE"), /* its second character is not ASCII */
        ROW("\xfe\xff", "UTF-16BE"),
        ROW("\xfe\xff\0{\0}", "UTF-16BE"),
        ROW("\0{\0}", "UTF-16BE"),
        ROW("\0\n\0{\0}", "UTF-16BE"),
        ROW("\0\"\x20\xac\0\"", "UTF-16BE"),
        ROW("\xff\xfe\0\0", "UTF-32LE"),
        ROW("\xff\xfe\0\0{\0\0\0}\0\0\0", "UTF-32LE"),
        ROW("{\0\0\0}\0\0\0", "UTF-32LE"),
        ROW("\t\0\0\0", "UTF-32LE"),
        ROW("\0\0\xfe\xff", "UTF-32BE"),
        ROW("\0\0\xfe\xff\0\0\0{\0\0\0}", "UTF-32BE"),
        ROW("\0\0\0{\0\0\0}", "UTF-32BE"),
        ROW("\0\0\0\r", "UTF-32BE"),
#undef ROW
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_read_as(rows[i].body, rows[i].len, NULL, rows[i].wanted);
}

static void what_resembles_no_encoding_is_plain_nonsense(void **state)
{
    (void)state;
    assert_not_json("\0", 1, 1);
    assert_not_json("\0\0", 2, 1);
    assert_not_json("\0\0{", 3, 1);
    assert_not_json("\0\0\0\0", 4, 1);
    assert_not_json("\0\0\xff\xfe", 4, 1);
    assert_not_json("\0\xff", 2, 1);
    assert_not_json("\xff", 1, 0);
    assert_not_json("\xff\0", 2, 0);
    assert_not_json("\xfe\xfe", 2, 0);
}

/* Clients that write UTF-16 often send a Content-Type that says so. */
static void an_encoding_is_named_with_every_content_type(void **state)
{
    (void)state;
    assert_read_as(
        "{\0}\0", 4, "text/plain",
        DETAIL(VIOLATION(BODY ", 0", "the body is encoded as UTF-16LE: send it as UTF-8",
                         "value_error.jsondecode")));
}

static void deep_json_is_refused(void **state)
{
    (void)state;
    size_t len = 65536;
    char *body = malloc(len);
    assert_non_null(body);
    memset(body, '[', len);
    assert_not_json(body, len, 2049);
    free(body);
}

static void a_byte_order_mark_is_skipped_and_counted(void **state)
{
    (void)state;
    static const char good[] = "\xef\xbb\xbf" WITH("[80]");
    assert_read_as(good, sizeof good - 1, NULL, "192.0.2.7 80");
    assert_read_as("\xef\xbb\xbfnull", 7, NULL, DETAIL(REQUIRED(BODY)));
    assert_not_json("\xef\xbb\xbf{", 4, 4);
    assert_not_json("\xef\xbb\xbf", 3, 3);
    assert_not_json("\xef\xbb\xbf\xef\xbb\xbf{}", 8, 6); /* only one mark is skipped */
    assert_not_json("\xef\xbb{}", 4, 0);
}

static void content_types(void **state)
{
    (void)state;
    static const char body[] = WITH("[80]");
    static const struct {
        const char *type;
        bool is_json;
    } rows[] = {
        {NULL, true},
        {"", true},
        {"application/json", true},
        {"Application/JSON", true},
        {"application/json; charset=utf-8", true},
        {"application/json;charset=latin1", true},
        {" application/json ", true},
        {"application/json\t; charset=x", true},
        {"application/problem+json", true},
        {"application/vnd.golem.v1+JSON; a=b", true},
        {"application/x-www-form-urlencoded", false},
        {"text/plain", false},
        {"text/json", false},
        {"application/jsonp", false},
        {"application/jso", false},
        {"application/+json", false},
        {"application/x+jsonx", false},
        {"application/ json", false},
        {"application/json, text/plain", false},
        {"application", false},
        {"application/", false},
        {"xapplication/json", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_read_as(body, sizeof body - 1, rows[i].type,
                       rows[i].is_json
                           ? "192.0.2.7 80"
                           : DETAIL(VIOLATION(BODY,
                                              "value is not a valid dict: send JSON with "
                                              "Content-Type: application/json",
                                              "type_error.dict")));
    assert_read_as("", 0, "text/plain", DETAIL(REQUIRED(BODY)));
}

/* `count` times `element`, in a list. */
static char *list_of(const char *element, size_t count, size_t *ret_len)
{
    struct text text;
    text_init(&text, 1 << 20);
    text_append_str(&text, "{\"provider_ip\": \"x\", \"details\": 1, \"ports\": [");
    for (size_t i = 0; i < count; i++)
        text_printf(&text, "%s%s", i > 0 ? "," : "", element);
    text_append_str(&text, "]}");
    return text_take(&text, ret_len);
}

static void reading_stops_at_the_20th_violation(void **state)
{
    (void)state;
    size_t len = 0, starts = 0;
    char *body = list_of("0", 10000, &len);
    struct text out;
    text_init(&out, 1 << 20);
    read_body(body, len, NULL, PORTS_MAX, &out);
    for (const char *at = out.data; (at = strstr(at, "\"loc\"")) != NULL; at++)
        starts++;
    assert_int_equal(starts, 20);
    /* provider_ip's and 19 of the list's; details was not checked any more */
    assert_non_null(strstr(out.data, "\"ports\", 18]"));
    assert_null(strstr(out.data, "\"ports\", 19]"));
    assert_null(strstr(out.data, "\"details\"]"));
    free(body);
    text_done(&out);
}

static void a_list_of_19_violations_has_room_for_one_more(void **state)
{
    (void)state;
    size_t len = 0;
    char *body = list_of("0", 18, &len);
    struct text out;
    text_init(&out, 1 << 20);
    read_body(body, len, NULL, PORTS_MAX, &out);
    assert_non_null(strstr(out.data, "\"ports\", 17]"));
    assert_non_null(strstr(out.data, "\"details\"]"));
    free(body);
    text_done(&out);
}

static void the_ceiling_is_the_set_s(void **state)
{
    (void)state;
    struct text out;
    text_init(&out, 4096);
    read_body(WITH("[1, 2, 1]"), strlen(WITH("[1, 2, 1]")), NULL, 2, &out);
    assert_string_equal(out.data, "192.0.2.7 1 2");
    read_body(WITH("[1, 2, 3]"), strlen(WITH("[1, 2, 3]")), NULL, 2, &out);
    assert_non_null(strstr(out.data, "at most 2 different ones"));
    text_done(&out);
}

/* ---- the query -------------------------------------------------------------------- */

#define IN_QUERY "\"query\", \"ports\""
#define NOT_ENCODED                                                                        \
    VIOLATION(IN_QUERY,                                                                    \
              "value is not percent-encoded: write two hexadecimal digits after every %",  \
              "value_error")

/* The ports of a query, or the 422's body. */
static void read_query(const char *query, struct text *out)
{
    static struct violation_list violations;
    struct port_set ports;

    assert_true(port_set_init(&ports, PORTS_MAX, NULL));
    text_reset(out);
    if (check_query_parse(query, &ports, &violations)) {
        assert_int_equal(violations.count, 0);
        for (size_t i = 0; i < ports.count; i++)
            text_printf(out, "%s%u", i > 0 ? " " : "", ports.ports[i]);
    } else {
        size_t len = 0;
        char *reply = violation_list_body(&violations, &len);
        assert_int_equal(ports.count, 0);
        text_append(out, reply, len);
        free(reply);
    }
    port_set_done(&ports);
}

static void assert_query(const char *query, const char *wanted)
{
    AUTO_TEXT out = text_up_to(1 << 16);
    read_query(query, &out);
    if (strcmp(out.data, wanted) != 0)
        fail_msg("%s\n  gave   %s\n  wanted %s", query, out.data, wanted);
}

static void queries_are_read(void **state)
{
    (void)state;
    assert_query("ports=7466", "7466");
    assert_query("ports=7466,50800-50802", "7466 50800 50801 50802");
    assert_query("ports=7466%2C50800%2D50802", "7466 50800 50801 50802");
    assert_query("ports=%37466", "7466");
    assert_query("ports=3,1,2,1-3", "3 1 2");
    assert_query("ports=00080,1-00002", "80 1 2");
    assert_query("ports=2&x=0&ports=1,2&provider_ip=192.0.2.7", "2 1");
}

static void what_is_not_a_query_of_ports(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", DETAIL(REQUIRED(IN_QUERY))},
        {"port=1", DETAIL(REQUIRED(IN_QUERY))},
        {"ports", DETAIL(NO_INTEGER(IN_QUERY))},
        {"ports=", DETAIL(NO_INTEGER(IN_QUERY))},
        {"ports=1,", DETAIL(NO_INTEGER(IN_QUERY))},
        {"ports=1&ports=", DETAIL(NO_INTEGER(IN_QUERY))},
        {"ports=1,+2", DETAIL(NO_INTEGER(IN_QUERY))},
        {"ports=1,%202", DETAIL(NO_INTEGER(IN_QUERY))},
        {"ports=1%002", DETAIL(NO_INTEGER(IN_QUERY))},
        {"ports=1%00", DETAIL(NO_INTEGER(IN_QUERY))},
        {"ports=[1]", DETAIL(NO_INTEGER(IN_QUERY))},
        {"ports=http,-5", DETAIL(NO_INTEGER(IN_QUERY) ", " NO_INTEGER(IN_QUERY))},
        {"ports=0,65536", DETAIL(NO_PORT(IN_QUERY, "0") ", " NO_PORT(IN_QUERY, "65536"))},
        {"ports=9-1&ports=x", DETAIL(NO_RANGE(IN_QUERY) ", " NO_INTEGER(IN_QUERY))},
        {"ports=1%", DETAIL(NOT_ENCODED)},
        {"ports=%zz&ports=0", DETAIL(NOT_ENCODED ", " NO_PORT(IN_QUERY, "0"))},
        {"ports=%252C", DETAIL(NO_INTEGER(IN_QUERY))},
        {"ports=1-1025",
         DETAIL(VIOLATION(IN_QUERY,
                          "too many ports: at most 1024 different ones may be asked for at "
                          "once",
                          "value_error"))},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_query(rows[i].body, rows[i].wanted);
}

static void reading_a_query_stops_at_the_20th_violation(void **state)
{
    (void)state;
    struct violation_list violations;
    struct port_set ports;
    AUTO_TEXT query = text_up_to(4096);
    for (size_t i = 0; i < 15; i++)
        text_append_str(&query, "ports=x,y&ports=%&");

    assert_true(port_set_init(&ports, 1, NULL));
    assert_false(check_query_parse(query.data, &ports, &violations));
    assert_int_equal(violations.count, VIOLATIONS_MAX);
    port_set_done(&ports);
}

/* The texts are long, so that the lexer's buffer grows: an address that lost its last
 * digits would be another one. */
static void without_memory_no_body_is_read_in_part(void **state)
{
    (void)state;
    static const char body[] =
        "{\"provider_ip\": \"2001:db8:1234:5678:9abc:def0:1234:5678\", \"ports\": "
        "[7466, 20000.00000000000000000000, \"50800-50900\"], \"details\": true}";
    static struct violation_list violations;
    struct check_request request;
    struct port_set ports;
    unsigned number = 0;
    bool has_failed;

    json_memory_watch();
    assert_true(port_set_init(&ports, PORTS_MAX, NULL));
    do {
        fails_at = ++number;
        bool is_read =
            check_request_parse(body, sizeof body - 1, NULL, &ports, &request, &violations);
        has_failed = fails_at == 0;
        fails_at = 0;
        assert_int_equal(is_read, !has_failed);
        assert_int_equal(violations.count, 0);
        assert_int_equal(ports.count, has_failed ? 0 : 103);
    } while (has_failed);
    assert_true(number > 10);
    port_set_done(&ports);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_read),
        cmocka_unit_test(details_is_a_boolean_and_nothing_else),
        cmocka_unit_test(a_receipt_needs_a_token_and_a_port),
        cmocka_unit_test(the_body_as_a_whole),
        cmocka_unit_test(what_is_not_a_list_of_ports),
        cmocka_unit_test(what_is_not_a_port),
        cmocka_unit_test(ports_outside_their_range),
        cmocka_unit_test(the_largest_number_is_told_whole),
        cmocka_unit_test(ranges_that_are_none),
        cmocka_unit_test(more_ports_than_allowed),
        cmocka_unit_test(exactly_as_many_ports_as_allowed),
        cmocka_unit_test(what_is_not_an_address),
        cmocka_unit_test(violations_of_all_members_stand_together),
        cmocka_unit_test(unknown_members_are_ignored),
        cmocka_unit_test(the_last_of_two_members_counts),
        cmocka_unit_test(what_is_not_json),
        cmocka_unit_test(deep_json_is_refused),
        cmocka_unit_test(other_encodings_are_named),
        cmocka_unit_test(what_resembles_no_encoding_is_plain_nonsense),
        cmocka_unit_test(an_encoding_is_named_with_every_content_type),
        cmocka_unit_test(a_byte_order_mark_is_skipped_and_counted),
        cmocka_unit_test(content_types),
        cmocka_unit_test(reading_stops_at_the_20th_violation),
        cmocka_unit_test(a_list_of_19_violations_has_room_for_one_more),
        cmocka_unit_test(the_ceiling_is_the_set_s),
        cmocka_unit_test(queries_are_read),
        cmocka_unit_test(what_is_not_a_query_of_ports),
        cmocka_unit_test(reading_a_query_stops_at_the_20th_violation),
        cmocka_unit_test(without_memory_no_body_is_read_in_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
