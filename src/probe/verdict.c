/* SPDX-License-Identifier: MIT */
#include "probe/verdict.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

static const char *const state_texts[] = {
#define X(NAME, text) text,
    PORT_STATE_MAP(X)
#undef X
};

static const struct {
    int errnum;
    const char *text;
} errors[] = {
#define X(ERRNO, text) {ERRNO, text},
    VERDICT_ERROR_MAP(X)
#undef X
};

const char *port_state_text(enum port_state state)
{
    return state_texts[state];
}

const char *port_verdict_error(const struct port_verdict *verdict)
{
    if (verdict->state == PORT_STATE_OPEN)
        return NULL;

    /* Only what outcome_of_errno() takes for evidence gets into a verdict. */
    size_t i = 0;
    while (i < sizeof errors / sizeof *errors && errors[i].errnum != verdict->errnum)
        i++;
    assert(i < sizeof errors / sizeof *errors);
    return errors[i].text;
}

/* clang-format off */
static const struct {
    enum outcome_source source;
    int errnum;
    enum outcome outcome;
} rules[] = {
    {OUTCOME_FROM_SOCKET,   EAFNOSUPPORT,  OUTCOME_NO_ROUTE},

    {OUTCOME_FROM_CONNECT,  EINPROGRESS,   OUTCOME_PENDING},
    {OUTCOME_FROM_CONNECT,  EINTR,         OUTCOME_PENDING},
    {OUTCOME_FROM_CONNECT,  ECONNREFUSED,  OUTCOME_REFUSED},
    {OUTCOME_FROM_CONNECT,  ENETUNREACH,   OUTCOME_NO_ROUTE},
    {OUTCOME_FROM_CONNECT,  EHOSTUNREACH,  OUTCOME_NO_ROUTE},
    {OUTCOME_FROM_CONNECT,  EACCES,        OUTCOME_NO_ROUTE},
    {OUTCOME_FROM_CONNECT,  EPERM,         OUTCOME_NO_ROUTE},
    {OUTCOME_FROM_CONNECT,  EINVAL,        OUTCOME_NO_ROUTE},
    {OUTCOME_FROM_CONNECT,  EAFNOSUPPORT,  OUTCOME_NO_ROUTE},

    {OUTCOME_FROM_SO_ERROR, ECONNREFUSED,  OUTCOME_REFUSED},
    {OUTCOME_FROM_SO_ERROR, ECONNRESET,    OUTCOME_OPEN},
    {OUTCOME_FROM_SO_ERROR, EPIPE,         OUTCOME_OPEN},
    {OUTCOME_FROM_SO_ERROR, ECONNABORTED,  OUTCOME_OPEN},
    {OUTCOME_FROM_SO_ERROR, ETIMEDOUT,     OUTCOME_EXPIRED},

    {OUTCOME_FROM_ICMP,     ECONNREFUSED,  OUTCOME_REFUSED},
    {OUTCOME_FROM_ICMP,     ECONNRESET,    OUTCOME_OPEN},
    {OUTCOME_FROM_ICMP,     EPIPE,         OUTCOME_OPEN},
    {OUTCOME_FROM_ICMP,     ECONNABORTED,  OUTCOME_OPEN},
    {OUTCOME_FROM_ICMP,     ETIMEDOUT,     OUTCOME_EXPIRED},
    {OUTCOME_FROM_ICMP,     EHOSTUNREACH,  OUTCOME_UNREACHABLE},
    {OUTCOME_FROM_ICMP,     ENETUNREACH,   OUTCOME_UNREACHABLE},
    {OUTCOME_FROM_ICMP,     EHOSTDOWN,     OUTCOME_UNREACHABLE},
    {OUTCOME_FROM_ICMP,     ENONET,        OUTCOME_UNREACHABLE},
    {OUTCOME_FROM_ICMP,     ENOPROTOOPT,   OUTCOME_UNREACHABLE},
    {OUTCOME_FROM_ICMP,     EOPNOTSUPP,    OUTCOME_UNREACHABLE},
    {OUTCOME_FROM_ICMP,     EPROTO,        OUTCOME_UNREACHABLE},
};
/* clang-format on */

enum outcome outcome_of_errno(enum outcome_source source, int errnum, bool is_ipv6)
{
    if (errnum == 0)
        return OUTCOME_PENDING;

    /* ICMPv6 "administratively prohibited" arrives as EACCES; IPv4 has no such record. */
    if (source == OUTCOME_FROM_ICMP && errnum == EACCES)
        return is_ipv6 ? OUTCOME_UNREACHABLE : OUTCOME_LOCAL_FAULT;

    /* A refusal is a statement about the target, whatever its sender; any other report by
     * our own kernel is about the neighbour that it could not find. */
    if (source == OUTCOME_FROM_OWN_ICMP || source == OUTCOME_FROM_OWN_GATEWAY) {
        enum outcome outcome = outcome_of_errno(OUTCOME_FROM_ICMP, errnum, is_ipv6);
        if (outcome == OUTCOME_UNREACHABLE && source == OUTCOME_FROM_OWN_GATEWAY)
            return OUTCOME_LOCAL_FAULT;
        return outcome;
    }

    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].source == source && rules[i].errnum == errnum)
            return rules[i].outcome;
    return OUTCOME_LOCAL_FAULT;
}
