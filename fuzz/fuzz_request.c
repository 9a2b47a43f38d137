/* SPDX-License-Identifier: MIT
 *
 * The first bytes of a connection. A head is whole from its last byte on and not before;
 * one that is sound and plain is taken apart into texts that hold no line end, and the same
 * request written anew is taken apart into the same texts.
 */
#include "http/framing.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD_MAX 1024

/* On the heap without a byte to spare, so that a sanitizer sees a read past the end. */
static char *copy_of(const char *bytes, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1);
    assert(copy);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

static bool take_apart(char *bytes, size_t size, struct request *ret, struct head *ret_head)
{
    bool is_1_1;
    return head_scan(bytes, size, HEAD_MAX, ret_head, &is_1_1) == HEAD_WHOLE &&
           head_is_sound(ret_head, is_1_1) && request_parse(bytes, ret_head, ret) &&
           is_1_1 == ret->is_1_1;
}

static void check_end(const char *bytes, size_t size)
{
    struct head head, shorter;
    bool is_1_1;
    if (head_scan(bytes, size, HEAD_MAX, &head, &is_1_1) != HEAD_WHOLE)
        return;

    assert(head.size > 0 && head.size <= size && head.size <= HEAD_MAX);
    assert(head_scan(bytes, head.size, HEAD_MAX, &head, &is_1_1) == HEAD_WHOLE);
    assert(head_scan(bytes, head.size - 1, HEAD_MAX, &shorter, &is_1_1) == HEAD_PARTIAL);
}

static size_t write_anew(const struct request *request, char ret_text[2 * HEAD_MAX])
{
    size_t room = 2 * HEAD_MAX;
    size_t len = (size_t)snprintf(ret_text, room, "%s %s HTTP/1.%d\r\n", request->method,
                                  request->path, request->is_1_1);
    for (size_t i = 0; i < request->field_count; i++) {
        const struct request_field *field = &request->fields[i];
        assert(strlen(field->value) == field->value_len);
        assert(!strpbrk(field->value, "\r\n"));
        len += (size_t)snprintf(ret_text + len, room - len, "%.*s: %s\r\n",
                                (int)field->name_len, field->name, field->value);
    }
    len += (size_t)snprintf(ret_text + len, room - len, "\r\n");
    assert(len < room);
    return len;
}

static void check_same(const struct request *a, const struct request *b)
{
    assert(strcmp(a->method, b->method) == 0 && strcmp(a->path, b->path) == 0);
    assert(a->is_1_1 == b->is_1_1 && a->field_count == b->field_count);
    for (size_t i = 0; i < a->field_count; i++) {
        const struct request_field *x = &a->fields[i], *y = &b->fields[i];
        assert(x->name_len == y->name_len && memcmp(x->name, y->name, x->name_len) == 0);
        assert(strcmp(x->value, y->value) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request request, again;
    struct head head, again_head;
    char text[2 * HEAD_MAX];
    char *bytes = copy_of((const char *)data, size);

    check_end(bytes, size);
    if (take_apart(bytes, size, &request, &head)) {
        assert(request.field_count == head.lines);
        size_t len = write_anew(&request, text);
        char *copy = copy_of(text, len);
        /* With blanks after its colons it may have outgrown the limit. */
        if (len <= HEAD_MAX) {
            bool is_taken = take_apart(copy, len, &again, &again_head);
            assert(is_taken && again_head.size == len);
            assert(again_head.content_length == head.content_length);
            check_same(&request, &again);
        }
        free(copy);
    }
    free(bytes);
    return 0;
}
