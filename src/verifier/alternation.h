/* SPDX-License-Identifier: MIT
 *
 * Whether the public address of this machine alternates from round to round: a router with
 * several uplinks sends each connection through one of them. Pure.
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>

#define ALTERNATION_ROUNDS 8 /* after as many rounds at one address, it is over */

struct alternation {
    struct address seen[ALTERNATION_ROUNDS]; /* the oldest first */
    size_t count;
    bool is_told; /* for the owner: it has been reported */
};

void alternation_note(struct alternation *alternation, const struct address *address);

/* Whether an address has come back after another one, in these rounds. */
bool alternation_is_there(const struct alternation *alternation);

bool alternation_has(const struct alternation *alternation, const struct address *address);
