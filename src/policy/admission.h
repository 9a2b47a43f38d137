/* SPDX-License-Identifier: MIT
 *
 * How many connections are open, in all workers, per caller (address_key_caller) and per
 * network (address_key_network); whether one more is allowed; and which one gives way to
 * it. Thread-safe; bounded, as each caller and each network in its table has at least one
 * connection.
 *
 * A connection has a place. While it has no complete request it is waiting: it has sent
 * nothing, half a handshake, half a head or half a body, or it is idle after a reply. At
 * the limit of all connections, or of its network, a newcomer takes the place of the
 * connection that has been waiting longest, whichever worker has it. That connection is
 * shut down, so its worker sees its end like any other.
 *
 * A connection begins and stops waiting without a lock, by one store into the array that is
 * searched for the longest wait.
 */
#pragma once

#include "base/clock.h"
#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct admission;
struct err;

enum admission_answer {
    ADMISSION_GRANTED,
    ADMISSION_FULL,         /* all connections are busy; or no memory */
    ADMISSION_CALLER_FULL,  /* this caller's limit */
    ADMISSION_NETWORK_FULL, /* this network's limit, and its connections are busy */
};

struct admission_limits {
    size_t connections;
    size_t per_caller;
    size_t per_network;
};

bool admission_new(const struct admission_limits *limits, struct admission **ret,
                   struct err *err);
struct admission *admission_free(struct admission *admission);

/* Counts one connection in, which waits from `now` on. `fd` stays the caller's, and open
 * until admission_leave(). `is_unlimited` exempts from the limits of callers and networks,
 * not from the total. */
enum admission_answer admission_enter(struct admission *admission,
                                      const struct address *peer, bool is_unlimited, int fd,
                                      struct instant now, uint32_t *ret_place);

/* Whether the connection may begin to work. Then it keeps its place for as long as its
 * check takes, so checks leave one place in ADMISSION_WORK_RESERVE to connections that
 * wait. Of the others, a network may have ADMISSION_WORK_SHARE times as many as are left: N
 * networks that want everything leave one in 2N + 1. An unlimited connection works for the
 * network of `caller`, whom its peer, a proxy, has named; for others, `caller` is the peer.
 * Workers that ask at the same time may exceed both limits by one each. */
#define ADMISSION_WORK_SHARE   2
#define ADMISSION_WORK_RESERVE 16
bool admission_may_work(struct admission *admission, uint32_t place,
                        const struct address *caller);

/* The connection does not give way from now on. False if it already has. */
bool admission_work(struct admission *admission, uint32_t place);

/* The connection gives way again, and waits from `since` on. False if it already has. */
bool admission_wait(struct admission *admission, uint32_t place, struct instant since);

/* Counts a connection out. True if it had to give way. */
bool admission_leave(struct admission *admission, uint32_t place);

/* Above half of the total limit, connections may wait for less time, down to
 * ADMISSION_WAIT_LEAST at the limit. Ends those that have been waiting longer. False if
 * no more than half of the connections are in use. */
#define ADMISSION_WAIT_MOST  span_seconds(60)
#define ADMISSION_WAIT_LEAST span_seconds(5)
bool admission_relieve(struct admission *admission, struct instant now);

/* Connections that have not left. For tests, to see that each is counted out once. */
size_t admission_connections(struct admission *admission);
