/* SPDX-License-Identifier: MIT
 *
 * The connections of one worker. A connection reads requests, has each answered by an
 * exchange, sends the replies, and ends; nothing else reads, sends or ends.
 *
 *     RESTING -> [HANDSHAKE -> RESTING] -> HEAD -> BODY -> WAITING -> SENDING -> RESTING
 * ...
 *                                                                    \-> LINGERING -> end
 *
 * States are passed over where nothing has to be waited for. Each but WAITING has a limit
 * of time, which is absolute: bytes that trickle in do not prolong it.
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

struct connection_limits {
    struct span idle;
    struct span head;   /* and TLS handshake */
    struct span body;   /* from the last header to the end of the body */
    struct span send;   /* from the reply to its last byte */
    struct span linger; /* from the last words until the client must have read them */
};

struct http_config {
    struct http_site site;
    const struct tls_identity *tls;    /* these four borrowed; NULL = plain HTTP */
    const struct cidr_list *unlimited; /* peers without a limit of their own: proxies */
    struct admission *admission;       /* shared by all workers */
    struct metrics *metrics;
    struct connection_limits limits;
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

/* Takes an accepted descriptor that was let in. Its seat is given back to the admission
 * when it ends. */
void connection_begin(struct connections *all, int fd, const struct address *peer,
                      enum connection_seat seat);

/* Takes one that was not: tells it `fault`, over TLS after a handshake, and ends. */
void connection_turn_away(struct connections *all, int fd, const struct address *peer,
                          enum http_fault fault);

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
