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
