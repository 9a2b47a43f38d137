/* SPDX-License-Identifier: MIT
 *
 * Who is the caller, and may this caller have that address probed? Pure: facts go in, a
 * decision with its reason comes out. It charges nothing and logs nothing.
 *
 * docs/policy.md has the rules in full. In short: the caller is the TCP peer, unless the
 * peer is a trusted proxy; the operator is a loopback peer without a trace of a proxy or of
 * another site's page; all other callers are equal; some addresses are never probed.
 */
#pragma once

#include "net/address.h"
#include "settings/settings.h"

#include <stdbool.h>
#include <stddef.h>

#define ACCESS_EXPLANATION_SIZE 512

/* code: its name in the log and the metrics. access_explain() makes the sentence of a
 * refusal. */
#define ACCESS_REASON_MAP(X)                                                               \
    X(OWN_ADDRESS, "own_address", true)     /* the caller named itself */                  \
    X(OPERATOR, "operator", true)           /* the operator may name any unicast */        \
    X(PUBLIC_TARGET, "public_target", true) /* globally reachable, under `public` */       \
    X(ANY_TARGET, "any_target", true)       /* unicast, under `any` */                     \
    X(BAD_FORWARDED, "bad_forwarded_for",                                                  \
      false)                         /* a trusted proxy sent an unreadable header */       \
    X(NEVER, "never_allowed", false) /* unspecified, multicast, reserved ... */            \
    X(NOT_OWN_ADDRESS, "not_own_address", false) /* not the caller's address */            \
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

/* The caller. */
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

/* X-Forwarded-For of a trusted proxy is read from the right, past trusted proxies. The
 * first address that is not a trusted proxy is the caller. Elements further left are not
 * read, so text that a client put there has no effect. If an element that is read is not a
 * plain address literal (a port, brackets, "unknown", nothing), the caller is unknown. If
 * all of them are trusted, the leftmost is the caller. */
struct access_caller access_identify(const struct access_facts *facts,
                                     const struct cidr_list *trusted_proxies);

/* Whether this is one of this machine's own addresses. Called only under `public`, and
 * only for targets that are otherwise allowed; for a target that embeds IPv4, called for
 * both. */
typedef bool(access_is_ours_fn)(const struct address *address);

/* An unknown caller is refused first. An address that is never probed is refused even to
 * the caller that has it. `public` applies to the caller's own address too: a private
 * address, or one of this machine, is refused. */
struct access_decision access_decide(const struct access_caller *caller,
                                     const struct address *target, enum targets targets,
                                     access_is_ours_fn *is_ours);

const char *access_reason_code(enum access_reason reason);

/* For a refusal: who may not have which address checked, why, and the setting that would
 * allow it, if one would. Returns ret_text. */
const char *access_explain(const struct access_caller *caller,
                           const struct access_decision *decision, enum targets targets,
                           char ret_text[ACCESS_EXPLANATION_SIZE]);

/* Unicast addresses that may be probed: not SCOPE_MULTICAST, SCOPE_RESERVED (a forgotten
 * tunnel would deliver an IPv4-compatible address to that IPv4 address) or SCOPE_ZONE. IPv6
 * addresses that are not allocated are probeable, though not global: an overlay network may
 * use them. */
bool access_is_probeable(const struct address *address);
