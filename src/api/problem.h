/* SPDX-License-Identifier: MIT
 *
 * Everything that can be wrong with a request: the only list of types, codes, statuses and
 * messages, for the code, the API description and the page.
 * Bodies are JSON with a member `detail`, separators ", " and ": ".
 *
 * A 422 carries a list of violations in the form of FastAPI 0.x; everything else is one
 * sentence and, for programs, a `code`.
 */
#pragma once

#include "http/error.h"
#include "policy/access.h"

#include <stdbool.h>
#include <stddef.h>

/* What a body violates. The message is the default; a place may have a better one. */
#define VIOLATION_MAP(X)                                                                   \
    X(MISSING, "value_error.missing", "field required")                                    \
    X(JSON, "value_error.jsondecode", "not valid JSON")                                    \
    X(OBJECT, "type_error.dict", "value is not a valid dict")                              \
    X(LIST, "type_error.list", "value is not a valid list")                                \
    X(INTEGER, "type_error.integer", "value is not a valid integer")                       \
    X(BOOL, "type_error.bool", "value could not be parsed to a boolean")                   \
    X(STRING, "type_error.str", "str type expected")                                       \
    X(VALUE, "value_error", "value is not valid")

enum violation_type {
#define X(NAME, type, message) VIOLATION_##NAME,
    VIOLATION_MAP(X)
#undef X
        VIOLATION_TYPE_COUNT
};

/* The server's own answers have their statuses only in http/error.h. */
enum {
#define X(NAME, status, protocol) STATUS_##NAME = (status),
    HTTP_ERROR_MAP(X)
#undef X
};

/* Replies other than 200 and 422. CODED rows have a `code`; PLAIN rows match FastAPI's,
 * which clients compare. */
#define PROBLEM_MAP(CODED, PLAIN)                                                          \
    CODED(BAD_FRAMING, STATUS_BAD_FRAMING, "bad_framing",                                  \
          "the request is ambiguous or malformed: send one Host, one Content-Length or "   \
          "Transfer-Encoding: chunked, and every header on one line that ends with CRLF "  \
          "and has no control characters")                                                 \
    CODED(HTTP_2, STATUS_HTTP_2, "bad_framing",                                            \
          "this is HTTP/2, but this checker speaks HTTP/1.1: configure the client or "     \
          "the proxy to use HTTP/1.1")                                                     \
    CODED(PROXY_PROTOCOL, STATUS_PROXY_PROTOCOL, "bad_framing",                            \
          "this is the PROXY protocol, which this checker does not support: configure "    \
          "the proxy to send HTTP with X-Forwarded-For")                                   \
    CODED(TLS_AT_PLAIN, STATUS_TLS_AT_PLAIN, "bad_framing",                                \
          "this is TLS, and this port serves plain HTTP: use http://")                     \
    CODED(PLAIN_AT_TLS, STATUS_PLAIN_AT_TLS, "bad_framing",                                \
          "this is plain HTTP, and this port serves HTTPS: use https://")                  \
    CODED(TARGET_NOT_ALLOWED, 403, "target_not_allowed",                                   \
          "this checker does not probe that address for you: name your own")               \
    CODED(CALLER_UNKNOWN, 403, "caller_unknown", ACCESS_UNKNOWN_SENTENCE(""))              \
    CODED(METRICS_NOT_ALLOWED, 403, "metrics_not_allowed",                                 \
          "only the addresses in PORT_CHECKER_METRICS_FROM may read the metrics")          \
    CODED(RECEIPT_NOT_ALLOWED, 403, "receipt_not_allowed",                                 \
          "receipts are only for your own address: name it in provider_ip, or leave out "  \
          "receipt")                                                                       \
    CODED(OTHER_SITE, 403, "other_site",                                                   \
          "this request came from a page of another site: open this checker's own page")   \
    PLAIN(NOT_FOUND, STATUS_NOT_FOUND, "Not Found")                                        \
    PLAIN(METHOD_NOT_ALLOWED, STATUS_METHOD_NOT_ALLOWED, "Method Not Allowed")             \
    CODED(TIMEOUT, STATUS_TIMEOUT, "request_timeout",                                      \
          "the request took too long to arrive: send it without pauses")                   \
    CODED(BODY_TOO_LARGE, STATUS_BODY_TOO_LARGE, "body_too_large",                         \
          "the body is too large: send at most 64 KiB, with ports as ranges if "           \
          "necessary")                                                                     \
    CODED(UNSUPPORTED_ENCODING, STATUS_UNSUPPORTED_ENCODING, "unsupported_encoding",       \
          "the body has a Content-Encoding that this checker does not support: send "      \
          "it without one")                                                                \
    CODED(RATE_LIMITED, 429, "rate_limited",                                               \
          "too many ports: try again after the seconds in Retry-After")                    \
    CODED(CALLER_CONNECTIONS, STATUS_CALLER_CONNECTIONS, "rate_limited",                   \
          "too many connections from your address: close some or reuse them")              \
    CODED(HEADERS_TOO_LARGE, STATUS_HEADERS_TOO_LARGE, "headers_too_large",                \
          "the headers are too large: send at most 8 KiB")                                 \
    CODED(CONNECTIONS, STATUS_CONNECTIONS, "overloaded",                                   \
          "this checker has too many connections: try again later, or use another "        \
          "checker")                                                                       \
    CODED(OVERLOADED, 503, "overloaded",                                                   \
          "this checker is too busy: try again later, or use another checker")             \
    CODED(CHECKER_FAULT, 503, "checker_fault",                                             \
          "this checker could not try every port: try again later, or use another "        \
          "checker")                                                                       \
    CODED(DRAINING, 503, "draining",                                                       \
          "this checker is shutting down: try again later, or use another checker")

enum problem {
#define X(NAME, ...) PROBLEM_##NAME,
    PROBLEM_MAP(X, X)
#undef X
        PROBLEM_COUNT
};

unsigned problem_status(enum problem problem);

/* NULL unless the row is CODED. */
const char *problem_code(enum problem problem);

/* The sentence of the table. */
const char *problem_sentence(enum problem problem);

/* The body with the sentence of the table: a constant. */
const char *problem_text(enum problem problem);

/* The body with a more specific sentence; free() it. NULL without memory, or if `detail` is
 * not UTF-8. */
char *problem_body(enum problem problem, const char *detail, size_t *ret_len);

/* `error_body` of a struct http_site. */
const char *problem_of_http_error(enum http_error error);

/* --- the violations of one body --------------------------------------------------- */

#define VIOLATIONS_MAX         20
#define VIOLATION_MESSAGE_SIZE 352 /* the largest double as an integer has 309 digits */

/* Where: ["body"], ["body", 17], ["body", "ports"], ["body", "ports", 3] or the same with
 * "query". */
struct violation_place {
    bool is_query;
    const char *field; /* a constant, or NULL */
    bool has_index;
    size_t index; /* of the list's element; without a field: of the body's byte */
};

struct violation {
    enum violation_type type;
    struct violation_place place;
    char message[VIOLATION_MESSAGE_SIZE]; /* what is neither ASCII nor UTF-8 becomes "?" */
};

/* In the order in which they were found. */
struct violation_list {
    size_t count;
    struct violation items[VIOLATIONS_MAX];
};

/* Adds a violation with its message from the table, or with its own. Dropped if the list is
 * full. */
void violation_add(struct violation_list *list, enum violation_type type,
                   struct violation_place place);
void violation_add_message(struct violation_list *list, enum violation_type type,
                           struct violation_place place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Whether to stop reading. */
bool violation_list_is_full(const struct violation_list *list);

/* The body of the 422; free() it. NULL without memory. */
char *violation_list_body(const struct violation_list *list, size_t *ret_len);
