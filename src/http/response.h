/* SPDX-License-Identifier: MIT
 *
 * The bytes of a response: its head, and the frames around a body that goes out in pieces.
 * Pure. RFC 9112.
 */
#pragma once

#include "http/fault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESPONSE_HEAD_MAX (16 * 1024)

struct text;

/* What becomes of the connection. */
enum persistence {
    PERSISTENCE_STAYS,      /* which goes without saying */
    PERSISTENCE_KEEP_ALIVE, /* HTTP/1.0 wants it said */
    PERSISTENCE_CLOSE,
};

enum body_form {
    BODY_WHOLE,
    BODY_LEFT_OUT,   /* the length alone: HEAD */
    BODY_UNSAID,     /* nor that: HEAD of a reply in pieces */
    BODY_CHUNKS,     /* pieces in HTTP/1.1 */
    BODY_TO_THE_END, /* pieces in HTTP/1.0: the connection's end is the body's */
};

struct response {
    unsigned status;
    enum persistence persistence;
    enum body_form form;
    size_t body_len; /* of BODY_WHOLE and BODY_LEFT_OUT */
    const char *date;
    const char *server;
    const char *content_type;
    const struct text *fields; /* more lines, "Name: value\r\n" each */
};

/* Appends the head with its blank line. "Cache-Control: no-store" is in it unless `fields`
 * have that header. 204 and 304 have no body: BODY_LEFT_OUT, and 204 no length. */
void response_append_head(struct text *out, const struct response *response);

/* Appends a piece of a body, of at least one byte, and what follows the last one. */
void response_append_piece(struct text *out, enum body_form form, const char *bytes,
                           size_t len);
void response_append_end(struct text *out, enum body_form form);

unsigned http_fault_status(enum http_fault fault);

/* "Thu, 26 Nov 2026 05:34:57 GMT" (RFC 9110 section 5.6.7), made anew once a second. Zero
 * it at first. */
struct http_date {
    int64_t second;
    char text[32];
};
const char *http_date_text(struct http_date *date, int64_t unix_second);
