/* SPDX-License-Identifier: MIT */
#include "http/input.h"

#include "http/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define USUAL_SIZE (16 * 1024) /* a usual request including its body */
#define LEAST_ROOM (2 * 1024)
#define READS_MAX  64 /* per turn: a TLS record may hold a single byte */

struct input_buffer {
    struct request request; /* the one that begins at the first byte */
    size_t len;
    size_t size;
    char bytes[];
};

/* --- buffers ---------------------------------------------------------------------- */

static bool resize(struct input *input, size_t size)
{
    struct input_buffer *buffer = realloc(input->buffer, sizeof *buffer + size);
    if (!buffer)
        return false;

    buffer->size = size;
    input->buffer = buffer;
    return true;
}

static bool make_room(struct input *input)
{
    if (input->buffer)
        return input->buffer->size - input->buffer->len >= LEAST_ROOM ||
               resize(input, input->buffer->len + USUAL_SIZE);
    if (!resize(input, USUAL_SIZE))
        return false;

    input->buffer->len = 0;
    request_init(&input->buffer->request);
    return true;
}

void input_drop(struct input *input)
{
    free(input->buffer);
    input->buffer = NULL;
}

void input_shrink(struct input *input)
{
    if (input_has_begun(input))
        resize(input, input->buffer->len); /* on failure it stays as it is */
    else
        input_drop(input);
}

/* --- requests --------------------------------------------------------------------- */

struct request_view input_view(const struct input *input)
{
    return (struct request_view){&input->buffer->request, input->buffer->bytes};
}

bool input_has_begun(const struct input *input)
{
    return input->buffer && input->buffer->len > 0;
}

void input_consume(struct input *input)
{
    struct input_buffer *buffer = input->buffer;
    buffer->len -= buffer->request.at;
    memmove(buffer->bytes, buffer->bytes + buffer->request.at, buffer->len);
    request_init(&buffer->request);
}

static bool fill(struct input *input, struct transport *transport)
{
    if (!make_room(input))
        return false;

    struct input_buffer *buffer = input->buffer;
    ssize_t n =
        transport_read(transport, buffer->bytes + buffer->len, buffer->size - buffer->len);
    if (n > 0)
        buffer->len += (size_t)n;
    if (n < 0 && errno == EAGAIN)
        return transport->incoming != INCOMING_ENDED || transport_has_unread(transport);
    return n > 0;
}

bool input_read(struct input *input, struct transport *transport, size_t body_max,
                enum request_progress *ret)
{
    for (unsigned reads = 0;; reads++) {
        struct input_buffer *buffer = input->buffer;
        *ret = input_has_begun(input)
                   ? request_read(&buffer->request, buffer->bytes, &buffer->len, body_max)
                   : REQUEST_MORE;
        if (*ret != REQUEST_MORE || transport->incoming == INCOMING_NONE ||
            reads == READS_MAX)
            return true;
        if (!fill(input, transport))
            return false; /* the request will never be complete */
    }
}

bool input_can_peek(const struct input *input, const struct transport *transport)
{
    return transport->incoming == INCOMING_SOME &&
           (!input->buffer || input->buffer->len < USUAL_SIZE);
}

bool input_peek(struct input *input, struct transport *transport)
{
    for (unsigned reads = 0; reads < READS_MAX && input_can_peek(input, transport); reads++)
        if (!fill(input, transport))
            return false;
    return true;
}
