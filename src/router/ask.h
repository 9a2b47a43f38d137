/* SPDX-License-Identifier: MIT
 *
 * Asks a router, without changing anything in it, which protocols it speaks and what its
 * outer address is: NAT-PMP's question for the address, and PCP's ANNOUNCE, both at once.
 * PCP alone does not report the address without a mapping. Belongs to the loop's thread.
 */
#pragma once

#include "base/clock.h"
#include "net/address.h"
#include "router/protocol.h"

#include <stdbool.h>
#include <stdint.h>

struct err;
struct loop;

#define ASK_MS 250 /* enough for home routers, which answer within 100 ms */

#define SPEECH_STATE_MAP(X)                                                                \
    X(SILENT, "silent") /* no answer in the time, or the protocol has no such family */    \
    X(CLOSED, "closed") /* the port is closed: it speaks neither protocol */               \
    X(OTHER, "other_version") /* it answered that it speaks another version */             \
    X(SPOKEN, "spoken")

enum speech_state {
#define X(NAME, text) SPEECH_##NAME,
    SPEECH_STATE_MAP(X)
#undef X
};

/* For programs. */
const char *speech_state_text(enum speech_state state);

struct router_speech {
    enum speech_state state;
    uint16_t
        result; /* SPOKEN: see router_result_of(); PCP without ANNOUNCE is spoken, too */
};

struct router_answer {
    struct router_speech speech[ROUTER_DATAGRAM_COUNT];
    bool has_outer; /* an IPv4 router told its outer address */
    struct address outer_address;
};

struct ask;

/* Once, from the loop. The ask may be freed in it. */
typedef void(ask_done_fn)(void *ctx, const struct router_answer *answer);

/* `router` has its port; a link-local one has its zone. It is copied. A request that cannot
 * be sent is one without an answer. ERR_SYSTEM without memory. */
bool ask_new(struct loop *loop, const struct address *router, struct span timeout,
             ask_done_fn *done, void *ctx, struct ask **ret, struct err *err);

/* What has been answered so far, for a caller that cannot wait for `done`. */
const struct router_answer *ask_answer(const struct ask *ask);

/* Also before `done`, which then is not called. */
struct ask *ask_free(struct ask *ask);
