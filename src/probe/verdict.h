/* SPDX-License-Identifier: MIT
 *
 * The states of a port, the outcomes of one attempt, and which errno means which. Pure; the
 * only place where an errno becomes a statement about a target.
 *
 * The rule behind every row: only evidence from the network blames the target. An errno
 * without a row is this checker's own problem.
 */
#pragma once

#include "base/clock.h"
#include "probe/proof.h"

#include <stdbool.h>
#include <stdint.h>

#define PORT_STATE_MAP(X)                                                                  \
    X(OPEN, "open")               /* answered with a SYN-ACK */                            \
    X(CLOSED, "closed")           /* answered with a reset, or ICMP port unreachable */    \
    X(FILTERED, "filtered")       /* silence */                                            \
    X(UNREACHABLE, "unreachable") /* the network reports no path */                        \
    X(LIMITED, "limited") /* the address stopped answering: a rate limit, a ban, */        \
                          /* an outage; silence and refusals prove nothing */

enum port_state {
#define X(NAME, text) PORT_STATE_##NAME,
    PORT_STATE_MAP(X)
#undef X
        PORT_STATE_COUNT
};

/* An ICMP error about a probe, as its sender wrote it. */
struct icmp_error {
    bool is_there;
    bool is_ipv6;
    uint8_t type;
    uint8_t code;
    bool is_from_target; /* else from a machine on the way, or from our own kernel */
};

/* Is it a prohibition (a firewall says no), rather than a report that there is no path at
 * the moment? A path may come back within seconds. */
bool icmp_is_prohibition(const struct icmp_error *error);

/* What it says, in a few words: "host unreachable". "ICMP error" for unknown numbers. */
const char *icmp_meaning(const struct icmp_error *error);

struct port_verdict {
    uint16_t port;
    enum port_state state;
    int errnum; /* the evidence; 0 when open, ETIMEDOUT when filtered; of a limited port
                   ECONNREFUSED where the address refuses */
    struct icmp_error icmp; /* the evidence when unreachable, or closed by ICMP */
    bool has_rtt;
    struct span rtt;      /* of the handshake, or from the SYN to the refusal */
    struct span duration; /* from the port's first SYN to the verdict, less pauses */
    enum proof proof;     /* of the listener, see proof.h; NONE unless open and asked for */
    uint16_t proof_port;  /* with PROOF_OTHER_PORT */
};

const char *port_state_text(enum port_state state);

/* The contract's `error` for every errno that the network can give as evidence. Clients
 * compare these texts, so they are defined here: C libraries word them differently. IPv6
 * reports an administrative prohibition as EACCES, IPv4 the same fact as EHOSTUNREACH. None
 * of them needs escapes in JSON or HTML. */
#define VERDICT_ERROR_MAP(X)                                                               \
    X(ECONNREFUSED, "Connection refused")                                                  \
    X(ETIMEDOUT, "Connection timed out")                                                   \
    X(EHOSTUNREACH, "No route to host")                                                    \
    X(EACCES, "No route to host")                                                          \
    X(ENETUNREACH, "Network is unreachable")                                               \
    X(EHOSTDOWN, "Host is down")                                                           \
    X(ENONET, "Machine is not on the network")                                             \
    X(ENOPROTOOPT, "Protocol not available")                                               \
    X(EOPNOTSUPP, "Operation not supported")                                               \
    X(EPROTO, "Protocol error")

/* Nothing came from the target or from the network about it. */
bool port_verdict_is_silent(const struct port_verdict *verdict);

/* A text of VERDICT_ERROR_MAP, NULL when open. */
const char *port_verdict_error(const struct port_verdict *verdict);

/* The outcome of one attempt. LOCAL_FAULT says nothing about the target and is never shown
 * as its state; NO_ROUTE is a local fault that does not pass with time. */
enum outcome {
    OUTCOME_PENDING,     /* no answer yet */
    OUTCOME_OPEN,        /* the handshake succeeded */
    OUTCOME_REFUSED,     /* a reset, or ICMP port unreachable */
    OUTCOME_UNREACHABLE, /* another ICMP error, from the network */
    OUTCOME_EXPIRED,     /* the kernel gave up this attempt; no verdict */
    OUTCOME_LOCAL_FAULT, /* this checker could not try: try again later */
    OUTCOME_NO_ROUTE,    /* this checker cannot reach that family or network */
};

/* Where an errno came from. */
enum outcome_source {
    OUTCOME_FROM_SOCKET,      /* socket(2), setsockopt(2), epoll_ctl(2) */
    OUTCOME_FROM_CONNECT,     /* returned by connect(2) itself */
    OUTCOME_FROM_SO_ERROR,    /* SO_ERROR, without an ICMP record */
    OUTCOME_FROM_ICMP,        /* an ICMP error record from another machine */
    OUTCOME_FROM_OWN_ICMP,    /* a record whose offender is our own address, target on link:
                                 ARP or neighbour discovery got no answer */
    OUTCOME_FROM_OWN_GATEWAY, /* the same if the target is behind a gateway: the gateway is
                                 dead, not the target */
};

/* What an errno of connect(2), SO_ERROR or the error queue means. errnum 0 is PENDING. */
enum outcome outcome_of_errno(enum outcome_source source, int errnum, bool is_ipv6);
