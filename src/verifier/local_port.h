/* SPDX-License-Identifier: MIT
 *
 * One port of one family on this machine.
 */
#pragma once

#include "verifier/mapping_view.h"
#include "verifier/owners.h"
#include "verifier/packet_filter.h"

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

#define PROVIDER_PORT   7466 /* the provider itself, which may be running already */

#define SYN_ORIGINS_MAX 4

struct local_port {
    enum binding binding;
    int errnum;                /* BINDING_FAILED, BINDING_NO_PERMISSION */
    unsigned privileged_below; /* BINDING_NO_PERMISSION: the system keeps lower ports for
                                  programs with a capability */
    struct owner owner;        /* BINDING_IN_USE */
    unsigned accepted;         /* connections that this program accepted */

    /* Handshakes that did not finish: the first of those who began them, and whether one of
     * them is a checker, which family_report_judge() finds out. */
    size_t syn_count;
    struct address syn_from[SYN_ORIGINS_MAX];
    bool has_syn;

    struct port_filter filter; /* what the packet filter of this machine does with it */
    bool is_declared;          /* the user states that it is in use: --in-use */

    struct mapping_view mapped; /* what the router does with it; with --map */
};
