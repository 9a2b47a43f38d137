/* SPDX-License-Identifier: MIT */
#include "api/check_request.h"

#include "api/problem.h"
#include "base/json_memory.h"
#include "base/text.h"
#include "http/query.h"
#include "net/port_set.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdint.h>
#include <string.h>

#define PORT_MAX        65535
#define PORT_DIGITS_MAX 5

/* What is being read, and what was found on the way. */
struct reader {
    struct port_set *ports;
    struct violation_list *violations;
    bool has_more; /* ports than the set may hold */
};

/* RFC 6838 names a subtype's suffix, RFC 9110 the token. */
static bool is_json_type(const char *content_type)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char prefix[] = "application/", suffix[] = "+json";
    const size_t prefix_len = sizeof prefix - 1, suffix_len = sizeof suffix - 1;

    const char *type = content_type + strspn(content_type, " \t");
    if (!text_equals_nocase(type, strnlen(type, prefix_len), prefix))
        return false;

    const char *subtype = type + prefix_len;
    size_t len = strspn(subtype, token);
    const char *after = subtype + len + strspn(subtype + len, " \t");
    if (*after != '\0' && *after != ';')
        return false;

    return text_equals_nocase(subtype, len, "json") ||
           (len > suffix_len &&
            text_equals_nocase(subtype + len - suffix_len, suffix_len, suffix));
}

/* How a body in an encoding other than UTF-8 begins: with its byte order mark, with the
 * first character of JSON, which is ASCII, between NULs, or as a compressed file whose
 * Content-Encoding is missing. A raw NUL is never valid JSON in UTF-8. */
#define ASCII     (-1) /* any but NUL */
#define START_MAX 4
static const struct {
    const char *name;
    size_t len;
    int start[START_MAX];
} other_encodings[] = {
    /* Longer starts first, because a shorter one may be part of them. */
    {"UTF-32LE", 4, {0xff, 0xfe, 0, 0}}, {"UTF-32BE", 4, {0, 0, 0xfe, 0xff}},
    {"UTF-32LE", 4, {ASCII, 0, 0, 0}},   {"UTF-32BE", 4, {0, 0, 0, ASCII}},
    {"UTF-16LE", 2, {0xff, 0xfe}},       {"UTF-16BE", 2, {0xfe, 0xff}},
    {"UTF-16LE", 2, {ASCII, 0}},         {"UTF-16BE", 2, {0, ASCII}},
    {"gzip", 2, {0x1f, 0x8b}},           {"zstd", 4, {0x28, 0xb5, 0x2f, 0xfd}},
};

static bool starts_with(const char *body, const int *start, size_t start_len)
{
    for (size_t i = 0; i < start_len; i++) {
        int byte = (unsigned char)body[i];
        if (start[i] == ASCII ? byte == 0 || byte > 0x7f : byte != start[i])
            return false;
    }
    return true;
}

/* NULL if the body looks like UTF-8. */
static const char *other_encoding(const char *body, size_t len)
{
    for (size_t i = 0; i < sizeof other_encodings / sizeof other_encodings[0]; i++) {
        size_t start_len = other_encodings[i].len;
        if (len >= start_len && starts_with(body, other_encodings[i].start, start_len))
            return other_encodings[i].name;
    }
    return NULL;
}

/* The document; or NULL after adding a violation. */
static json_t *load(const char *body, size_t len, const char *content_type,
                    struct reader *reader)
{
    static const char mark[] = "\xef\xbb\xbf";
    const struct violation_place whole = {0};

    if (len == 0) {
        violation_add(reader->violations, VIOLATION_MISSING, whole);
        return NULL;
    }

    const char *encoding = other_encoding(body, len);
    if (encoding) {
        violation_add_message(reader->violations, VIOLATION_JSON,
                              (struct violation_place){.has_index = true, .index = 0},
                              "the body is encoded as %s: send it as UTF-8", encoding);
        return NULL;
    }
    if (content_type && content_type[0] != '\0' && !is_json_type(content_type)) {
        violation_add_message(reader->violations, VIOLATION_OBJECT, whole,
                              "value is not a valid dict: send JSON with Content-Type: "
                              "application/json");
        return NULL;
    }

    size_t skipped = len >= 3 && memcmp(body, mark, 3) == 0 ? 3 : 0;
    json_error_t error;
    json_memory_has_failed(); /* what happened before does not count */
    json_t *root =
        json_loadb(body + skipped, len - skipped, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (json_memory_has_failed()) { /* even a value may be cut off */
        json_decref(root);
        return NULL;
    }
    if (!root) {
        size_t offset = skipped + (error.position > 0 ? (size_t)error.position : 0);
        violation_add_message(reader->violations, VIOLATION_JSON,
                              (struct violation_place){.has_index = true, .index = offset},
                              "%s", error.text);
    }
    return root;
}

/* Once there are too many ports, the rest is only read for its violations: a body full of
 * wide ranges must not cost a walk through the set for each of them. */
static void add_ports(struct reader *reader, uint16_t first, uint16_t last)
{
    if (!reader->has_more)
        reader->has_more = !port_set_add(reader->ports, first, last);
}

static void read_range(struct reader *reader, const char *text, size_t len,
                       struct violation_place place)
{
    uint16_t first, last;
    if (!port_range_parse(text, len, &first, &last, NULL)) {
        violation_add_message(reader->violations, VIOLATION_VALUE, place,
                              "Invalid port range: write it as first-last, "
                              "both 1-65535, first not above last");
        return;
    }
    add_ports(reader, first, last);
}

static void read_port(struct reader *reader, json_int_t port, struct violation_place place)
{
    if (port < 1 || port > PORT_MAX) {
        violation_add_message(reader->violations, VIOLATION_VALUE, place,
                              "Invalid port number: %" JSON_INTEGER_FORMAT, port);
        return;
    }
    add_ports(reader, (uint16_t)port, (uint16_t)port);
}

static void read_real(struct reader *reader, double number, struct violation_place place)
{
    /* From 2^52 on, a double has no room for a fraction. */
    bool is_small = number > -0x1p52 && number < 0x1p52;
    if (is_small && number != (double)(json_int_t)number) {
        violation_add(reader->violations, VIOLATION_INTEGER, place);
        return;
    }
    if (is_small) {
        read_port(reader, (json_int_t)number, place);
        return;
    }
    violation_add_message(reader->violations, VIOLATION_VALUE, place,
                          "Invalid port number: %.0f", number);
}

static void read_text(struct reader *reader, const char *text, size_t len,
                      struct violation_place place)
{
    uint64_t port;

    if (len > 1 && memchr(text + 1, '-', len - 1))
        read_range(reader, text, len, place);
    else if (len <= PORT_DIGITS_MAX && text_parse_u64(text, len, UINT32_MAX, &port))
        read_port(reader, (json_int_t)port, place);
    else
        violation_add(reader->violations, VIOLATION_INTEGER, place);
}

static void read_element(struct reader *reader, const json_t *item,
                         struct violation_place place)
{
    switch (json_typeof(item)) {
    case JSON_INTEGER:
        read_port(reader, json_integer_value(item), place);
        return;
    case JSON_REAL:
        read_real(reader, json_real_value(item), place);
        return;
    case JSON_STRING:
        read_text(reader, json_string_value(item), json_string_length(item), place);
        return;
    case JSON_OBJECT:
    case JSON_ARRAY:
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        violation_add(reader->violations, VIOLATION_INTEGER, place);
        return;
    }
}

static void tell_if_too_many(struct reader *reader, struct violation_place place)
{
    if (reader->has_more)
        violation_add_message(
            reader->violations, VIOLATION_VALUE, place,
            "too many ports: at most %zu different ones may be asked for at once",
            reader->ports->max);
}

static void read_ports(struct reader *reader, const json_t *list)
{
    struct violation_place place = {.field = "ports"};

    if (!list || json_is_null(list)) {
        violation_add(reader->violations, VIOLATION_MISSING, place);
        return;
    }
    if (!json_is_array(list)) {
        violation_add(reader->violations, VIOLATION_LIST, place);
        return;
    }

    size_t count = json_array_size(list);
    for (size_t i = 0; i < count && !violation_list_is_full(reader->violations); i++) {
        place = (struct violation_place){.field = "ports", .has_index = true, .index = i};
        read_element(reader, json_array_get(list, i), place);
    }
    tell_if_too_many(reader, (struct violation_place){.field = "ports"});
}

static void read_target(struct reader *reader, const json_t *value, struct address *ret)
{
    const struct violation_place place = {.field = "provider_ip"};

    if (!value || json_is_null(value))
        violation_add(reader->violations, VIOLATION_MISSING, place);
    else if (!json_is_string(value))
        violation_add(reader->violations, VIOLATION_STRING, place);
    else if (!address_parse(json_string_value(value), json_string_length(value), ret, NULL))
        violation_add_message(
            reader->violations, VIOLATION_VALUE, place,
            "value is not a valid IPv4 or IPv6 address: write one such as "
            "203.0.113.7 or 2001:db8::7, no name, port, brackets or zone");
}

static void read_flag(struct reader *reader, const json_t *value, const char *field,
                      bool *ret)
{
    if (!value)
        *ret = false;
    else if (json_is_boolean(value))
        *ret = json_is_true(value);
    else
        violation_add(reader->violations, VIOLATION_BOOL,
                      (struct violation_place){.field = field});
}

static void read_token(struct reader *reader, const json_t *value,
                       struct check_request *ret)
{
    struct violation_place place = {.field = "token"};
    if (!value)
        return;
    if (!json_is_string(value))
        violation_add(reader->violations, VIOLATION_STRING, place);
    else if (proof_token_parse(json_string_value(value), json_string_length(value),
                               &ret->token))
        ret->has_token = true;
    else
        violation_add_message(reader->violations, VIOLATION_VALUE, place,
                              "value is not 32 lower-case hex digits");
}

static void read_for(struct reader *reader, const json_t *value,
                     char ret[RECEIPT_FOR_MAX + 1])
{
    struct violation_place place = {.field = "for"};
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (!value)
        return;
    if (!text) {
        violation_add(reader->violations, VIOLATION_STRING, place);
        return;
    }
    bool is_fine = len >= 1 && len <= RECEIPT_FOR_MAX;
    for (size_t i = 0; is_fine && i < len; i++)
        is_fine = text[i] >= ' ' && text[i] <= '~';
    if (is_fine)
        memcpy(ret, text, len);
    else
        violation_add_message(reader->violations, VIOLATION_VALUE, place,
                              "value is not 1 to %d printable ASCII characters",
                              RECEIPT_FOR_MAX);
}

/* What a receipt needs beyond its own member. */
static void read_receipt(struct reader *reader, const json_t *root,
                         struct check_request *request)
{
    read_flag(reader, json_object_get(root, "receipt"), "receipt", &request->wants_receipt);
    if (!request->wants_receipt)
        return;
    if (!json_object_get(root, "token"))
        violation_add_message(
            reader->violations, VIOLATION_MISSING,
            (struct violation_place){.field = "token"},
            "field required: a receipt needs a token of 32 lower-case hex digits, which "
            "proves the listeners");
    if (reader->violations->count == 0 && reader->ports->count == 0)
        violation_add_message(reader->violations, VIOLATION_VALUE,
                              (struct violation_place){.field = "ports"},
                              "the list is empty: a receipt needs at least one port");
    read_for(reader, json_object_get(root, "for"), request->for_text);
}

bool check_request_parse(const char *body, size_t len, const char *content_type,
                         struct port_set *ports, struct check_request *ret,
                         struct violation_list *ret_violations)
{
    struct reader reader = {.ports = ports, .violations = ret_violations};
    struct check_request request = {0};

    ret_violations->count = 0;
    port_set_clear(ports);
    json_t *root = load(body, len, content_type, &reader);
    if (!root)
        return false;

    if (json_is_object(root)) {
        read_target(&reader, json_object_get(root, "provider_ip"), &request.target);
        read_ports(&reader, json_object_get(root, "ports"));
        read_flag(&reader, json_object_get(root, "details"), "details",
                  &request.wants_details);
        read_token(&reader, json_object_get(root, "token"), &request);
        read_receipt(&reader, root, &request);
    } else {
        violation_add(ret_violations,
                      json_is_null(root) ? VIOLATION_MISSING : VIOLATION_OBJECT,
                      (struct violation_place){0});
    }
    json_decref(root);

    if (ret_violations->count > 0) {
        port_set_clear(ports);
        return false;
    }
    *ret = request;
    return true;
}

/* ---- the query -------------------------------------------------------------------- */

static void read_query_value(struct reader *reader, const char *value, size_t len,
                             struct violation_place place)
{
    char text[QUERY_VALUE_MAX];
    size_t text_len = 0;
    if (!query_decode(value, len, text, &text_len)) {
        violation_add_message(
            reader->violations, VIOLATION_VALUE, place,
            "value is not percent-encoded: write two hexadecimal digits after every %%");
        return;
    }

    for (size_t at = 0; at <= text_len && !violation_list_is_full(reader->violations);) {
        const char *comma = memchr(text + at, ',', text_len - at);
        size_t one = comma ? (size_t)(comma - text) - at : text_len - at;
        read_text(reader, text + at, one, place);
        at += one + 1;
    }
}

bool check_query_parse(const char *query, struct port_set *ports,
                       struct violation_list *ret_violations)
{
    const struct violation_place place = {.is_query = true, .field = "ports"};
    struct reader reader = {.ports = ports, .violations = ret_violations};
    bool has_ports = false;
    const char *value;
    size_t len = 0;

    ret_violations->count = 0;
    port_set_clear(ports);
    while (!violation_list_is_full(ret_violations) &&
           (value = query_next(&query, place.field, &len))) {
        has_ports = true;
        read_query_value(&reader, value, len, place);
    }
    if (!has_ports)
        violation_add(ret_violations, VIOLATION_MISSING, place);
    tell_if_too_many(&reader, place);
    if (ret_violations->count > 0)
        port_set_clear(ports);
    return ret_violations->count == 0;
}
