/* SPDX-License-Identifier: MIT
 *
 * Who is calling, and may this caller have that address probed? Pure: facts go in, a
 * decision with its reason comes out. It charges nothing, asks nobody and logs nothing.
 *
 * The rules, in full, are the chapter "Who may ask about whom" of the README. In short:
 * the caller is the TCP peer, unless the peer is a trusted proxy; the operator is a
 * loopback peer that shows no trace of a proxy or of another site's page; nobody else is
 * special; some addresses are nobody's to probe.
 */
#pragma once

#include "net/address.h"
#include "settings/settings.h"

#include <stdbool.h>
#include <stddef.h>

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

struct access_caller access_identify(const struct access_facts *facts,
                                     const struct cidr_list *trusted_proxies);

/* Asked only under `public`, and only for targets that are otherwise fine: is this one of
 * this machine's own addresses? */
typedef bool(access_is_ours_fn)(const struct address *address);

struct access_decision access_decide(const struct access_caller *caller,
                                     const struct address *target, enum targets targets,
                                     access_is_ours_fn *is_ours);

const char *access_reason_code(enum access_reason reason);

/* For a refusal: one or two sentences that name both addresses and the line of
 * configuration that would allow it, where one would. Returns ret_text. */
const char *access_explain(const struct access_caller *caller,
                           const struct access_decision *decision, enum targets targets,
                           char ret_text[512]);

/* Unicast that may be probed at all: not unspecified, multicast, broadcast, reserved or
 * link-local. The address is unmapped first. */
bool access_is_probeable(const struct address *address);

/* Reachable from anywhere, by the most specific row of the IANA special-purpose registries
 * (special_ranges.def), embedded IPv4 judged as that IPv4. */
bool access_is_global(const struct address *address);
