/* SPDX-License-Identifier: MIT
 *
 * Who is calling, and may this caller have that address probed? Pure: facts go in, a
 * decision with its reason comes out. It charges nothing, asks nobody and logs nothing.
 *
 * docs/policy.md has the rules in full. In short:
 * the caller is the TCP peer, unless the peer is a trusted proxy; the operator is a
 * loopback peer that shows no trace of a proxy or of another site's page; nobody else is
 * special; some addresses are nobody's to probe.
 */
#pragma once

#include "net/address.h"
#include "settings/settings.h"

#include <stdbool.h>
#include <stddef.h>

#define ACCESS_EXPLANATION_SIZE 512

/* code: what the log and the metrics call it. A refusal's sentence is made by
 * access_explain(). */
#define ACCESS_REASON_MAP(X)                                                               \
    X(OWN_ADDRESS, "own_address", true)          /* the caller named itself */             \
    X(OPERATOR, "operator", true)                /* the operator may name any unicast */   \
    X(PUBLIC_TARGET, "public_target", true)      /* globally reachable, under `public` */  \
    X(ANY_TARGET, "any_target", true)            /* unicast, under `any` */                \
    X(BAD_FORWARDED, "bad_forwarded_for", false) /* a trusted proxy sent nonsense */       \
    X(NEVER, "never_allowed", false) /* unspecified, multicast, reserved ... */            \
    X(NOT_OWN_ADDRESS, "not_own_address", false) /* somebody else's address */             \
    X(NOT_PUBLIC, "not_public", false)     /* not globally reachable, under `public` */    \
    X(THIS_MACHINE, "this_machine", false) /* our own interface, under `public` */

enum access_reason {
#define X(NAME, code, is_allowed) ACCESS_##NAME,
    ACCESS_REASON_MAP(X)
#undef X
};

/* One request as the HTTP side saw it. Borrowed; header values are NULL when absent. A
 * header that came more than once has its values joined with ", " in order. */
struct access_facts {
    struct address peer;  /* of the TCP connection */
    struct address local; /* our end of it */
    bool is_http_1_1;
    bool is_tls; /* an Origin must then be https, else http */
    const char *host;
    const char *origin;
    const char *sec_fetch_site;
    const char *forwarded_for;  /* X-Forwarded-For */
    bool has_forwarding_header; /* any X-Forwarded-*, Forwarded, X-Real-IP, Via or
                                   CF-Connecting-IP */
};

/* Who calls. */
struct access_caller {
    bool is_known; /* false: a trusted proxy sent an X-Forwarded-For that cannot be read */
    bool is_operator;
    struct address address; /* unmapped, port 0; of the peer when not known */
};

struct access_decision {
    enum access_reason reason;
    bool is_allowed;
    struct address target; /* unmapped: judge and connect to this one */
};

/* X-Forwarded-For of a trusted proxy is read from the right, past trusted proxies, to the
 * first address that is none: the caller. Only elements met on that way are read, so what
 * a client wrote in front cannot hurt it; one of them that is not a plain address literal
 * (a port, brackets, "unknown", nothing) makes the caller unknown. When all of them are
 * trusted the leftmost is the caller. */
struct access_caller access_identify(const struct access_facts *facts,
                                     const struct cidr_list *trusted_proxies);

/* Asked only under `public`, and only for targets that are otherwise fine: is this one of
 * this machine's own addresses? For a target that embeds IPv4 it is asked about both. */
typedef bool(access_is_ours_fn)(const struct address *address);

/* A caller that is not known is refused before anything else, and an address that is
 * nobody's to probe even to the caller that has it. `public` means what it says for the
 * caller's own address too: one that is private, or this machine's, is refused. */
struct access_decision access_decide(const struct access_caller *caller,
                                     const struct address *target, enum targets targets,
                                     access_is_ours_fn *is_ours);

const char *access_reason_code(enum access_reason reason);

/* For a refusal: who may not have what checked, why, and the line of configuration that
 * would allow it, where one would. Returns ret_text. */
const char *access_explain(const struct access_caller *caller,
                           const struct access_decision *decision, enum targets targets,
                           char ret_text[ACCESS_EXPLANATION_SIZE]);

/* Unicast that may be probed at all: not SCOPE_MULTICAST, SCOPE_RESERVED (a forgotten
 * tunnel would hand an IPv4-compatible address to that IPv4 address) or SCOPE_ZONE. IPv6
 * that the IETF never gave out is probeable, though not global: an overlay network may use
 * it. */
bool access_is_probeable(const struct address *address);
