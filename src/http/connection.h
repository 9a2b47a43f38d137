/* SPDX-License-Identifier: MIT
 *
 * The connections of one worker. A connection reads requests, has each answered by an
 * exchange, sends the replies, and ends; no other file decides when to read, send or end.
 *
 *     [HANDSHAKE ->] RESTING -> HEAD -> BODY -> WAITING -> SENDING -> RESTING ...
 *                                                                 \-> LINGERING -> end
 *
 * A state is skipped where there is nothing to wait for. Each but WAITING has a time limit,
 * which is absolute: bytes that trickle in do not prolong it.
 *
 * A connection whose handler waits is watched: when its client closes, resets or
 * half-closes, the exchange is gone and the connection ends. Of requests that come together
 * each turn of the loop serves one.
 */
#pragma once

#include "base/clock.h"
#include "http/exchange_run.h"

#include <stddef.h>

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
    STATE_HEAD,      /* a request has begun, and its head is not whole */
    STATE_BODY,      /* its head is whole, and its body is not */
    STATE_WAITING,   /* its handler has not finished */
    STATE_SENDING,   /* the socket does not take the rest of the reply */
    STATE_LINGERING, /* the last reply is sent: what still comes is thrown away */
    STATE_COUNT,
};

/* How long a connection may stay in each state. A handler may take as long as it likes. */
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

/* Ends every connection. Each exchange that waits for its reply is first told that it is
 * gone. Not to be called from a handler or a turn-end function. */
struct connections *connections_free(struct connections *all);

enum connection_seat {
    SEAT_NONE,    /* not let in */
    SEAT_COUNTED, /* let in by the admission */
    SEAT_UNLIMITED,
};

/* Takes an accepted descriptor. A connection with a seat gives it back to the admission
 * when it ends. One without a seat is told `refusal`, over TLS after a handshake, and ends.
 */
void connection_begin(struct connections *all, int fd, const struct address *peer,
                      enum connection_seat seat, enum http_error refusal);

/* Ends those that only wait for a client to read their last words. Returns how many. */
size_t connections_drop_lingering(struct connections *all);

/* Idle connections that have had a reply end now. Those that have not asked yet get one
 * second to begin, from now or from when they come, and those that have begun two for the
 * rest of their head, unless their time is up before. The others end after their current
 * reply, which says `Connection: close`. */
void connections_drain(struct connections *all);

/* Exchanges whose reply is not completely sent, and connections that were let in. */
size_t connections_exchanges(const struct connections *all);
size_t connections_count(const struct connections *all);
