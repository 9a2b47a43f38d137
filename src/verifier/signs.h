/* SPDX-License-Identifier: MIT
 *
 * What addresses tell about the way between this machine and the internet. Pure.
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>

#define SIGN_MAP(X)                                                                        \
    X(ADDRESS_DIFFERS, "address_differs") /* the checker sees another than ours */         \
    X(PRIVATE_ADDRESS, "private_address") /* ours is of a local network */                 \
    X(CARRIER_ADDRESS, "carrier_address") /* ours, or what it sees, is in 100.64/10 */     \
    X(ADDRESSES_DISAGREE, "addresses_disagree") /* checkers see different ones */

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

/* The first three, from our end of a connection and the address that was seen of it. */
struct signs signs_read(const struct address *local, const struct address *seen);
