/* SPDX-License-Identifier: MIT
 *
 * Who is the caller, and may this caller have that address probed? Pure: facts go in, a
 * decision with its reason comes out. It charges nothing and logs nothing.
 *
 *   identify.c   who calls
 *   access.c     what a caller may name
 *
 * docs/policy.md has the rules in full. In short: the caller is the TCP peer, or the
 * address that a trusted proxy names; the operator is a loopback peer without a trace of a
 * proxy or of another site's page; any other loopback peer is unknown, and is refused under
 * every setting; all other callers are equal; some addresses are never probed.
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
    X(OWN_ADDRESS, "own_address", true)        /* the caller named itself */               \
    X(OPERATOR, "operator", true)              /* the operator may name any unicast */     \
    X(PUBLIC_TARGET, "public_target", true)    /* globally reachable, under `public` */    \
    X(ANY_TARGET, "any_target", true)          /* unicast, under `any` */                  \
    X(CALLER_UNKNOWN, "caller_unknown", false) /* see ACCESS_GROUND_MAP */                 \
    X(NEVER, "never_allowed", false)           /* unspecified, multicast, reserved ... */  \
    X(NOT_OWN_ADDRESS, "not_own_address", false) /* not the caller's address */            \
    X(NOT_PUBLIC, "not_public", false)     /* not globally reachable, under `public` */    \
    X(THIS_MACHINE, "this_machine", false) /* our own interface, under `public` */

enum access_reason {
#define X(NAME, code, is_allowed) ACCESS_##NAME,
    ACCESS_REASON_MAP(X)
#undef X
};

enum access_kind {
    CALLER_KNOWN,    /* by its address, which it may name */
    CALLER_OPERATOR, /* at the checker's own machine */
    CALLER_UNKNOWN,  /* may name no address, whatever the settings are */
};

/* The sentence for an unknown caller; `because` is "" or ": " and the reason. */
#define ACCESS_UNKNOWN_SENTENCE(because)                                                   \
    "this checker cannot tell who is asking" because                                       \
    ". If this checker is behind a proxy, list the proxy in PORT_CHECKER_TRUSTED_PROXIES " \
    "and make it send X-Forwarded-For. On the checker's own machine, use "                 \
    "http://localhost."

/* Why a caller is of its kind. For an unknown caller also the reason in the log and the
 * sentence of the refusal. */
#define ACCESS_GROUND_MAP(X)                                                               \
    X(DIRECT, CALLER_KNOWN, "direct", "")       /* the TCP peer itself */                  \
    X(NAMED, CALLER_KNOWN, "named", "")         /* by a trusted proxy */                   \
    X(AT_HOME, CALLER_OPERATOR, "operator", "") /* is_operator() */                        \
    X(NOT_NAMED, CALLER_UNKNOWN, "not_named",                                              \
      ACCESS_UNKNOWN_SENTENCE(": a trusted proxy sent neither X-Forwarded-For nor "        \
                              "Forwarded"))                                                \
    X(UNREADABLE, CALLER_UNKNOWN, "bad_forwarded_for",                                     \
      ACCESS_UNKNOWN_SENTENCE(": a trusted proxy sent an X-Forwarded-For or Forwarded "    \
                              "that is not a list of IP addresses"))                       \
    X(NO_HOST, CALLER_UNKNOWN, "named_no_host",                                            \
      ACCESS_UNKNOWN_SENTENCE(": a trusted proxy named a loopback, multicast or reserved " \
                              "address as the caller"))                                    \
    X(UNDECLARED_PROXY, CALLER_UNKNOWN, "undeclared_proxy",                                \
      ACCESS_UNKNOWN_SENTENCE(": the request came through an undeclared proxy on the "     \
                              "checker's own machine"))                                    \
    X(STRANGER, CALLER_UNKNOWN, "loopback",                                                \
      ACCESS_UNKNOWN_SENTENCE(                                                             \
          ": the request came from the checker's own machine, but "                        \
          "its Host is not localhost, or a page of another site sent it"))

enum access_ground {
#define X(NAME, kind, code, sentence) ACCESS_##NAME,
    ACCESS_GROUND_MAP(X)
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
    const char *forwarded;      /* Forwarded, RFC 7239 */
    const char *forwarded_host; /* X-Forwarded-Host */
    bool has_forwarding_header; /* any that a proxy adds: caller_is_forwarded() */
    bool is_origin_listed;      /* PORT_CHECKER_CORS_ORIGINS names it */
    bool is_any_origin_listed;  /* PORT_CHECKER_CORS_ORIGINS is "*" */
};

struct access_caller {
    enum access_kind kind;
    enum access_ground ground;
    struct address address; /* unmapped, port 0; of the peer when unknown */

    /* A page of another site sent this, according to the browser: by Sec-Fetch-Site, or
     * without it (browsers omit it over plain HTTP) by an Origin that is not Host. Behind a
     * trusted proxy, X-Forwarded-Host is used for Host; without it, Origin is ignored.
     * Pages of the origins in PORT_CHECKER_CORS_ORIGINS do not count as another site. */
    bool is_other_site;
};

struct access_decision {
    enum access_reason reason;
    bool is_allowed;
    struct address target; /* unmapped: judge and connect to this one */
};

/* From a trusted proxy, the caller is read from X-Forwarded-For, or without it from
 * Forwarded: policy/forwarded.h. From any other peer these are not read; a peer of this
 * machine that sends one is an undeclared proxy. A page that only "*" allows never acts
 * for the operator. */
struct access_caller access_identify(const struct access_facts *facts,
                                     const struct cidr_list *trusted_proxies);

/* Questions to this machine about an address. They are asked only for targets that are
 * otherwise allowed. */
typedef bool(access_ask_fn)(const struct address *address);

struct access_machine {
    /* One of its own addresses? Asked only under `public`; for a target that embeds IPv4,
     * asked for both. */
    access_ask_fn *is_ours;
    /* The broadcast address of one of its own networks? Asked about IPv4 addresses, also
     * embedded ones, but not about the TCP peer, which is a host. */
    access_ask_fn *is_broadcast;
};

/* An unknown caller is refused first. An address that is never probed is refused even to
 * the caller that has it, and so is the broadcast address of a network of this machine.
 * `public` applies to the caller's own address too: a private address, or one of this
 * machine, is refused. */
struct access_decision access_decide(const struct access_caller *caller,
                                     const struct address *target, enum targets targets,
                                     const struct access_machine *machine);

const char *access_reason_code(enum access_reason reason);

/* Why a caller is unknown: a code for the log, and a sentence for the caller that names
 * both remedies. */
const char *access_ground_code(enum access_ground ground);
const char *access_ground_sentence(enum access_ground ground);

/* For a refusal: who may not have which address checked, why, and the setting that would
 * allow it, if one would. Returns ret_text. */
const char *access_explain(const struct access_caller *caller,
                           const struct access_decision *decision,
                           char ret_text[ACCESS_EXPLANATION_SIZE]);

/* Unicast addresses that may be probed: not SCOPE_MULTICAST, SCOPE_RESERVED (a forgotten
 * tunnel would deliver an IPv4-compatible address to that IPv4 address) or SCOPE_ZONE. IPv6
 * addresses that are not allocated are probeable, though not global: an overlay network may
 * use them. */
bool access_is_probeable(const struct address *address);
