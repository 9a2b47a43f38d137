/* SPDX-License-Identifier: MIT
 *
 * One request. However the bytes are cut, the same request comes out of them: the same
 * head, the same body, the same end, or the same error. A valid request yields texts
 * without control characters, and reads the same after it is written again.
 */
#include "http/request.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BODY_MAX 1024

struct outcome {
    struct request request;
    enum request_progress progress;
    size_t eaten; /* bytes of the request as it arrived */
    size_t len;
    char *bytes; /* owned; on the heap, without a spare byte */
};

static char *copy_of(const void *bytes, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1);
    assert(copy);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

/* Passes the bytes in pieces of `step`, moving the buffer each time. */
static struct outcome read_in_pieces(const uint8_t *data, size_t size, size_t step)
{
    struct outcome outcome = {.progress = REQUEST_MORE, .bytes = copy_of(NULL, 0)};
    request_init(&outcome.request);
    size_t given = 0;
    while (outcome.progress == REQUEST_MORE && given < size) {
        size_t piece = step < size - given ? step : size - given;
        char *moved = malloc(outcome.len + piece);
        assert(moved);
        memcpy(moved, outcome.bytes, outcome.len);
        memcpy(moved + outcome.len, data + given, piece);
        free(outcome.bytes);
        outcome.bytes = moved;
        outcome.len += piece;
        given += piece;
        do
            outcome.progress =
                request_read(&outcome.request, outcome.bytes, &outcome.len, BODY_MAX);
        while (outcome.progress == REQUEST_HEAD);
    }
    assert(outcome.request.at <= outcome.len);
    outcome.eaten = given - (outcome.len - outcome.request.at);
    return outcome;
}

static bool is_same_text(const struct outcome *a, struct request_text text_a,
                         const struct outcome *b, struct request_text text_b)
{
    return text_a.len == text_b.len &&
           memcmp(a->bytes + text_a.at, b->bytes + text_b.at, text_a.len) == 0;
}

static void check_same_head(const struct outcome *a, const struct outcome *b)
{
    assert(a->request.version == b->request.version);
    assert(a->request.framing == b->request.framing);
    assert(a->request.field_count == b->request.field_count);
    assert(is_same_text(a, a->request.method, b, b->request.method));
    assert(is_same_text(a, a->request.path, b, b->request.path));
    assert(is_same_text(a, a->request.query, b, b->request.query));
    for (size_t i = 0; i < a->request.field_count; i++) {
        const struct request_field *x = &a->request.fields[i], *y = &b->request.fields[i];
        assert(is_same_text(a, x->name, b, y->name));
        assert(is_same_text(a, x->value, b, y->value));
    }
}

static void check_same_body(const struct outcome *a, const struct outcome *b)
{
    size_t len = a->request.at - a->request.body;
    assert(len == b->request.at - b->request.body && len <= BODY_MAX);
    assert(memcmp(a->bytes + a->request.body, b->bytes + b->request.body, len) == 0);
}

static void check_same(const struct outcome *a, const struct outcome *b)
{
    assert(a->progress == b->progress);
    if (a->progress == REQUEST_BAD)
        assert(a->request.error == b->request.error);
    if (a->progress != REQUEST_DONE)
        return;
    assert(a->eaten == b->eaten);
    check_same_head(a, b);
    check_same_body(a, b);
}

static size_t put(char *text, size_t at, const struct outcome *outcome,
                  struct request_text part, const char *after)
{
    const char *from = outcome->bytes + part.at;
    for (size_t i = 0; i < part.len; i++)
        assert((unsigned char)from[i] >= ' ' || from[i] == '\t');
    memcpy(text + at, from, part.len);
    memcpy(text + at + part.len, after, strlen(after));
    return at + part.len + strlen(after);
}

/* In canonical form: with Content-Length, nothing before it and nothing in between. */
static void check_written_anew(const struct outcome *outcome)
{
    const struct request *request = &outcome->request;
    size_t body_len = request->at - request->body;
    char *text = malloc((size_t)2 * REQUEST_HEAD_MAX + BODY_MAX);
    assert(text);
    size_t at = put(text, 0, outcome, request->method, " ");
    at = put(text, at, outcome, request->path, request->query.len > 0 ? "?" : "");
    at = put(text, at, outcome, request->query, " ");
    at += (size_t)sprintf(text + at, "HTTP/1.%d\r\n", request->version == HTTP_1_1);
    for (size_t i = 0; i < request->field_count; i++) {
        at = put(text, at, outcome, request->fields[i].name, ": ");
        at = put(text, at, outcome, request->fields[i].value, "\r\n");
    }
    memcpy(text + at, "\r\n", 2);
    at += 2;
    bool fits = at <= REQUEST_HEAD_MAX;
    if (request->framing != FRAMING_CHUNKED && fits) {
        memcpy(text + at, outcome->bytes + request->body, body_len);
        struct outcome again = read_in_pieces((uint8_t *)text, at + body_len, SIZE_MAX);
        assert(again.progress == REQUEST_DONE && again.eaten == at + body_len);
        check_same_head(outcome, &again);
        check_same_body(outcome, &again);
        free(again.bytes);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole = read_in_pieces(data, size, SIZE_MAX);
    struct outcome bytewise = read_in_pieces(data, size, 1);
    struct outcome pieces = read_in_pieces(data, size, 3 + size % 61);
    check_same(&whole, &bytewise);
    check_same(&whole, &pieces);
    if (whole.progress == REQUEST_DONE)
        check_written_anew(&whole);
    free(whole.bytes);
    free(bytewise.bytes);
    free(pieces.bytes);
    return 0;
}
