/* SPDX-License-Identifier: MIT
 *
 * The bytes of a response: its head, and the frames around a body that goes out in pieces.
 * Pure. RFC 9112.
 */
#pragma once

#include "http/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESPONSE_HEAD_MAX (16 * 1024)

struct text;

/* What happens to the connection after the response. */
enum persistence {
    PERSISTENCE_STAYS,      /* the default of HTTP/1.1 */
    PERSISTENCE_KEEP_ALIVE, /* HTTP/1.0 needs it in a header */
    PERSISTENCE_CLOSE,
};

/* How a client knows where the body ends. */
enum body_form {
    BODY_LENGTH,
    BODY_CHUNKS,     /* pieces in HTTP/1.1 */
    BODY_TO_THE_END, /* pieces in HTTP/1.0: the body ends with the connection */
};

struct response {
    unsigned status;
    enum persistence persistence;
    enum body_form form;
    size_t body_len; /* of BODY_LENGTH */
    const char *date;
    const char *server;
    const char *content_type;
    bool is_tls;               /* then with Strict-Transport-Security */
    const struct text *fields; /* further lines, "Name: value\r\n" each */
};

/* Appends the head including its blank line, with "Cache-Control: no-store" unless `fields`
 * contains that header. A 204 gets no Content-Length. Over TLS, browsers are told to use
 * only TLS for this host name for a year: RFC 6797. */
void response_append_head(struct text *out, const struct response *response);

/* Appends a piece of a body, of at least one byte, and what follows the last one. */
void response_append_piece(struct text *out, enum body_form form, const char *bytes,
                           size_t len);
void response_append_end(struct text *out, enum body_form form);

unsigned http_error_status(enum http_error error);

/* The other protocol that the client speaks, or NULL. */
const char *http_error_protocol(enum http_error error);

/* "Thu, 26 Nov 2026 05:34:57 GMT" (RFC 9110 section 5.6.7), formatted at most once a
 * second. Initialise it with zeros. */
struct http_date {
    int64_t second;
    char text[32];
};
const char *http_date_text(struct http_date *date, int64_t unix_second);
