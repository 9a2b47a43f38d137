/* SPDX-License-Identifier: MIT */
#include "probe/verdict.h"

#include <errno.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SOCKET  OUTCOME_FROM_SOCKET
#define CONNECT OUTCOME_FROM_CONNECT
#define ERROR   OUTCOME_FROM_SO_ERROR
#define ICMP    OUTCOME_FROM_ICMP
#define OWN     OUTCOME_FROM_OWN_ICMP
#define GATEWAY OUTCOME_FROM_OWN_GATEWAY

static const enum outcome_source sources[] = {SOCKET, CONNECT, ERROR, ICMP, OWN, GATEWAY};

static void only_silence_is_silent(void **state)
{
    (void)state;
    static const struct {
        enum port_state state;
        int errnum;
        bool is_silent;
    } rows[] = {
        {PORT_STATE_OPEN, 0, false},
        {PORT_STATE_CLOSED, ECONNREFUSED, false},
        {PORT_STATE_FILTERED, ETIMEDOUT, true},
        {PORT_STATE_UNREACHABLE, EHOSTUNREACH, false},
        {PORT_STATE_LIMITED, ETIMEDOUT, true},
        {PORT_STATE_LIMITED, ECONNREFUSED, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct port_verdict verdict = {.state = rows[i].state,
                                             .errnum = rows[i].errnum};
        assert_int_equal(port_verdict_is_silent(&verdict), rows[i].is_silent);
    }
}

static void only_evidence_from_the_network_blames_the_target(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        enum outcome_source source;
        int errnum;
        enum outcome outcome;
    } rows[] = {
        {SOCKET,  EMFILE,        OUTCOME_LOCAL_FAULT},
        {SOCKET,  ENFILE,        OUTCOME_LOCAL_FAULT},
        {SOCKET,  ENOBUFS,       OUTCOME_LOCAL_FAULT},
        {SOCKET,  ENOMEM,        OUTCOME_LOCAL_FAULT},
        {SOCKET,  EAFNOSUPPORT,  OUTCOME_NO_ROUTE},
        {SOCKET,  ECONNREFUSED,  OUTCOME_LOCAL_FAULT},

        {CONNECT, EINPROGRESS,   OUTCOME_PENDING},
        {CONNECT, EINTR,         OUTCOME_PENDING},
        {CONNECT, ECONNREFUSED,  OUTCOME_REFUSED},
        {CONNECT, EADDRNOTAVAIL, OUTCOME_LOCAL_FAULT},
        {CONNECT, EAGAIN,        OUTCOME_LOCAL_FAULT},
        {CONNECT, ENOBUFS,       OUTCOME_LOCAL_FAULT},
        {CONNECT, ENOMEM,        OUTCOME_LOCAL_FAULT},
        {CONNECT, EADDRINUSE,    OUTCOME_LOCAL_FAULT},
        {CONNECT, ENETUNREACH,   OUTCOME_NO_ROUTE},
        {CONNECT, EHOSTUNREACH,  OUTCOME_NO_ROUTE},
        {CONNECT, EACCES,        OUTCOME_NO_ROUTE},
        {CONNECT, EPERM,         OUTCOME_NO_ROUTE},
        {CONNECT, EINVAL,        OUTCOME_NO_ROUTE},
        {CONNECT, ETIMEDOUT,     OUTCOME_LOCAL_FAULT},

        {ERROR,   ECONNREFUSED,  OUTCOME_REFUSED},
        {ERROR,   ECONNRESET,    OUTCOME_OPEN},
        {ERROR,   EPIPE,         OUTCOME_OPEN},
        {ERROR,   ECONNABORTED,  OUTCOME_OPEN},
        {ERROR,   ETIMEDOUT,     OUTCOME_EXPIRED},
        {ERROR,   EHOSTUNREACH,  OUTCOME_LOCAL_FAULT},
        {ERROR,   ENETUNREACH,   OUTCOME_LOCAL_FAULT},
        {ERROR,   EHOSTDOWN,     OUTCOME_LOCAL_FAULT},
        {ERROR,   ENONET,        OUTCOME_LOCAL_FAULT},
        {ERROR,   ENOPROTOOPT,   OUTCOME_LOCAL_FAULT},
        {ERROR,   EOPNOTSUPP,    OUTCOME_LOCAL_FAULT},
        {ERROR,   EPROTO,        OUTCOME_LOCAL_FAULT},
        {ERROR,   EACCES,        OUTCOME_LOCAL_FAULT},
        {ERROR,   ENETDOWN,      OUTCOME_LOCAL_FAULT},
        {ERROR,   EPERM,         OUTCOME_LOCAL_FAULT},
        {ERROR,   EIO,           OUTCOME_LOCAL_FAULT},

        {ICMP,    ECONNREFUSED,  OUTCOME_REFUSED},
        {ICMP,    ECONNRESET,    OUTCOME_OPEN},
        {ICMP,    EPIPE,         OUTCOME_OPEN},
        {ICMP,    ECONNABORTED,  OUTCOME_OPEN},
        {ICMP,    ETIMEDOUT,     OUTCOME_EXPIRED},
        {ICMP,    EHOSTUNREACH,  OUTCOME_UNREACHABLE},
        {ICMP,    ENETUNREACH,   OUTCOME_UNREACHABLE},
        {ICMP,    EHOSTDOWN,     OUTCOME_UNREACHABLE},
        {ICMP,    ENONET,        OUTCOME_UNREACHABLE},
        {ICMP,    ENOPROTOOPT,   OUTCOME_UNREACHABLE},
        {ICMP,    EOPNOTSUPP,    OUTCOME_UNREACHABLE},
        {ICMP,    EPROTO,        OUTCOME_UNREACHABLE},
        {ICMP,    ENETDOWN,      OUTCOME_LOCAL_FAULT},
        {ICMP,    EPERM,         OUTCOME_LOCAL_FAULT},
        {ICMP,    EIO,           OUTCOME_LOCAL_FAULT},

        {OWN,     EHOSTUNREACH,  OUTCOME_UNREACHABLE},
        {OWN,     ECONNREFUSED,  OUTCOME_REFUSED},
        {OWN,     ECONNRESET,    OUTCOME_OPEN},
        {OWN,     ENETDOWN,      OUTCOME_LOCAL_FAULT},
        {GATEWAY, EHOSTUNREACH,  OUTCOME_LOCAL_FAULT},
        {GATEWAY, ENETUNREACH,   OUTCOME_LOCAL_FAULT},
        {GATEWAY, ECONNREFUSED,  OUTCOME_REFUSED},
        {GATEWAY, ECONNRESET,    OUTCOME_OPEN},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
            enum outcome outcome =
                outcome_of_errno(rows[i].source, rows[i].errnum, is_ipv6 != 0);
            if (outcome != rows[i].outcome)
                fail_msg("row %zu, errno %d: outcome %d, not %d", i, rows[i].errnum,
                         (int)outcome, (int)rows[i].outcome);
        }
}

static void an_administrative_prohibition_is_eacces_in_ipv6_only(void **state)
{
    (void)state;
    assert_int_equal(outcome_of_errno(ICMP, EACCES, true), OUTCOME_UNREACHABLE);
    assert_int_equal(outcome_of_errno(ICMP, EACCES, false), OUTCOME_LOCAL_FAULT);
    assert_int_equal(outcome_of_errno(OWN, EACCES, true), OUTCOME_UNREACHABLE);
    assert_int_equal(outcome_of_errno(GATEWAY, EACCES, true), OUTCOME_LOCAL_FAULT);
}

static void no_error_is_pending_for_every_source(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        assert_int_equal(outcome_of_errno(sources[i], 0, false), OUTCOME_PENDING);
}

static void an_unclassified_errno_is_our_own_fault(void **state)
{
    (void)state;
    static const int strange[] = {ELOOP, EXDEV, EDOM, 4095, -1, 133};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        for (size_t j = 0; j < sizeof strange / sizeof *strange; j++)
            assert_int_equal(outcome_of_errno(sources[i], strange[j], true),
                             OUTCOME_LOCAL_FAULT);
}

/* Replies have a text for all evidence that the network can give. The texts are not the C
 * library's, which may say "Host is unreachable" instead. */
static void all_evidence_has_a_text(void **state)
{
    (void)state;
    size_t evident = 0;
    for (int errnum = 1; errnum < 4096; errnum++)
        for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
            for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
                enum outcome outcome = outcome_of_errno(sources[i], errnum, is_ipv6 != 0);
                if (outcome != OUTCOME_REFUSED && outcome != OUTCOME_UNREACHABLE)
                    continue;
                const struct port_verdict verdict = {.state = PORT_STATE_UNREACHABLE,
                                                     .errnum = errnum};
                assert_non_null(port_verdict_error(&verdict));
                evident++;
            }
    assert_true(evident > 0);
}

static void the_error_is_a_text_of_the_contract_or_none(void **state)
{
    (void)state;
    static const struct {
        enum port_state state;
        int errnum;
        const char *text;
    } rows[] = {
        {PORT_STATE_OPEN, 0, NULL},
        {PORT_STATE_CLOSED, ECONNREFUSED, "Connection refused"},
        {PORT_STATE_FILTERED, ETIMEDOUT, "Connection timed out"},
        {PORT_STATE_LIMITED, ECONNREFUSED, "Connection refused"},
        {PORT_STATE_LIMITED, ETIMEDOUT, "Connection timed out"},
        {PORT_STATE_UNREACHABLE, EHOSTUNREACH, "No route to host"},
        {PORT_STATE_UNREACHABLE, ENETUNREACH, "Network is unreachable"},
        {PORT_STATE_UNREACHABLE, EACCES, "No route to host"},
        {PORT_STATE_UNREACHABLE, EHOSTDOWN, "Host is down"},
        {PORT_STATE_UNREACHABLE, ENONET, "Machine is not on the network"},
        {PORT_STATE_UNREACHABLE, ENOPROTOOPT, "Protocol not available"},
        {PORT_STATE_UNREACHABLE, EOPNOTSUPP, "Operation not supported"},
        {PORT_STATE_UNREACHABLE, EPROTO, "Protocol error"},
        {PORT_STATE_LIMITED, ETIMEDOUT, "Connection timed out"},
        {PORT_STATE_LIMITED, ECONNREFUSED, "Connection refused"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct port_verdict verdict = {.state = rows[i].state,
                                             .errnum = rows[i].errnum};
        const char *text = port_verdict_error(&verdict);
        if (rows[i].text)
            assert_string_equal(text, rows[i].text);
        else
            assert_null(text);
    }
}

static void states_have_the_words_of_the_contract(void **state)
{
    (void)state;
    assert_string_equal(port_state_text(PORT_STATE_OPEN), "open");
    assert_string_equal(port_state_text(PORT_STATE_CLOSED), "closed");
    assert_string_equal(port_state_text(PORT_STATE_FILTERED), "filtered");
    assert_string_equal(port_state_text(PORT_STATE_UNREACHABLE), "unreachable");
    assert_string_equal(port_state_text(PORT_STATE_LIMITED), "limited");
    assert_int_equal(PORT_STATE_COUNT, 5);
}

/* --- ICMP --------------------------------------------------------------------------- */

/* RFC 792, RFC 1122, RFC 1812; RFC 4443. */
static void a_prohibition_is_told_from_a_path_that_may_come_back(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        bool is_ipv6;
        uint8_t type, code;
        bool is_prohibition;
        const char *meaning;
    } rows[] = {
        {false, 3,  0,  false, "network unreachable"},
        {false, 3,  1,  false, "host unreachable"},
        {false, 3,  2,  false, "protocol unreachable"},
        {false, 3,  3,  false, "port unreachable"},
        {false, 3,  5,  false, "source route failed"},
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
        /* Numbers of the other family, and numbers without a meaning. */
        {true,  3,  13, false, "ICMP error"},
        {true,  3,  1,  false, "ICMP error"},
        {false, 1,  1,  false, "ICMP error"},
        {false, 3,  14, false, "ICMP error"},
        {false, 3,  255, false, "ICMP error"},
        {false, 255, 255, false, "ICMP error"},
        {true,  255, 255, false, "ICMP error"},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct icmp_error error = {.is_there = true,
                                   .is_ipv6 = rows[i].is_ipv6,
                                   .type = rows[i].type,
                                   .code = rows[i].code};
        assert_string_equal(icmp_meaning(&error), rows[i].meaning);
        assert_int_equal(icmp_is_prohibition(&error), rows[i].is_prohibition);
        error.is_from_target = true; /* the sender does not matter */
        assert_int_equal(icmp_is_prohibition(&error), rows[i].is_prohibition);
        error.is_there = false;
        assert_false(icmp_is_prohibition(&error));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_silence_is_silent),
        cmocka_unit_test(only_evidence_from_the_network_blames_the_target),
        cmocka_unit_test(an_administrative_prohibition_is_eacces_in_ipv6_only),
        cmocka_unit_test(no_error_is_pending_for_every_source),
        cmocka_unit_test(an_unclassified_errno_is_our_own_fault),
        cmocka_unit_test(all_evidence_has_a_text),
        cmocka_unit_test(the_error_is_a_text_of_the_contract_or_none),
        cmocka_unit_test(states_have_the_words_of_the_contract),
        cmocka_unit_test(a_prohibition_is_told_from_a_path_that_may_come_back),
    };
    return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
