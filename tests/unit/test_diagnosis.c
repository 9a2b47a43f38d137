/* SPDX-License-Identifier: MIT
 *
 * Each cause, from what checkers say and what was seen here.
 */
#include "verifier/diagnosis.h"

#include "places.h"
#include "verdicts.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void one_port_one_or_two_checkers(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct local_port local;
        size_t count;
        struct remote_verdict remotes[2];
        unsigned quorum;
        enum cause cause;
        bool is_good, is_proved;
    } rows[] = {
        {"proof matches", ACCEPTED, 1, {MATCH}, 1, CAUSE_GOOD, true, true},
        {"proof of another port", BOUND, 1, {OTHER(9)}, 1, CAUSE_OTHER_PORT, false, false},
        {"something else answers",
         BOUND,
         1,
         {MISMATCH},
         1,
         CAUSE_SOMEBODY_ELSE,
         false,
         false},
        {"a mute accepts", BOUND, 1, {SILENT}, 1, CAUSE_SOMEBODY_ELSE, false, false},
        {"came in, proof lost", ACCEPTED, 1, {SILENT}, 1, CAUSE_PROOF_LOST, false, false},
        {"no proof in the reply", ACCEPTED, 1, {OPEN}, 1, CAUSE_UNPROVED, true, false},
        {"no proof, half-open", BOUND, 1, {OPEN}, 1, CAUSE_UNPROVED, true, false},
        {"in use, talks", IN_USE, 1, {MISMATCH}, 1, CAUSE_UNPROVED, true, false},
        {"in use, mute", IN_USE, 1, {SILENT}, 1, CAUSE_UNPROVED, true, false},
        {"in use, leads elsewhere",
         IN_USE,
         1,
         {OTHER(9)},
         1,
         CAUSE_OTHER_PORT,
         false,
         false},
        {"not permitted, open", FORBIDDEN, 1, {SILENT}, 1, CAUSE_UNPROVED, true, false},
        {"refused", BOUND, 1, {CLOSED}, 1, CAUSE_REFUSED, false, false},
        {"refused, in use", IN_USE, 1, {CLOSED}, 1, CAUSE_REFUSED, false, false},
        {"refused, nothing listens",
         IN_USE_BY_CALLER,
         1,
         {CLOSED},
         1,
         CAUSE_NOT_BOUND,
         false,
         false},
        {"refused, not permitted",
         FORBIDDEN,
         1,
         {CLOSED},
         1,
         CAUSE_NOT_BOUND,
         false,
         false},
        {"silence", BOUND, 1, {FILTERED}, 1, CAUSE_NO_WAY_IN, false, false},
        {"silence, SYN seen", SYN_SEEN, 1, {FILTERED}, 1, CAUSE_WAY_BACK, false, false},
        {"silence of a program that hangs",
         IN_USE_HANGING,
         1,
         {FILTERED},
         1,
         CAUSE_NOT_ACCEPTED,
         false,
         false},
        {"busy, and open", IN_USE_HANGING, 1, {OPEN}, 1, CAUSE_UNPROVED, true, false},
        {"SYN seen, and open", SYN_SEEN, 1, {OPEN}, 1, CAUSE_UNPROVED, true, false},
        {"unreachable", BOUND, 1, {UNREACHABLE}, 1, CAUSE_UNREACHABLE, false, false},
        {"limited", BOUND, 1, {LIMITED}, 1, CAUSE_LIMITED, false, false},
        {"a limit explains silence",
         BOUND,
         2,
         {FILTERED, LIMITED},
         1,
         CAUSE_LIMITED,
         false,
         false},
        {"a limit is no refusal",
         BOUND,
         2,
         {LIMITED, CLOSED},
         1,
         CAUSE_REFUSED,
         false,
         false},
        {"limited for one of two",
         ACCEPTED,
         2,
         {LIMITED, MATCH},
         1,
         CAUSE_GOOD,
         true,
         true},
        {"no checker", BOUND, 0, {OPEN}, 1, CAUSE_UNKNOWN, false, false},

        {"one of two suffices", ACCEPTED, 2, {FILTERED, MATCH}, 1, CAUSE_GOOD, true, true},
        {"one of two does not",
         ACCEPTED,
         2,
         {FILTERED, MATCH},
         2,
         CAUSE_NO_QUORUM,
         false,
         true},
        {"both do", ACCEPTED, 2, {MATCH, MATCH}, 2, CAUSE_GOOD, true, true},
        {"one proves, one cannot", ACCEPTED, 2, {OPEN, MATCH}, 2, CAUSE_GOOD, true, true},
        {"a stranger beats no proof",
         BOUND,
         2,
         {OPEN, MISMATCH},
         1,
         CAUSE_SOMEBODY_ELSE,
         false,
         false},
        {"in either order",
         BOUND,
         2,
         {MISMATCH, OPEN},
         1,
         CAUSE_SOMEBODY_ELSE,
         false,
         false},
        {"proof beats a stranger",
         ACCEPTED,
         2,
         {MISMATCH, MATCH},
         1,
         CAUSE_GOOD,
         true,
         true},
        {"refusal beats silence",
         BOUND,
         2,
         {FILTERED, CLOSED},
         1,
         CAUSE_REFUSED,
         false,
         false},
        {"words beat silence",
         BOUND,
         2,
         {FILTERED, UNREACHABLE},
         1,
         CAUSE_UNREACHABLE,
         false,
         false},
        {"quorum beyond those that answered",
         ACCEPTED,
         1,
         {MATCH},
         2,
         CAUSE_NO_QUORUM,
         false,
         true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct remote_verdict *remotes[] = {&rows[i].remotes[0], &rows[i].remotes[1]};
        const struct diagnosis diagnosis = {
            .port_count = 1,
            .local = &rows[i].local,
            .remotes = remotes,
            .remote_count = rows[i].count,
            .quorum = rows[i].quorum,
        };
        struct finding finding;
        diagnose(&diagnosis, &finding);
        if (finding.cause != rows[i].cause || finding.is_good != rows[i].is_good)
            print_error("%s: %s\n", rows[i].what, cause_text(finding.cause));
        assert_int_equal(finding.cause, rows[i].cause);
        assert_int_equal(finding.is_good, rows[i].is_good);
        assert_int_equal(finding.is_proved, rows[i].is_proved);
        assert_int_equal(finding.leads_to, rows[i].cause == CAUSE_OTHER_PORT ? 9 : 0);
    }
}

/* The checker's verdict decides what is good; where its places differ, that is the cause.
 */
static void places_that_differ_are_the_cause(void **state)
{
    (void)state;
    static const struct {
        struct local_port local;
        size_t count;
        struct remote_verdict remotes[2];
        const char *places[2];
        unsigned quorum;
        enum cause cause;
        bool is_good;
    } rows[] = {
        {ACCEPTED, 1, {MATCH}, {"a match, b match"}, 1, CAUSE_GOOD, true},
        {ACCEPTED, 1, {MATCH}, {"a match, b filtered"}, 1, CAUSE_PLACES_DISAGREE, true},
        {ACCEPTED, 1, {MATCH}, {"a match, b missing"}, 1, CAUSE_GOOD, true},
        {ACCEPTED, 1, {MATCH}, {"a match, b limited"}, 1, CAUSE_GOOD, true},
        {ACCEPTED, 1, {MATCH}, {"a match, b postponed"}, 1, CAUSE_GOOD, true},
        {ACCEPTED, 1, {MATCH}, {"a match, b mismatch"}, 1, CAUSE_PLACES_DISAGREE, true},
        {IN_USE, 1, {SILENT}, {"a mismatch, b open"}, 1, CAUSE_UNPROVED, true},
        {IN_USE, 1, {OPEN}, {"a open, b closed"}, 1, CAUSE_PLACES_DISAGREE, true},
        {BOUND, 1, {FILTERED}, {"a open, b filtered"}, 1, CAUSE_PLACES_DISAGREE, false},
        {SYN_SEEN, 1, {FILTERED}, {"a open, b filtered"}, 1, CAUSE_PLACES_DISAGREE, false},
        {BOUND, 1, {CLOSED}, {"a closed, b filtered"}, 1, CAUSE_REFUSED, false},
        {BOUND, 1, {FILTERED}, {"a mismatch, b filtered"}, 1, CAUSE_NO_WAY_IN, false},
        {BOUND, 1, {LIMITED}, {"a open, b missing"}, 1, CAUSE_LIMITED, false},
        {BOUND, 1, {MISMATCH}, {"a mismatch, b closed"}, 1, CAUSE_SOMEBODY_ELSE, false},
        {BOUND, 1, {{.is_unknown = true}}, {"a open, b closed"}, 1, CAUSE_UNKNOWN, false},
        /* --quorum counts checkers */
        {ACCEPTED, 1, {MATCH}, {"a match, b match"}, 2, CAUSE_NO_QUORUM, false},
        {ACCEPTED,
         2,
         {MATCH, FILTERED},
         {NULL, "a match, b filtered"},
         1,
         CAUSE_PLACES_DISAGREE,
         true},
        {ACCEPTED,
         2,
         {MATCH, FILTERED},
         {NULL, "a match, b filtered"},
         2,
         CAUSE_NO_QUORUM,
         false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct remote_verdict *remotes[] = {&rows[i].remotes[0], &rows[i].remotes[1]};
        struct place_table *tables[] = {place_table_of(&rows[i].places[0], 1),
                                        place_table_of(&rows[i].places[1], 1)};
        const struct place_table *places[] = {tables[0], tables[1]};
        const struct diagnosis diagnosis = {
            .port_count = 1,
            .local = &rows[i].local,
            .remotes = remotes,
            .places = places,
            .remote_count = rows[i].count,
            .quorum = rows[i].quorum,
        };
        struct finding finding;
        diagnose(&diagnosis, &finding);
        if (finding.cause != rows[i].cause || finding.is_good != rows[i].is_good)
            fail_msg("row %zu: %s, good %d", i, cause_text(finding.cause), finding.is_good);
        place_table_free(tables[0]);
        place_table_free(tables[1]);
    }
}

static void silence_of_some_is_not_silence_of_all(void **state)
{
    (void)state;
    static const struct local_port local[3] = {BOUND, BOUND, BOUND};
    static const struct remote_verdict all[3] = {FILTERED, FILTERED, FILTERED};
    static const struct remote_verdict some[3] = {FILTERED, CLOSED, FILTERED};
    const struct remote_verdict *remotes[1] = {all};
    struct diagnosis diagnosis = {.port_count = 3,
                                  .local = local,
                                  .remotes = remotes,
                                  .remote_count = 1,
                                  .quorum = 1};
    struct finding findings[3];
    diagnose(&diagnosis, findings);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(findings[i].cause, CAUSE_NO_WAY_IN);

    remotes[0] = some;
    diagnose(&diagnosis, findings);
    assert_int_equal(findings[0].cause, CAUSE_NOT_FORWARDED);
    assert_int_equal(findings[1].cause, CAUSE_REFUSED);
    assert_int_equal(findings[2].cause, CAUSE_NOT_FORWARDED);
}

#define MAPPED(...) .mapped = {.is_asked = true, __VA_ARGS__}

static void what_the_router_said_about_a_port(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct local_port local;
        struct remote_verdict remote;
        enum cause cause;
        bool is_good;
    } rows[] = {
        {"mapped, silent",
         {MAPPED(.state = MAPPING_MAPPED)},
         FILTERED,
         CAUSE_MAPPED_NO_WAY_IN,
         false},
        {"the router has no connection",
         {MAPPED(.state = MAPPING_OFFLINE)},
         FILTERED,
         CAUSE_MAPPING_REFUSED,
         false},
        {"mapped, refused",
         {MAPPED(.state = MAPPING_MAPPED)},
         CLOSED,
         CAUSE_MAPPED_NO_WAY_IN,
         false},
        {"mapped, rejected here or there",
         {MAPPED(.state = MAPPING_MAPPED)},
         {.state = PORT_STATE_CLOSED, .icmp = "port unreachable"},
         CAUSE_REFUSED,
         false},
        {"mapped, refused by the program that has it",
         {MAPPED(.state = MAPPING_MAPPED), .binding = BINDING_IN_USE,
          .owner = {.use = OWNER_USE_LISTENER}},
         CLOSED,
         CAUSE_REFUSED,
         false},
        {"mapped, something arrived",
         {MAPPED(.state = MAPPING_MAPPED), .accepted = 1},
         CLOSED,
         CAUSE_REFUSED,
         false},
        {"mapped, handshake seen",
         {MAPPED(.state = MAPPING_MAPPED), .has_syn = true},
         FILTERED,
         CAUSE_WAY_BACK,
         false},
        {"mapped, dropped here",
         {MAPPED(.state = MAPPING_MAPPED),
          .filter = {.is_known = true, .drop = FILTER_DROP_CERTAIN}},
         FILTERED,
         CAUSE_HOST_FIREWALL,
         false},
        {"taken",
         {MAPPED(.state = MAPPING_OTHER_PORT)},
         FILTERED,
         CAUSE_MAPPING_REFUSED,
         false},
        {"taken, something else answers",
         {MAPPED(.state = MAPPING_OTHER_PORT)},
         MISMATCH,
         CAUSE_SOMEBODY_ELSE,
         false},
        {"no room", {MAPPED(.state = MAPPING_FULL)}, CLOSED, CAUSE_MAPPING_REFUSED, false},
        {"forbidden",
         {MAPPED(.state = MAPPING_REFUSED)},
         FILTERED,
         CAUSE_MAPPING_REFUSED,
         false},
        {"no answer of the router",
         {MAPPED(.state = MAPPING_SILENT)},
         FILTERED,
         CAUSE_NO_WAY_IN,
         false},
        {"late", {MAPPED(.state = MAPPING_WAITING)}, CLOSED, CAUSE_REFUSED, false},
        {"not asked for",
         {.mapped.state = MAPPING_MAPPED},
         FILTERED,
         CAUSE_NO_WAY_IN,
         false},
        {"forbidden, but reached",
         {MAPPED(.state = MAPPING_REFUSED)},
         MATCH,
         CAUSE_GOOD,
         true},
        {"mapped and reached", {MAPPED(.state = MAPPING_MAPPED)}, MATCH, CAUSE_GOOD, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct remote_verdict *remotes[] = {&rows[i].remote};
        struct finding finding;
        const struct diagnosis diagnosis = {
            .port_count = 1,
            .local = &rows[i].local,
            .remotes = remotes,
            .remote_count = 1,
            .quorum = 1,
        };
        diagnose(&diagnosis, &finding);
        if (finding.cause != rows[i].cause || finding.is_good != rows[i].is_good)
            fail_msg("%s: %s", rows[i].what, cause_text(finding.cause));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_port_one_or_two_checkers),
        cmocka_unit_test(places_that_differ_are_the_cause),
        cmocka_unit_test(silence_of_some_is_not_silence_of_all),
        cmocka_unit_test(what_the_router_said_about_a_port),
    };
    return cmocka_run_group_tests_name("diagnosis", tests, NULL, NULL);
}
