/* SPDX-License-Identifier: MIT
 *
 * From the verdicts of several places to one.
 */
#include "vantage/quorum.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#define PLACES 7

static void so_many_places_must_agree(void **state)
{
    (void)state;
    static const struct {
        size_t places, wanted, needed;
    } rows[] = {
        {1, 0, 1}, {2, 0, 1}, {3, 0, 2}, {4, 0, 3},  {5, 0, 4}, {6, 0, 4},
        {7, 0, 5}, {3, 1, 1}, {3, 3, 3}, {3, 16, 3}, {1, 2, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(quorum_needed(rows[i].places, rows[i].wanted), rows[i].needed);
}

static const struct port_verdict open_port = {.port = 1, .state = PORT_STATE_OPEN};
static const struct port_verdict closed = {
    .port = 1, .state = PORT_STATE_CLOSED, .errnum = ECONNREFUSED};
static const struct port_verdict filtered = {
    .port = 1, .state = PORT_STATE_FILTERED, .errnum = ETIMEDOUT};
static const struct port_verdict no_host = {
    .port = 1, .state = PORT_STATE_UNREACHABLE, .errnum = EHOSTUNREACH};
static const struct port_verdict no_network = {
    .port = 1, .state = PORT_STATE_UNREACHABLE, .errnum = ENETUNREACH};
static const struct port_verdict limited = {
    .port = 1, .state = PORT_STATE_LIMITED, .errnum = ECONNREFUSED};

#define O (&open_port)
#define C (&closed)
#define F (&filtered)
#define H (&no_host)
#define N (&no_network)
#define L (&limited)
#define M NULL /* missing */

/* The own verdict stands first. */
static const struct {
    const char *name;
    size_t count;
    const struct port_verdict *verdicts[PLACES];
    enum port_state state;
    const char *error;
} rows[] = {
    {"all reach it", 3, {O, O, O}, PORT_STATE_OPEN, NULL},
    {"one of three does not", 3, {O, O, F}, PORT_STATE_OPEN, NULL},
    {"only the own place does not", 3, {F, O, O}, PORT_STATE_OPEN, NULL},
    {"one liar says that it is open",
     4,
     {C, O, C, C},
     PORT_STATE_CLOSED,
     "Connection refused"},
    {"one liar says that it is closed", 4, {O, C, O, O}, PORT_STATE_OPEN, NULL},
    {"a partition of one", 3, {O, O, M}, PORT_STATE_OPEN, NULL},
    {"a partition of one, and all others see it closed",
     3,
     {C, C, M},
     PORT_STATE_CLOSED,
     "Connection refused"},
    {"the missing one decides", 3, {O, C, M}, PORT_STATE_LIMITED, "Connection timed out"},
    {"two missing decide", 4, {O, O, M, M}, PORT_STATE_LIMITED, "Connection timed out"},
    {"two missing do not decide", 4, {C, C, M, M}, PORT_STATE_CLOSED, "Connection refused"},
    {"two of six missing", 6, {O, O, O, O, M, M}, PORT_STATE_OPEN, NULL},
    {"three of six missing",
     6,
     {O, O, O, M, M, M},
     PORT_STATE_LIMITED,
     "Connection timed out"},
    {"all others missing: the own verdict, open", 3, {O, M, M}, PORT_STATE_OPEN, NULL},
    {"all others missing: the own verdict, closed",
     3,
     {C, M, M},
     PORT_STATE_CLOSED,
     "Connection refused"},
    {"a limit is no yes", 3, {O, F, L}, PORT_STATE_LIMITED, "Connection refused"},
    {"a limit decides nothing", 3, {O, O, L}, PORT_STATE_OPEN, NULL},
    {"a limit here, a yes elsewhere", 2, {L, O}, PORT_STATE_OPEN, NULL},
    {"a limit and no yes", 3, {F, F, L}, PORT_STATE_FILTERED, "Connection timed out"},
    {"disagreement: the commonest",
     4,
     {C, F, O, F},
     PORT_STATE_FILTERED,
     "Connection timed out"},
    {"disagreement: equally common, the first",
     3,
     {F, C, H},
     PORT_STATE_FILTERED,
     "Connection timed out"},
    {"one state with two errors",
     5,
     {N, H, F, H, C},
     PORT_STATE_UNREACHABLE,
     "No route to host"},
    {"one place", 1, {F}, PORT_STATE_FILTERED, "Connection timed out"},
};

static void places_make_one_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct port_verdict merged =
            quorum_merge(rows[i].verdicts, rows[i].count, quorum_needed(rows[i].count, 0));
        const char *error = port_verdict_error(&merged);
        if (merged.state != rows[i].state || !error != !rows[i].error ||
            (error && strcmp(error, rows[i].error) != 0) || merged.port != 1)
            fail_msg("%s: %s, %s", rows[i].name, port_state_text(merged.state),
                     error ? error : "no error");
    }
}

static void the_operator_s_number_counts(void **state)
{
    (void)state;
    static const struct port_verdict *const verdicts[] = {C, O, C};
    assert_int_equal(quorum_merge(verdicts, 3, quorum_needed(3, 1)).state, PORT_STATE_OPEN);
    static const struct port_verdict *const with_missing[] = {O, O, M};
    assert_int_equal(quorum_merge(with_missing, 3, quorum_needed(3, 3)).state,
                     PORT_STATE_LIMITED);
}

static void rtt_and_proof_are_those_of_a_place_that_agrees(void **state)
{
    (void)state;
    struct port_verdict own = filtered, other = open_port, third = open_port;
    other.has_rtt = true;
    other.rtt = span_ms(7);
    other.proof = PROOF_MATCH;
    const struct port_verdict *const verdicts[] = {&own, &other, &third};
    struct port_verdict merged = quorum_merge(verdicts, 3, 2);
    assert_true(merged.has_rtt && merged.rtt.ns == span_ms(7).ns);
    assert_int_equal(merged.proof, PROOF_MATCH);

    own = open_port;
    assert_false(quorum_merge(verdicts, 3, 2).has_rtt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_places_must_agree),
        cmocka_unit_test(places_make_one_verdict),
        cmocka_unit_test(the_operator_s_number_counts),
        cmocka_unit_test(rtt_and_proof_are_those_of_a_place_that_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
