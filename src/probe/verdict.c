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

bool port_verdict_is_silent(const struct port_verdict *verdict)
{
    return (verdict->state == PORT_STATE_FILTERED ||
            verdict->state == PORT_STATE_LIMITED) &&
           verdict->errnum == ETIMEDOUT;
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

/* --- ICMP --------------------------------------------------------------------------- */

/* clang-format off */
static const struct {
    bool is_ipv6;
    uint8_t type, code;
    bool is_prohibition;
    const char *meaning;
} icmp_rows[] = {
    {false, 3,  0,  false, "network unreachable"},
    {false, 3,  1,  false, "host unreachable"},
    {false, 3,  2,  false, "protocol unreachable"},
    {false, 3,  3,  false, "port unreachable"},
    {false, 3,  5,  false, "source route failed"},
    {false, 3,  6,  false, "network unknown"},
    {false, 3,  7,  false, "host unknown"},
    {false, 3,  8,  false, "source host isolated"},
    {false, 3,  9,  true,  "network administratively prohibited"},
    {false, 3,  10, true,  "host administratively prohibited"},
    {false, 3,  11, false, "network unreachable for this type of service"},
    {false, 3,  12, false, "host unreachable for this type of service"},
    {false, 3,  13, true,  "communication administratively prohibited"},
    {false, 11, 0,  false, "time to live exceeded"},
    {true,  1,  0,  false, "no route to destination"},
    {true,  1,  1,  true,  "communication administratively prohibited"},
    {true,  1,  2,  false, "beyond the scope of the source address"},
    {true,  1,  3,  false, "address unreachable"},
    {true,  1,  4,  false, "port unreachable"},
    {true,  1,  5,  true,  "source address failed the policy"},
    {true,  1,  6,  true,  "route rejected"},
    {true,  3,  0,  false, "hop limit exceeded"},
};
/* clang-format on */

static size_t icmp_row(const struct icmp_error *error)
{
    size_t i = 0;
    while (i < sizeof icmp_rows / sizeof *icmp_rows &&
           (icmp_rows[i].is_ipv6 != error->is_ipv6 || icmp_rows[i].type != error->type ||
            icmp_rows[i].code != error->code))
        i++;
    return i;
}

bool icmp_is_prohibition(const struct icmp_error *error)
{
    size_t row = icmp_row(error);
    return error->is_there && row < sizeof icmp_rows / sizeof *icmp_rows &&
           icmp_rows[row].is_prohibition;
}

const char *icmp_meaning(const struct icmp_error *error)
{
    size_t row = icmp_row(error);
    return row < sizeof icmp_rows / sizeof *icmp_rows ? icmp_rows[row].meaning
                                                      : "ICMP error";
}

/* --- errno -------------------------------------------------------------------------- */

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
