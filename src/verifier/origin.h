/* SPDX-License-Identifier: MIT
 *
 * From where a checker looks at this machine, and whether it can know this machine's
 * address. Pure, but for origin_is_own().
 *
 * Addresses for documentation and benchmarks count as public: laboratories use them.
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>

/* Only what is seen from the internet says something about the internet. */
#define VANTAGE_MAP(X)                                                                     \
    X(INTERNET, "internet")                                                                \
    X(NETWORK, "this network")                                                             \
    X(MACHINE, "this machine")

enum vantage {
#define X(NAME, text) VANTAGE_##NAME,
    VANTAGE_MAP(X)
#undef X
};

const char *vantage_text(enum vantage vantage);

/* `peer` is the address at which the checker was reached, and `is_own` says whether this
 * machine has it. */
enum vantage vantage_of(const struct address *peer, bool is_own);

/* The same, once it has told our address: at an address of a local or inner network, only
 * that network sees us. */
enum vantage vantage_told(enum vantage vantage, const struct address *told);

/* Whether `told`, the address that a checker reports for this machine, can follow from both
 * ends of the connection to it. A proxy that hides the callers makes the checker report an
 * address of its own, of its network or of loopback. */
bool origin_is_plausible(const struct address *local, const struct address *peer,
                         const struct address *told);

/* Whether the other end sees `local`: a translator is on the path only between a local
 * network and the internet. */
bool origin_is_seen(const struct address *local, const struct address *peer);

/* Whether a translator has to be on the path, although `local` needs no translation: then a
 * proxy in front of the checker is as likely, and only a proof shows that `told` is the
 * address of this machine. */
bool origin_is_doubtful(const struct address *local, const struct address *told);

/* Whether an interface of this machine has that address. */
bool origin_is_own(const struct address *address);
