/* SPDX-License-Identifier: MIT
 *
 * What the router next to this machine told about itself, and what its outer address shows
 * about the path to the internet. Pure.
 *
 * A router can be wrong, and another device can pretend to be one. Only texts depend on its
 * words: the checkers decide whether a port is good.
 */
#pragma once

#include "base/text.h"
#include "net/address.h"
#include "router/ask.h"
#include "verifier/signs.h"

#include <stdbool.h>

#define ROUTER_OUTER_MAP(X)                                                                \
    X(UNKNOWN, NULL)      /* it told none, or none that a router can have */               \
    X(PUBLIC, "public")   /* no checker on the internet saw ours, to compare */            \
    X(SAME, "same")       /* the one that checkers see */                                  \
    X(PRIVATE, "private") /* of a local network: a second router is in front of it */      \
    X(CARRIER, "carrier") /* in 100.64.0.0/10: carrier-grade NAT is in front of it */      \
    X(OTHER, "other")     /* public, and not the one that checkers see */                  \
    X(MISSING, NULL)      /* it says that it has none, although it reaches the internet */

enum router_outer {
#define X(NAME, text) ROUTER_OUTER_##NAME,
    ROUTER_OUTER_MAP(X)
#undef X
};

/* All zeros: not asked. */
struct router_view {
    bool is_asked;
    struct address address; /* of the router; its port is 0 */
    struct router_answer answer;
    enum router_outer outer;
    bool is_offline; /* it said so when it was asked to map ports */
};

/* For programs; NULL for UNKNOWN and MISSING. */
const char *router_outer_text(enum router_outer outer);

/* Sets `outer`. `seen` is our address as checkers on the internet see it, or NULL. */
void router_view_judge(struct router_view *view, const struct address *seen);

/* The sign of `outer`, or none. */
struct signs router_view_signs(const struct router_view *view);

/* Whether it spoke a protocol at all. */
bool router_view_speaks(const struct router_view *view);

/* Whether it spoke a protocol in which it can be asked to forward ports. */
bool router_view_can_map(const struct router_view *view);

/* Appends the protocols that it speaks: "PCP, NAT-PMP". Nothing if it speaks none. */
void router_view_format_protocols(const struct router_view *view, struct text *text);

/* Appends what it told, for people: "outer address 10.0.0.2 (a private address)". */
void router_view_format_outer(const struct router_view *view, struct text *text);
