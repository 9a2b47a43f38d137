/* SPDX-License-Identifier: MIT
 *
 * The input of a connection: bytes from its transport, buffered and parsed as requests.
 * While no byte has arrived, there is no buffer.
 */
#pragma once

#include "http/request.h"

#include <stdbool.h>
#include <stddef.h>

struct transport;
struct input_buffer;

/* All zeros is an empty input. */
struct input {
    struct input_buffer *buffer; /* owned, NULL = nothing was read ahead */
};

/* Reads until there is progress, until nothing is left to read, or until one turn's share
 * has been read; in the last case `incoming` is not NONE. False if the client has left, or
 * without memory. */
bool input_read(struct input *input, struct transport *transport, size_t body_max,
                enum request_progress *ret);

/* Reads ahead, up to the size of a usual request, to find out whether a TLS client has
 * left. False as above. */
bool input_can_peek(const struct input *input, const struct transport *transport);
bool input_peek(struct input *input, struct transport *transport);

/* The request that is being read, valid until the next call. */
struct request_view input_view(const struct input *input);

/* Whether any byte of the next request has arrived. */
bool input_has_begun(const struct input *input);

/* Call it when the request has been read and answered: the bytes after it begin the next
 * one. */
void input_consume(struct input *input);

/* Call it before the connection waits: returns unused memory. */
void input_shrink(struct input *input);

void input_drop(struct input *input);
