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

/* All zeros is an input without a byte. */
struct input {
    struct input_buffer *buffer; /* owned, NULL = nothing was read ahead */
};

/* Reads on until there is progress, nothing more to read, or enough for one turn: then
 * `incoming` is not NONE. False when the client has left, or without memory. */
bool input_read(struct input *input, struct transport *transport, size_t body_max,
                enum request_progress *ret);

/* Reads ahead, up to a usual request: for a client that says within TLS records that it
 * leaves. False as above. */
bool input_can_peek(const struct input *input, const struct transport *transport);
bool input_peek(struct input *input, struct transport *transport);

/* The request that is being read, valid until the next call. */
struct request_view input_view(const struct input *input);

/* Whether any byte of it has come. */
bool input_has_begun(const struct input *input);

/* The request was read to its end and answered: what follows it is the next. */
void input_consume(struct input *input);

/* The connection will wait: it keeps no room that it does not fill. */
void input_settle(struct input *input);

void input_drop(struct input *input);
