/* SPDX-License-Identifier: MIT
 *
 * What addresses show about the path between this machine and the internet. Pure.
 */
#pragma once

#include "net/address.h"
#include "verifier/link.h"

#include <stdbool.h>

#define SIGN_MAP(X)                                                                        \
    X(ADDRESS_DIFFERS,                                                                     \
      "address_differs") /* the checker sees an address that is not ours */                \
    X(PRIVATE_ADDRESS, "private_address") /* our address belongs to a local network */     \
    X(CARRIER_ADDRESS, "carrier_address") /* one of the two is in 100.64.0.0/10 */         \
    X(CLAT_ADDRESS, "clat_address") /* ours is the inner end of DS-Lite or 464XLAT */      \
    X(CONTAINER, "container") /* ours is in a network of containers or virtual machines */ \
    X(TUNNEL, "tunnel")       /* ours belongs to a VPN or another tunnel */                \
    X(DIALED, "dialed")       /* ours belongs to PPP: an internet provider's, or a VPN */  \
    X(CELLULAR, "cellular")   /* ours was given by a mobile network */                     \
    X(ADDRESSES_DISAGREE, "addresses_disagree") /* checkers see different addresses */     \
    /* The outer address of our router, as it says: */                                     \
    X(OUTER_SAME, "outer_same")       /* is the one that checkers see */                   \
    X(OUTER_PRIVATE, "outer_private") /* belongs to a local network */                     \
    X(OUTER_CARRIER, "outer_carrier") /* is in 100.64.0.0/10, or an end of DS-Lite */      \
    X(OUTER_OTHER, "outer_other")     /* is public, but not the one that checkers see */   \
    X(OUTER_MISSING, "outer_missing") /* is missing, although we reach the internet */

enum sign {
#define X(NAME, text) SIGN_##NAME,
    SIGN_MAP(X)
#undef X
        SIGN_COUNT
};

const char *sign_text(enum sign sign);

/* A set of signs: bit `sign`. */
struct signs {
    unsigned bits;
};

bool signs_have(struct signs signs, enum sign sign);
void signs_add(struct signs *signs, enum sign sign);

/* The inner end of DS-Lite or 464XLAT, which always translate: RFC 6333, RFC 7335. */
bool signs_is_clat(const struct address *address);

/* All signs before ADDRESSES_DISAGREE, from our end of a connection, the interface that has
 * it, and the address that the checker saw. */
struct signs signs_read(const struct address *local, enum link_kind kind,
                        const struct address *seen);
