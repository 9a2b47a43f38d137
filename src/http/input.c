/* SPDX-License-Identifier: MIT */
#include "http/input.h"

#include "http/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define USUAL_SIZE (16 * 1024) /* a usual request, its body included */
#define LEAST_ROOM (2 * 1024)
#define READS_MAX  64 /* in a turn: a record of TLS may be a byte long */

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

static bool make_room(struct input *input, struct input_buffer **spare)
{
    if (input->buffer)
        return input->buffer->size - input->buffer->len >= LEAST_ROOM ||
               resize(input, input->buffer->len + USUAL_SIZE);

    input->buffer = *spare;
    *spare = NULL;
    if (!input->buffer && !resize(input, USUAL_SIZE))
        return false;
    input->buffer->len = 0;
    request_init(&input->buffer->request);
    return true;
}

void input_drop(struct input *input, struct input_buffer **spare)
{
    if (input->buffer && input->buffer->size == USUAL_SIZE && !*spare)
        *spare = input->buffer;
    else
        free(input->buffer);
    input->buffer = NULL;
}

void input_settle(struct input *input, struct input_buffer **spare)
{
    if (!input_has_begun(input))
        input_drop(input, spare);
    else
        resize(input, input->buffer->len); /* without memory it stays as it is */
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

bool input_has_body(const struct input *input)
{
    return input->buffer->len > input->buffer->request.body;
}

void input_consume(struct input *input)
{
    struct input_buffer *buffer = input->buffer;
    buffer->len -= buffer->request.at;
    memmove(buffer->bytes, buffer->bytes + buffer->request.at, buffer->len);
    request_init(&buffer->request);
}

static enum input_event fill(struct input *input, struct transport *transport)
{
    bool is_drained;
    struct input_buffer *buffer = input->buffer;
    ssize_t n = transport_read(transport, buffer->bytes + buffer->len,
                               buffer->size - buffer->len, &is_drained);
    if (n == 0 || (n < 0 && errno != EAGAIN) ||
        (n < 0 && is_drained && input->incoming == INCOMING_ENDED))
        return INPUT_ENDED;
    if (n < 0 && !is_drained)
        return INPUT_AGAIN;
    if (is_drained && input->incoming == INCOMING_SOME)
        input->incoming = INCOMING_NONE;
    buffer->len += n > 0 ? (size_t)n : 0;
    return INPUT_NOTHING;
}

static enum input_event parse(struct input_buffer *buffer, size_t body_max)
{
    struct request *request = &buffer->request;
    bool is_head = request->stage <= REQUEST_FIELDS;
    switch (is_head ? request_read_head(request, buffer->bytes, buffer->len)
                    : request_read_body(request, buffer->bytes, &buffer->len, body_max)) {
    case REQUEST_MORE:
        break;
    case REQUEST_DONE:
        return is_head ? INPUT_HEAD : INPUT_REQUEST;
    case REQUEST_BAD:
        return INPUT_BAD;
    }
    return INPUT_NOTHING;
}

enum input_event input_read(struct input *input, struct input_buffer **spare,
                            struct transport *transport, size_t body_max)
{
    for (unsigned reads = 0;; reads++) {
        enum input_event event =
            input_has_begun(input) ? parse(input->buffer, body_max) : INPUT_NOTHING;
        if (event != INPUT_NOTHING || input->incoming == INCOMING_NONE)
            return event;
        if (reads == READS_MAX)
            return INPUT_AGAIN;
        event = make_room(input, spare) ? fill(input, transport) : INPUT_ENDED;
        if (event != INPUT_NOTHING)
            return event; /* once it has ended, what it has begun will never be whole */
    }
}

enum input_event input_peek(struct input *input, struct input_buffer **spare,
                            struct transport *transport)
{
    for (unsigned reads = 0; reads < READS_MAX; reads++) {
        if (input->incoming != INCOMING_SOME ||
            (input->buffer && input->buffer->len >= USUAL_SIZE))
            return INPUT_NOTHING;
        enum input_event event =
            make_room(input, spare) ? fill(input, transport) : INPUT_ENDED;
        if (event != INPUT_NOTHING)
            return event;
    }
    return INPUT_AGAIN;
}
