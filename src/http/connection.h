/* SPDX-License-Identifier: MIT
 *
 * The connections of one worker. A connection reads requests, has each answered by an
 * exchange, sends the replies, and ends; no other file decides when to read, send or end.
 *
 *     [HANDSHAKE ->] RESTING -> HEAD -> BODY -> WAITING -> SENDING -> RESTING ...
 *                                                                 \-> LINGERING -> end
 *
 * A state is skipped where there is nothing to wait for. Every state except WAITING has a
 * time limit, which is absolute: bytes that trickle in do not extend it. But a client that
 * keeps reading its reply, at 16 KiB a second or faster, may take as long as it needs. Up
 * to BODY a connection is waiting, in the words of policy/admission.h, and may have to give
 * way to a newcomer.
 *
 * A connection whose handler waits is watched: when its client closes, resets or
 * half-closes, the exchange is gone and the connection ends. Each turn of the loop serves
 * one of several pipelined requests.
 */
#pragma once

#include "base/clock.h"
#include "http/exchange_run.h"

#include <stddef.h>
#include <stdint.h>

struct admission;
struct cidr_list;
struct connections;
struct err;
struct loop;
struct metrics;
struct tls_identity;

enum connection_state {
    STATE_HANDSHAKE, /* of TLS */
    STATE_RESTING,   /* no request has begun */
    STATE_HEAD,      /* a request has begun, but its head is incomplete */
    STATE_BODY,      /* the head is complete, but the body is not */
    STATE_WAITING,   /* its handler has not finished */
    STATE_SENDING,   /* the socket does not accept the rest of the reply yet */
    STATE_LINGERING, /* the last reply is sent; further input is discarded */
    STATE_COUNT,
};

/* How long a connection may stay in each state. The time of a handler is not limited. */
/* clang-format off */
#define CONNECTION_LIMITS                          \
    {                                              \
        [STATE_HANDSHAKE] = {10 * NS_PER_SECOND},  \
        [STATE_RESTING]   = {60 * NS_PER_SECOND},  \
        [STATE_HEAD]      = {10 * NS_PER_SECOND},  \
        [STATE_BODY]      = {10 * NS_PER_SECOND},  \
        [STATE_WAITING]   = {INT32_MAX * NS_PER_SECOND}, \
        [STATE_SENDING]   = {30 * NS_PER_SECOND},  \
        [STATE_LINGERING] = {2 * NS_PER_SECOND},   \
    }
/* clang-format on */

struct http_config {
    struct http_site site;
    const struct tls_identity *tls;    /* these four borrowed; NULL = plain HTTP */
    const struct cidr_list *unlimited; /* peers without a limit of their own: proxies */
    struct admission *admission;       /* shared by all workers */
    struct metrics *metrics;
    struct span limits[STATE_COUNT];
};

/* `config` stays the caller's. */
bool connections_new(struct loop *loop, const struct http_config *config,
                     struct connections **ret, struct err *err);

/* Ends every connection. Exchanges that wait for their reply are told first that they are
 * gone. Do not call it from a handler or a turn-end function. */
struct connections *connections_free(struct connections *all);

enum connection_seat {
    SEAT_NONE,    /* not admitted */
    SEAT_COUNTED, /* counted by the admission, also per caller */
    SEAT_UNLIMITED,
};

/* Takes an accepted descriptor. A connection with a seat has a place of the admission and
 * leaves it when it ends or lingers. A connection without a seat is sent `refusal`, over
 * TLS after a handshake, and ends. */
void connection_begin(struct connections *all, int fd, const struct address *peer,
                      enum connection_seat seat, uint32_t place, enum http_error refusal);

/* False while new handshakes wait for the processor: accept no connection until it is true
 * again. turns.h has the reason. */
bool connections_may_begin(const struct connections *all);

/* Ends the lingering connections. Returns how many there were. */
size_t connections_drop_lingering(struct connections *all);

/* Clients that have not begun a request get one second to begin, counted from now or from
 * their arrival, and clients that have begun get two seconds for the rest of their head,
 * unless their time runs out first: an idle connection whose client is about to use it must
 * not end at that moment. All end after their next reply, with `Connection: close`. */
void connections_drain(struct connections *all);

/* Exchanges whose reply is not completely sent, and connections with a seat. */
size_t connections_exchanges(const struct connections *all);
size_t connections_count(const struct connections *all);
