/* SPDX-License-Identifier: MIT
 *
 * Each row of the table of causes, and the sentences that go with them.
 */
#include "verifier/advice.h"
#include "verifier/diagnosis.h"

#include "addresses.h"
#include "base/err.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Verdicts in short: what one checker says. */
#define OPEN         {.state = PORT_STATE_OPEN}
#define MATCH        {.state = PORT_STATE_OPEN, .proof = PROOF_MATCH}
#define OTHER(port)                                                                        \
    {.state = PORT_STATE_OPEN, .proof = PROOF_OTHER_PORT, .proof_port = (port)}
#define MISMATCH    {.state = PORT_STATE_OPEN, .proof = PROOF_MISMATCH}
#define SILENT      {.state = PORT_STATE_OPEN, .proof = PROOF_SILENT}
#define CLOSED      {.state = PORT_STATE_CLOSED, .words = "Connection refused"}
#define FILTERED    {.state = PORT_STATE_FILTERED, .words = "Connection timed out"}
#define UNREACHABLE {.state = PORT_STATE_UNREACHABLE, .words = "No route to host"}

/* And what was seen here. */
/* clang-format off */
#define BOUND            {.binding = BINDING_BOUND}
#define ACCEPTED         {.binding = BINDING_BOUND, .accepted = 1}
#define SYN_SEEN         {.binding = BINDING_BOUND, .has_syn = true}
#define IN_USE           {.binding = BINDING_IN_USE,                                       \
                          .owner = {.is_listening = true, .name = "nginx"}}
#define IN_USE_BY_CALLER {.binding = BINDING_IN_USE}
#define FORBIDDEN        {.binding = BINDING_NO_PERMISSION}
/* clang-format on */

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
        {"somebody else talks", BOUND, 1, {MISMATCH}, 1, CAUSE_SOMEBODY_ELSE, false, false},
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
        {"refused, nobody listens",
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
        {"SYN seen, and open", SYN_SEEN, 1, {OPEN}, 1, CAUSE_UNPROVED, true, false},
        {"unreachable", BOUND, 1, {UNREACHABLE}, 1, CAUSE_UNREACHABLE, false, false},
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

/* --- reports and sentences ------------------------------------------------------------ */

struct setup {
    const char *local_ip, *public_ip;
    size_t count;
    uint16_t ports[4];
    struct local_port local[4];
    struct remote_verdict remotes[4];
};

static struct report *report_of(const struct setup *setup, const uint16_t *required,
                                size_t required_count, const uint16_t *in_use,
                                size_t in_use_count)
{
    struct report *report;
    struct family_report *half;
    assert_true(report_new(required, required_count, &report, NULL));
    assert_true(family_report_new(FAMILY_4, setup->ports, setup->count, 1, &half, NULL));
    report->families[FAMILY_4] = half;
    half->has_local = half->has_public = true;
    half->local_address = address_of(setup->local_ip);
    half->public_address = address_of(setup->public_ip);
    half->signs = signs_read(&half->local_address, &half->public_address);
    memcpy(half->local, setup->local, setup->count * sizeof *half->local);
    half->checker_count = 1;
    half->checkers[0].url = strdup("http://checker");
    struct remote_verdict *verdicts = calloc(setup->count, sizeof *verdicts);
    assert_non_null(verdicts);
    memcpy(verdicts, setup->remotes, setup->count * sizeof *verdicts);
    half->checkers[0].result.verdicts = verdicts;

    const struct report_policy policy = {
        .quorum = 1,
        .required = required,
        .required_count = required_count,
        .in_use = in_use,
        .in_use_count = in_use_count,
    };
    assert_true(family_report_judge(half, &policy, NULL));
    return report;
}

static void check_words(const struct setup *setup, const char *label, const char *cause,
                        const char *remedy)
{
    struct report *report = report_of(setup, NULL, 0, NULL, 0);
    struct text text;
    text_init(&text, 4096);
    advice_label(report, report->families[FAMILY_4], 0, &text);
    assert_string_equal(text.data, label);
    text_reset(&text);
    advice_cause(report, report->families[FAMILY_4], 0, &text);
    assert_string_equal(text.data, cause);
    text_reset(&text);
    advice_remedy(report, report->families[FAMILY_4], 0, &text);
    assert_string_equal(text.data, remedy);
    text_done(&text);
    report_free(report);
}

#define NATTED .local_ip = "192.168.1.5", .public_ip = "203.0.113.7"
#define PUBLIC .local_ip = "203.0.113.7", .public_ip = "203.0.113.7"

static void every_cause_has_its_sentence_and_its_remedy(void **state)
{
    (void)state;
    check_words(&(struct setup){NATTED, 1, {7466}, {ACCEPTED}, {MATCH}}, "good", "", "");
    check_words(
        &(struct setup){
            NATTED, 2, {50800, 50801}, {BOUND, BOUND}, {OTHER(50810), OTHER(50811)}},
        "open: leads to ports 50810-50811",
        "the router forwards ports 50800-50801 to ports 50810-50811 of this machine",
        "in the router, let ports 50800-50801 lead to the same ports of 192.168.1.5");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {BOUND}, {SILENT}},
        "open: something else answers",
        "something else answers on port 50800: another machine, or a proxy that accepts "
        "everything",
        "in the router, let port 50800 lead to the same port of 192.168.1.5; if it does "
        "already, look for a SYN proxy or a protection against attacks that answers in "
        "its place");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {BOUND}, {OPEN}}, "good: listener not proved",
        "port 50800 can be reached, but who answers is not proved: the checker knows no "
        "proof",
        "to be sure that it is this machine, ask a checker that knows proofs");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {IN_USE}, {SILENT}},
        "good: listener not proved (in use by nginx)",
        "port 50800 can be reached, but who answers is not proved: nginx holds it on this "
        "machine",
        "if what answers there is yours, name port 50800 with --in-use; else free it and "
        "verify again");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {BOUND}, {CLOSED}}, "closed: refused",
        "port 50800 is refused, though somebody listens here: the forward leads to a "
        "machine that refuses, or a firewall rejects",
        "in the router, let port 50800 lead to the same port of 192.168.1.5, and allow it "
        "in the firewalls on the way");
    check_words(
        &(struct setup){NATTED, 2, {50800, 50801}, {BOUND, BOUND}, {FILTERED, FILTERED}},
        "filtered: nothing comes in",
        "nothing comes in: no forward at all, a firewall, or carrier NAT (this machine's "
        "address 192.168.1.5 is a private one, the checker sees 203.0.113.7)",
        "in the router, let ports 50800-50801 lead to the same ports of 192.168.1.5; if "
        "the router's own outer address is not 203.0.113.7, the internet provider "
        "translates too (carrier NAT): ask it for a public address");
    check_words(
        &(struct setup){.local_ip = "100.64.0.5",
                        .public_ip = "203.0.113.7",
                        1,
                        {50800},
                        {BOUND},
                        {FILTERED}},
        "filtered: nothing comes in",
        "nothing comes in: no forward at all, a firewall, or carrier NAT (there is an "
        "address of 100.64.0.0/10, a carrier's inner network, the checker sees "
        "203.0.113.7 instead of ours)",
        "no forward of yours can help behind carrier NAT: ask the internet provider for a "
        "public IPv4 address, or use IPv6");
    check_words(
        &(struct setup){PUBLIC, 1, {50800}, {BOUND}, {FILTERED}},
        "filtered: nothing comes in",
        "nothing comes in: a firewall, on this machine or on the way to it",
        "allow port 50800 (TCP, from anywhere) in the firewall of 203.0.113.7 and of "
        "every router in front of it");
    check_words(
        &(struct setup){NATTED,
                        3,
                        {50800, 50801, 50802},
                        {BOUND, BOUND, ACCEPTED},
                        {FILTERED, FILTERED, MATCH}},
        "filtered: not forwarded",
        "ports 50800-50801 stay silent while 50802 answers: not in the range that the "
        "router forwards",
        "in the router, let ports 50800-50801 lead to the same ports of 192.168.1.5");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {SYN_SEEN}, {FILTERED}},
        "filtered: the way back is blocked",
        "the way back is blocked: connections to port 50800 come in here, and the answers "
        "get lost",
        "look at the rules for outgoing packets here and in the router, and whether "
        "answers leave through the line that the connection came in by");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {BOUND}, {UNREACHABLE}},
        "unreachable: No route to host",
        "the network says that there is no path to port 50800: No route to host",
        "look for a router or firewall on the way that rejects, and whether 203.0.113.7 "
        "is still yours");
}

static void what_may_be_advertised(void **state)
{
    (void)state;
    const struct setup setup = {NATTED,
                                4,
                                {7466, 50800, 50801, 50802},
                                {IN_USE, IN_USE, IN_USE, ACCEPTED},
                                {SILENT, SILENT, SILENT, MATCH}};
    const uint16_t required[] = {7466};
    const uint16_t in_use[] = {50801};
    struct report *report = report_of(&setup, required, 1, in_use, 1);
    const struct family_report *half = report->families[FAMILY_4];
    static const bool expected[] = {true, false, true, true};
    for (size_t i = 0; i < 4; i++) {
        assert_true(half->findings[i].is_good);
        assert_int_equal(half->is_advertised[i], expected[i]);
    }
    struct text text;
    text_init(&text, 100);
    report_format_advertised(half, &text);
    assert_string_equal(text.data, "7466,50801-50802");
    text_done(&text);
    assert_int_equal(report_status(report), REPORT_OK);
    report_free(report);
}

static void required_ports_and_one_of_the_others(void **state)
{
    (void)state;
    static const struct {
        struct remote_verdict remotes[3];
        size_t required; /* the first so many */
        enum report_status status;
    } rows[] = {
        {{MATCH, MATCH, MATCH}, 1, REPORT_OK},
        {{MATCH, CLOSED, MATCH}, 1, REPORT_OK},
        {{MATCH, CLOSED, CLOSED}, 1, REPORT_NOT_OK},
        {{CLOSED, MATCH, MATCH}, 1, REPORT_NOT_OK},
        {{CLOSED, CLOSED, MATCH}, 0, REPORT_OK},
        {{CLOSED, CLOSED, CLOSED}, 0, REPORT_NOT_OK},
        {{MATCH, MATCH, CLOSED}, 3, REPORT_NOT_OK},
        {{MATCH, MATCH, MATCH}, 3, REPORT_OK},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct setup setup = {NATTED, 3, {1, 2, 3}, {BOUND, BOUND, BOUND}, {OPEN}};
        memcpy(setup.remotes, rows[i].remotes, sizeof rows[i].remotes);
        struct report *report = report_of(&setup, setup.ports, rows[i].required, NULL, 0);
        assert_int_equal(report_status(report), rows[i].status);
        report_free(report);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_port_one_or_two_checkers),
        cmocka_unit_test(silence_of_some_is_not_silence_of_all),
        cmocka_unit_test(every_cause_has_its_sentence_and_its_remedy),
        cmocka_unit_test(what_may_be_advertised),
        cmocka_unit_test(required_ports_and_one_of_the_others),
    };
    return cmocka_run_group_tests_name("diagnosis", tests, NULL, NULL);
}
