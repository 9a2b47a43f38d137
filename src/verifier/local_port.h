/* SPDX-License-Identifier: MIT
 *
 * One port of one family on this machine.
 */
#pragma once

#include "verifier/owners.h"

#include <stdbool.h>
#include <stdint.h>

/* The families of a verification, as indices. */
enum family { FAMILY_4, FAMILY_6, FAMILY_COUNT };

/* 4 or 6; AF_INET or AF_INET6. */
int family_number(enum family family);
int family_domain(enum family family);

/* The name for programs, and what is added to a port's label, with the words of scene.def.
 */
#define BINDING_MAP(X)                                                                     \
    X(BOUND, "bound", "") /* we listen on it */                                            \
    X(IN_USE, "in_use",                                                                    \
      " (in use by {owner})") /* another program on this machine uses it */                \
    X(NO_PERMISSION, "no_permission", " (no permission to bind)")                          \
    X(FAILED, "failed", " (could not be bound: {error})") /* errnum says why */            \
    X(NO_FAMILY, "no_family", "") /* this machine does not have this family */             \
    X(NONE, "none", "")           /* not tried: another machine is probed */

enum binding {
#define X(NAME, ...) BINDING_##NAME,
    BINDING_MAP(X)
#undef X
};

const char *binding_text(enum binding binding);

struct local_port {
    enum binding binding;
    int errnum;         /* BINDING_FAILED */
    struct owner owner; /* BINDING_IN_USE */
    unsigned accepted;  /* connections that this program accepted */
    bool has_syn;       /* a handshake from outside was seen that did not finish */
};
