/* SPDX-License-Identifier: MIT
 *
 * Parses one request in a growing buffer in a single pass, each line once it is complete.
 * Pure. RFC 9112, and stricter wherever two parsers could disagree about where a request
 * ends, because that lets a client smuggle a second request past a proxy:
 *
 *     *CRLF method SP target SP ("HTTP/1.1" / "HTTP/1.0") CRLF
 *     *(name ":" OWS value OWS CRLF) CRLF
 *
 * - Lines end with CRLF. A bare LF, a bare CR, a control character (HTAB in a value
 *   excepted) and a folded line are refused.
 * - A target is visible ASCII: "/..." or "*", or "http://host/..." whose host then replaces
 *   the Host header (RFC 9112 section 3.2.2).
 * - HTTP/1.1 has exactly one Host, HTTP/1.0 at most one; it may be empty (host.h).
 * - A body has one Content-Length of digits only, or, in HTTP/1.1, one "Transfer-Encoding:
 *   chunked", never both.
 * - A chunk's size is hexadecimal digits only. Extensions and trailers are read like
 *   headers, and dropped; trailers about framing are refused.
 *
 * The buffer belongs to the caller and may move between calls, so all positions are
 * offsets. Texts are cut in place: method, path, query and values end with a NUL. Chunks
 * are joined in place, so that the body is one piece.
 */
#pragma once

#include "http/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUEST_HEAD_MAX   (8 * 1024) /* bytes of a head, including blank lines before it */
#define REQUEST_EXTRA_MAX  (8 * 1024) /* bytes of all chunk extensions and trailers */
#define REQUEST_FIELDS_MAX 256

enum http_version { HTTP_1_0, HTTP_1_1 };

enum request_framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED };

enum request_stage {
    REQUEST_LINE, /* at most blank lines have arrived */
    REQUEST_FIELDS,
    REQUEST_BODY, /* the head is complete */
    REQUEST_CHUNK_SIZE,
    REQUEST_CHUNK_END, /* the CRLF after a chunk's data */
    REQUEST_TRAILERS,
    REQUEST_WHOLE,
};

enum request_progress {
    REQUEST_MORE, /* more bytes are needed */
    REQUEST_HEAD, /* the head is complete: the next call reads the body */
    REQUEST_DONE, /* the body is complete */
    REQUEST_BAD,  /* `error` says why */
};

struct request_text {
    uint16_t at; /* offset */
    uint16_t len;
};

struct request_field {
    struct request_text name, value;
};

struct request {
    enum request_stage stage;
    enum http_error error;
    enum http_version version;
    enum request_framing framing;
    uint32_t at;   /* the next byte to read */
    uint32_t seen; /* bytes already searched for a line end */
    uint32_t body; /* where the body begins, right after the head */
    uint32_t extra;
    uint64_t length; /* of the body, or the rest of the chunk */
    struct request_text method, path, authority;
    struct request_text query; /* after the "?", as sent; "" without one */
    bool expects_continue;     /* waits for a 100 (Continue); HTTP/1.1 only */
    uint16_t host_count;
    uint16_t field_count;
    struct request_field fields[REQUEST_FIELDS_MAX];
};

/* A request in its buffer. */
struct request_view {
    const struct request *request;
    const char *bytes;
};

/* Starts a request at the buffer's first byte. */
void request_init(struct request *request);

/* Continues parsing. The body read so far is at `body` .. `at`, and unread bytes follow
 * directly: *len shrinks by what was dropped. A body of more than `body_max` bytes is a
 * BODY_TOO_LARGE. */
enum request_progress request_read(struct request *request, char *bytes, size_t *len,
                                   size_t body_max);

/* Whether a body follows the head. */
bool request_has_body(const struct request *request);
