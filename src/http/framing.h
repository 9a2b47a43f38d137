/* SPDX-License-Identifier: MIT
 *
 * Where does a request end? Two parsers that answer differently, a proxy's and ours, let a
 * client smuggle a second request past the proxy: whatever could be read in two ways is
 * refused. Pure.
 *
 * libmicrohttpd 0.9.75 accepts Content-Length together with Transfer-Encoding, several
 * Content-Lengths and any Transfer-Encoding, and loses the text of folded lines. It cuts
 * lines in place: a header's name must begin right after the line end that follows what
 * was before it; when it does not, a line was folded or had a NUL in it.
 *
 * Most requests are of one plain kind, and need no libmicrohttpd at all: request_parse()
 * knows that kind, and nothing else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the headers of one request say. */
struct head {
    const char *end; /* where the text of the last line ended; borrowed */
    unsigned lines;
    size_t size; /* bytes, blank lines before included; of head_scan() only */
    unsigned content_lengths;
    unsigned transfer_encodings;
    unsigned hosts;
    bool is_chunked;
    bool is_malformed;
    uint64_t content_length;
};

/* `end` is where the request line's text ended in memory. */
void head_init(struct head *head, const char *end);

/* One header after the other, in the order in which they came. */
void head_add(struct head *head, const char *name, size_t name_len, const char *value,
              size_t value_len);

/* After the last: the head ends here, behind its blank line. */
void head_finish(struct head *head, const char *end);

/* Whether there is one reading only. */
bool head_is_sound(const struct head *head, bool is_1_1);
bool head_has_body(const struct head *head);

enum head_state {
    HEAD_PARTIAL,
    HEAD_WHOLE,
    HEAD_TOO_LARGE,
};

/* Looks at the first bytes of a request: is its head all there, and within `max`? Blank
 * lines before it belong to it; a bare LF ends a line, as libmicrohttpd reads it. When it
 * is whole, its lines are read into `ret`, except the first. */
enum head_state head_scan(const char *bytes, size_t len, size_t max, struct head *ret,
                          bool *ret_is_1_1);

#define REQUEST_FIELDS_MAX 64

struct request_field {
    const char *name; /* not terminated */
    size_t name_len;
    const char *value; /* terminated, without blanks around it */
    size_t value_len;
};

/* A plain request; its texts are borrowed. */
struct request {
    const char *method;
    const char *path; /* as it came, the query cut off */
    bool is_1_1;
    size_t field_count;
    struct request_field fields[REQUEST_FIELDS_MAX];
};

/* Takes a head apart, and cuts its texts in place. `head` is what head_scan() has found in
 * these bytes, whole and sound. False for everything but
 *
 *     METHOD SP "/" path ["?" query] SP "HTTP/1.1" or "HTTP/1.0"
 *
 * in visible ASCII, with a Host unless it is 1.0, a body of known length or none, at most
 * REQUEST_FIELDS_MAX lines, and nothing that asks for more than a reply: Expect, Upgrade,
 * HTTP/1.0 with keep-alive. The bytes are then worth nothing any more. */
bool request_parse(char *bytes, const struct head *head, struct request *ret);
