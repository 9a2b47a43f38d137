/* SPDX-License-Identifier: MIT
 *
 * One request to a router, repeated until it is answered: after 250 ms, then after twice as
 * long each time, within a tenth, so that requests that were lost together are not repeated
 * together. RFC 6886 says 250 ms; RFC 6887 says 3 s, but home routers answer within
 * 100 ms.
 *
 * Each call has a UDP socket of its own, connected to the router: the kernel passes on only
 * datagrams from the router's address and port, and a reply cannot be taken for one to
 * another call. A call is embedded in its owner and belongs to the loop's thread.
 */
#pragma once

#include "loop/loop.h"
#include "net/address.h"
#include "router/pcp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum call_end {
    CALL_ANSWERED,
    CALL_SILENT, /* no answer before the deadline */
    CALL_CLOSED, /* the router's port is closed */
};

/* Whether this datagram is the answer; if not, the call goes on. */
typedef bool(call_read_fn)(void *ctx, const uint8_t *bytes, size_t len);

/* The call is closed already, and may be opened again. */
typedef void(call_end_fn)(void *ctx, enum call_end end);

struct call {
    struct loop *loop; /* borrowed */
    call_read_fn *read;
    call_end_fn *end;
    void *ctx;
    int fd; /* owned, -1 while closed */
    struct loop_watch watch;
    struct timer timer;
    struct address local; /* the source of the request */
    struct instant begun, deadline;
    struct span wait;
    unsigned sent; /* datagrams */
    size_t len;
    uint8_t bytes[PCP_REQUEST_MAX]; /* no request is longer */
};

void call_init(struct call *call, struct loop *loop, call_read_fn *read, call_end_fn *end,
               void *ctx);

/* Ends without a call of `end`; does nothing if the call is not open. */
void call_close(struct call *call);
static inline bool call_is_open(const struct call *call)
{
    return call->fd >= 0;
}

/* Opens the socket and sets call->local. `router` has its port. `local`, if not NULL, is
 * the source address: for a link-local router one has to be chosen. ERR_SYSTEM. */
bool call_open(struct call *call, const struct address *router, const struct address *local,
               struct err *err);

#define CALL_WAIT_MS 250 /* before the first repetition, usually */

/* Sends call->bytes, call->len long, again after `wait`, and then after ever longer ones. A
 * request that cannot be sent counts as sent: the next may be. False without memory; then
 * the call is closed. */
bool call_start(struct call *call, struct span wait, struct instant deadline);
