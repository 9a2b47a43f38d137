/* SPDX-License-Identifier: MIT
 *
 * What comes in on a connection: bytes from its transport, in a buffer, read as requests.
 * There is no buffer while nothing has come: where one is needed for a moment, it is the
 * worker's spare one, *spare, which may be NULL.
 */
#pragma once

#include "http/request.h"

#include <stdbool.h>
#include <stddef.h>

struct transport;
struct input_buffer;

/* What the socket holds for us, as far as is known. The owner writes what events tell. */
enum incoming {
    INCOMING_SOME,
    INCOMING_NONE,
    INCOMING_ENDED, /* the client has ended its side, maybe behind more bytes */
};

/* All zeros is an input of which nothing is known. */
struct input {
    struct input_buffer *buffer; /* owned, NULL = nothing was read ahead */
    enum incoming incoming;
};

enum input_event {
    INPUT_NOTHING, /* more has to come */
    INPUT_AGAIN,   /* more may be there, to be read in another turn */
    INPUT_HEAD,    /* a head is whole: its body is read by the next call */
    INPUT_REQUEST, /* and its body */
    INPUT_BAD,     /* the request's `fault` says why */
    INPUT_ENDED,   /* the client has left, or there is no memory */
};

/* Reads on until there is an event, or enough for one turn. */
enum input_event input_read(struct input *input, struct input_buffer **spare,
                            struct transport *transport, size_t body_max);

/* Reads ahead what there is, some kilobytes of it: for a client that says within TLS
 * records that it leaves. INPUT_NOTHING, INPUT_AGAIN or
 * INPUT_ENDED. */
enum input_event input_peek(struct input *input, struct input_buffer **spare,
                            struct transport *transport);

/* The request that is being read, valid until the next call. */
struct request_view input_view(const struct input *input);

/* Whether any byte of it has come, or of its body. */
bool input_has_begun(const struct input *input);
bool input_has_body(const struct input *input);

/* The request was read to its end and answered: what follows it is the next. */
void input_consume(struct input *input);

/* The connection will wait: it keeps no room that it does not fill. */
void input_settle(struct input *input, struct input_buffer **spare);

void input_drop(struct input *input, struct input_buffer **spare);
