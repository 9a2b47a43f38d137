/* SPDX-License-Identifier: MIT
 *
 * Reports: how ports are grouped, what the report says about them, and what to do.
 */
#include "verifier/advice.h"

#include "verifier/scene.h"

#include "addresses.h"
#include "verdicts.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct setup {
    const char *local_ip, *public_ip;
    size_t count;
    uint16_t ports[4];
    struct local_port local[4];
    struct remote_verdict remotes[4];
    bool is_unanswered; /* the checker failed */
    enum vantage vantage;
    struct remote_limit limit;
    uint16_t inner[4]; /* 0: the same port */
};

static struct report *report_of(const struct setup *setup, const uint16_t *required,
                                size_t required_count, const uint16_t *in_use,
                                size_t in_use_count)
{
    struct report *report;
    struct family_report *family;
    assert_true(report_new(required, required_count, &report, NULL));
    assert_true(family_report_new(FAMILY_4, setup->ports, setup->count, 1, &family, NULL));
    report->families[FAMILY_4] = family;
    family->has_local = family->has_public = true;
    family->local_address = address_of(setup->local_ip);
    family->public_address = address_of(setup->public_ip);
    family->signs = signs_read(&family->local_address, &family->public_address);
    memcpy(family->local, setup->local, setup->count * sizeof *family->local);
    family->checker_count = 1;
    family->checkers[0].url = strdup("http://checker");
    struct checker_result *result = &family->checkers[0].result;
    result->has_local = true;
    result->peer_address = address_of("203.0.113.1");
    result->vantage = setup->vantage;
    result->limit = setup->limit;
    for (size_t i = 0; i < setup->count; i++)
        if (setup->inner[i] != 0)
            family->inner[i] = setup->inner[i];
    if (!setup->is_unanswered) {
        struct remote_verdict *verdicts = calloc(setup->count, sizeof *verdicts);
        assert_non_null(verdicts);
        memcpy(verdicts, setup->remotes, setup->count * sizeof *verdicts);
        family->checkers[0].result.verdicts = verdicts;
    }

    const struct report_policy policy = {
        .quorum = 1,
        .required = required,
        .required_count = required_count,
        .in_use = in_use,
        .in_use_count = in_use_count,
    };
    assert_true(family_report_judge(family, &policy, NULL));
    return report;
}

/* What the report says about the first group, which begins with the first port. */
static void check_words(const struct setup *setup, const char *label, const char *why,
                        const char *remedy)
{
    struct report *report = report_of(setup, NULL, 0, NULL, 0);
    const struct family_report *family = report->families[FAMILY_4];
    const char *expected[] = {
        [ADVICE_LABEL] = label, [ADVICE_WHY] = why, [ADVICE_REMEDY] = remedy};
    for (enum advice_part part = ADVICE_LABEL; part <= ADVICE_REMEDY; part++) {
        struct text text;
        text_init(&text, 4096);
        advice_put(report, family, &family->groups[0], part, &text);
        assert_string_equal(text.data, expected[part]);
        text_done(&text);
    }
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
        "in the router, forward TCP ports 50800-50801 to 192.168.1.5 (same port numbers)");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {BOUND}, {SILENT}},
        "open: something else answers",
        "something else answers on port 50800: another machine, or a proxy that accepts "
        "every connection",
        "in the router, forward TCP port 50800 to 192.168.1.5 (same port number); if it "
        "already does, look for a SYN proxy or DDoS protection that answers in place of "
        "192.168.1.5");
    check_words(&(struct setup){NATTED, .count = 2, .ports = {60800, 60801},
                                .inner = {50800, 50801}, .local = {BOUND, BOUND},
                                .remotes = {SILENT, SILENT}},
                "open: something else answers",
                "something else answers on ports 60800-60801: another machine, or a proxy "
                "that accepts every connection",
                "in the router, forward TCP ports 60800-60801 to ports 50800-50801 of "
                "192.168.1.5; if it already does, look for a SYN proxy or DDoS protection "
                "that answers in place of 192.168.1.5");
    check_words(
        &(struct setup){NATTED, .count = 2, .ports = {50800, 50801},
                        .local = {BOUND, BOUND}, .remotes = {LIMITED, LIMITED},
                        .limit = {true, 20, 1.25}},
        "limited: no longer answered",
        "could not judge ports 50800-50801: the address stopped answering the "
        "checker (20 ports were judged before, then 1.2 a second), as under a rate "
        "limit, a scan protection or a ban",
        "allow the checker's address 203.0.113.1 in the flood and scan protection of "
        "192.168.1.5 and of every router in front of it; until then, list the ports "
        "that matter most in --required, because they are checked first, and allow "
        "more time with --patience 3m");
    check_words(
        &(struct setup){PUBLIC, .count = 1, .ports = {50800}, .local = {ACCEPTED},
                        .remotes = {MATCH}, .vantage = VANTAGE_NETWORK},
        "open: seen from this network only",
        "port 50800 is reachable from this network, in which the checker runs too; "
        "that proves nothing about the internet",
        "ask a checker on the internet; to advertise port 50800 in this network only, "
        "pass --lan");
    check_words(&(struct setup){PUBLIC, 1, {50800}, {BOUND}, {SILENT}},
                "open: something else answers",
                "something else answers on port 50800: another machine, or a proxy that "
                "accepts every connection",
                "look for a SYN proxy or DDoS protection in front of 203.0.113.7 that "
                "answers in its place");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {BOUND}, {OPEN}}, "good: listener not verified",
        "port 50800 is reachable, but what answers could not be verified: the checker "
        "does not support proofs",
        "to make sure that this machine answers, use a checker that supports proofs");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {IN_USE}, {SILENT}},
        "good: listener not verified (in use by nginx)",
        "port 50800 is reachable, but what answers could not be verified: nginx is using "
        "it on this machine",
        "if that program is yours, add port 50800 to --in-use; otherwise stop it and run "
        "port-verifier again");
    check_words(
        &(struct setup){NATTED, 1, {7466}, {IN_USE}, {SILENT}},
        "good: listener not verified (in use by nginx)",
        "port 7466 is reachable, but what answers could not be verified: nginx is using "
        "it on this machine",
        "nothing, if that is the provider; to verify the listener as well, stop it and run "
        "port-verifier again");
    check_words(
        &(struct setup){NATTED, 1, {443}, {FORBIDDEN}, {SILENT}},
        "good: listener not verified (no permission to bind)",
        "port 443 is reachable, but what answers could not be verified: it could not be "
        "bound on this machine",
        "if your own program answers there, add port 443 to --in-use");
    check_words(&(struct setup){NATTED, 1, {50800}, {ACCEPTED}, {SILENT}},
                "open: proof lost",
                "connections to port 50800 arrive here, but the proof does not reach the "
                "checker: something on the path answers for this machine, or the path is "
                "very slow",
                "look for a transparent proxy or an inspecting firewall on the path, and "
                "exempt port 50800 from it");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {BOUND}, {CLOSED}},
        "closed: connection refused",
        "port 50800 is closed, although this machine listens: the port forward leads to "
        "another machine, or a firewall rejects connections",
        "in the router, forward TCP port 50800 to 192.168.1.5 (same port number), and "
        "allow "
        "it in every firewall on the path");
    check_words(
        &(struct setup){PUBLIC, 2, {50800, 50801}, {BOUND, BOUND}, {CLOSED, CLOSED}},
        "closed: connection refused",
        "ports 50800-50801 are closed, although this machine listens: a firewall rejects "
        "connections",
        "allow TCP ports 50800-50801 from any address in the firewall of 203.0.113.7 and "
        "of "
        "every router in front of it");
    check_words(&(struct setup){NATTED, 1, {50800}, {IN_USE_LOCALLY}, {CLOSED}},
                "closed: connection refused (in use by nginx)",
                "port 50800 is closed: nginx listens on the loopback interface only",
                "make nginx listen on all addresses, or stop it");
    check_words(
        &(struct setup){NATTED, 1, {443}, {FORBIDDEN}, {CLOSED}},
        "closed: nothing listens (no permission to bind)",
        "port 443 is closed, and nothing listens on it: this user may not bind ports "
        "below 1024",
        "run port-verifier with the right to bind ports below 1024 "
        "(CAP_NET_BIND_SERVICE)");
    check_words(&(struct setup){NATTED, 1, {50800}, {IN_USE_BY_CALLER}, {CLOSED}},
                "closed: nothing listens (in use by another program)",
                "port 50800 is closed, and nothing listens on it: another program is using "
                "it for outgoing connections",
                "run port-verifier again in a minute; to keep outgoing connections "
                "off port 50800, add it to the sysctl net.ipv4.ip_local_reserved_ports");
    check_words(
        &(struct setup){
            NATTED, 1, {50800}, {{.binding = BINDING_FAILED, .errnum = EIO}}, {CLOSED}},
        "closed: nothing listens (could not be bound: Input/output error)",
        "port 50800 is closed, and nothing listens on it",
        "configure the provider to listen on port 50800");
    check_words(
        &(struct setup){NATTED, 2, {50800, 50801}, {BOUND, BOUND}, {FILTERED, FILTERED}},
        "filtered: no incoming connections",
        "no connections arrive here: a missing port forward, a firewall, or carrier-grade "
        "NAT (the checker sees 203.0.113.7 instead of 192.168.1.5)",
        "in the router, forward TCP ports 50800-50801 to 192.168.1.5 (same port numbers); "
        "if the WAN address of the router is not 203.0.113.7, the internet provider uses "
        "carrier-grade NAT: ask it for a public address");
    check_words(
        &(struct setup){.local_ip = "100.64.0.5",
                        .public_ip = "203.0.113.7",
                        1,
                        {50800},
                        {BOUND},
                        {FILTERED}},
        "filtered: no incoming connections",
        "no connections arrive here: the internet provider uses carrier-grade NAT (the "
        "checker sees 203.0.113.7 instead of 100.64.0.5, and one of the two is in "
        "100.64.0.0/10)",
        "a port forward does not help behind carrier-grade NAT: ask the internet provider "
        "for a public IPv4 address, or use IPv6");
    check_words(
        &(struct setup){PUBLIC, 1, {50800}, {BOUND}, {FILTERED}},
        "filtered: no incoming connections",
        "no connections arrive here: a firewall on this machine or on the path to it "
        "blocks "
        "them",
        "allow TCP port 50800 from any address in the firewall of 203.0.113.7 and of every "
        "router in front of it");
    check_words(
        &(struct setup){.local_ip = "10.0.0.5",
                        .public_ip = "10.0.0.5",
                        1,
                        {50800},
                        {BOUND},
                        {FILTERED}},
        "filtered: no incoming connections",
        "no connections arrive here: a firewall on this machine or on the path to it "
        "blocks "
        "them (10.0.0.5 is a private address)",
        "allow TCP port 50800 from any address in the firewall of 10.0.0.5 and of every "
        "router in front of it");
    check_words(
        &(struct setup){NATTED,
                        3,
                        {50800, 50801, 50802},
                        {BOUND, BOUND, ACCEPTED},
                        {FILTERED, FILTERED, MATCH}},
        "filtered: not forwarded",
        "no answer from ports 50800-50801, only from 50802: the router does not forward "
        "them",
        "in the router, forward TCP ports 50800-50801 to 192.168.1.5 (same port numbers)");
    check_words(
        &(struct setup){NATTED, 2, {50800, 50801}, {BOUND, BOUND}, {FILTERED, UNREACHABLE}},
        "filtered: not forwarded",
        "no answer from port 50800: the router does not forward it",
        "in the router, forward TCP port 50800 to 192.168.1.5 (same port number)");
    check_words(
        &(struct setup){PUBLIC, 2, {50800, 50801}, {BOUND, ACCEPTED}, {FILTERED, MATCH}},
        "filtered: blocked by a firewall",
        "no answer from port 50800, only from 50801: a firewall blocks it",
        "allow TCP port 50800 from any address in the firewall of 203.0.113.7 and of every "
        "router in front of it");
    check_words(
        &(struct setup){PUBLIC, 2, {50800, 50801}, {BOUND, BOUND}, {FILTERED, UNREACHABLE}},
        "filtered: blocked by a firewall",
        "no answer from port 50800: a firewall blocks it",
        "allow TCP port 50800 from any address in the firewall of 203.0.113.7 and of every "
        "router in front of it");
    check_words(
        &(struct setup){NATTED, 1, {50800}, {SYN_SEEN}, {FILTERED}},
        "filtered: replies are lost",
        "connections to port 50800 arrive here, but the replies do not reach the checker",
        "check the firewall rules for outgoing packets, here and in the router, and that "
        "replies leave through the interface on which the connection arrived");
    check_words(&(struct setup){NATTED, 1, {50800}, {BOUND}, {UNREACHABLE}},
                "unreachable: No route to host",
                "the network reports that port 50800 is unreachable: No route to host",
                "look for a router or firewall on the path that rejects connections, and "
                "check that "
                "203.0.113.7 is still your address");
}

/* --- the tables, row by row ----------------------------------------------------------- */

#define ROWS_MAX 8

static void every_row_of_the_table_can_be_said(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *name;
        struct advice_row rows[ROWS_MAX];
    } causes[] = {
#define CAUSE(NAME, name, ...) {#NAME, {__VA_ARGS__}},
#include "verifier/causes.def"
#undef CAUSE
    };
    /* clang-format on */
    const struct setup setup = {NATTED, 1, {7466}, {ACCEPTED}, {OTHER(9)}};
    struct report *report = report_of(&setup, NULL, 0, NULL, 0);
    const struct family_report *family = report->families[FAMILY_4];
    const struct scene scene = scene_of(report, family, &family->groups[0]);

    assert_int_equal(COUNT(causes), CAUSE_COUNT);
    for (size_t i = 0; i < COUNT(causes); i++) {
        size_t count = 0;
        bool is_last = false;
        for (const struct advice_row *row = causes[i].rows; !is_last; row++) {
            const char *all[] = {row->label, row->why, row->remedy, row->summary};
            is_last = row->when == 0; /* and such a row leaves nothing out */
            for (size_t j = 0; j < COUNT(all); j++) {
                AUTO_TEXT text = text_up_to(4096);
                if (!all[j] && is_last)
                    fail_msg("%s: the last row is not complete", causes[i].name);
                if (all[j] && !template_expand(all[j], scene_words, &scene, &text))
                    fail_msg("%s: %s", causes[i].name, all[j]);
            }
            count++;
        }
        if (count < ROWS_MAX && causes[i].rows[count].label)
            fail_msg("%s: a row follows the one without conditions", causes[i].name);
    }
    report_free(report);
}

static void every_failure_has_a_message_and_a_remedy(void **state)
{
    (void)state;
    const struct failure_facts facts = {FAMILY_6, 503, 7, "too busy"};
    for (enum failure failure = 0; failure < FAILURE_COUNT; failure++) {
        char message[FAILURE_MESSAGE_SIZE];
        failure_message(failure, &facts, message);
        assert_int_equal(message[0] == '\0', failure == FAILURE_NONE);
        assert_int_equal(failure_remedy(failure)[0] == '\0', failure == FAILURE_NONE);
        assert_int_equal(!failure_text(failure), failure == FAILURE_NONE);
    }
}

static void a_message_has_the_words_of_its_facts(void **state)
{
    (void)state;
    static const struct {
        enum failure failure;
        struct failure_facts facts;
        const char *expected;
    } rows[] = {
        {FAILURE_NO_NAME,
         {.family = FAMILY_6},
         "its host name does not exist, or has no IPv6 address"},
        {FAILURE_SERVER_ERROR, {.status = 500, .words = ""}, "status 500"},
        {FAILURE_SERVER_ERROR,
         {.status = 503, .retry_after = 7, .words = "too busy"},
         "status 503, retry after 7 s: too busy"},
        {FAILURE_MOVED,
         {.status = 301, .words = "https://a.example"},
         "status 301, a redirect: use https://a.example instead"},
        {FAILURE_TOO_LARGE, {0}, "the reply is larger than 4194304 bytes"},
        {FAILURE_INTERNAL, {.words = "{status}\033"}, "{status}?"}, /* not a placeholder */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char message[FAILURE_MESSAGE_SIZE];
        failure_message(rows[i].failure, &rows[i].facts, message);
        assert_string_equal(message, rows[i].expected);
    }
}

/* --- verdicts that this version does not know ------------------------------------------
 */

#define NEW_WORD {.is_unknown = true}

static void a_port_with_an_unknown_state_is_not_checked(void **state)
{
    (void)state;
    const struct setup setup = {NATTED,
                                3,
                                {7466, 50800, 50801},
                                {ACCEPTED, BOUND, BOUND},
                                {MATCH, NEW_WORD, CLOSED}};
    const uint16_t required[] = {7466};
    struct report *report = report_of(&setup, required, 1, NULL, 0);
    const struct family_report *family = report->families[FAMILY_4];
    assert_true(family->is_known);
    assert_int_equal(family->findings[1].cause, CAUSE_UNKNOWN);
    assert_int_equal(family->findings[1].asked, 0);
    assert_false(family->findings[1].is_good);
    assert_false(family->is_advertised[1]);
    assert_null(report_witness(family, 1));
    assert_false(report_reached(family, 0, 1));

    static const char *const expected[] = {
        [ADVICE_LABEL] = "not checked",
        [ADVICE_WHY] = "could not check port 50800: this version of port-verifier does not "
                       "know what the checker reports",
        [ADVICE_REMEDY] = "use a newer port-verifier, or another checker",
    };
    for (enum advice_part part = ADVICE_LABEL; part <= ADVICE_REMEDY; part++) {
        AUTO_TEXT text = text_up_to(4096);
        advice_put(report, family, &family->groups[1], part, &text);
        assert_string_equal(text.data, expected[part]);
    }
    report_free(report);
}

/* --- groups --------------------------------------------------------------------------- */

/* Groups in their order: "1,3|2". */
static void check_groups(const char *what, const struct setup *setup, const char *expected)
{
    struct report *report = report_of(setup, NULL, 0, NULL, 0);
    const struct family_report *family = report->families[FAMILY_4];
    struct text text;
    text_init(&text, 4096);
    size_t count = 0;
    for (size_t i = 0; i < family->group_count; i++) {
        text_append_str(&text, i > 0 ? "|" : "");
        report_format_group(family, &family->groups[i], &text);
        count += family->groups[i].count;
        assert_int_equal(family->group_of[family->groups[i].first], i);
    }
    if (strcmp(text.data, expected) != 0)
        print_error("%s\n", what);
    assert_string_equal(text.data, expected);
    assert_int_equal(count, family->port_count);
    text_done(&text);
    report_free(report);
}

static void like_ports_are_one_group(void **state)
{
    (void)state;
    static const struct {
        const char *what, *expected;
        struct setup setup;
    } rows[] = {
        {"all alike, apart",
         "1,3,5-6",
         {NATTED,
          4,
          {1, 3, 5, 6},
          {BOUND, BOUND, BOUND, BOUND},
          {FILTERED, FILTERED, FILTERED, FILTERED}}},
        {"by cause",
         "1,3|2|4",
         {NATTED,
          4,
          {1, 2, 3, 4},
          {ACCEPTED, BOUND, ACCEPTED, BOUND},
          {MATCH, CLOSED, MATCH, FILTERED}}},
        {"by binding",
         "1|2-3",
         {NATTED, 3, {1, 2, 3}, {FORBIDDEN, IN_USE, IN_USE}, {OPEN, OPEN, OPEN}}},
        {"by owner", "1|2", {NATTED, 2, {1, 2}, {IN_USE, IN_USE_LOCALLY}, {OPEN, OPEN}}},
        {"by words",
         "1,3|2",
         {NATTED,
          3,
          {1, 2, 3},
          {BOUND, BOUND, BOUND},
          {UNREACHABLE, {.state = PORT_STATE_UNREACHABLE, .words = "?"}, UNREACHABLE}}},
        {"led equally far",
         "1-3",
         {NATTED, 3, {1, 2, 3}, {BOUND, BOUND, BOUND}, {OTHER(11), OTHER(12), OTHER(13)}}},
        {"led to one place",
         "1-3",
         {NATTED, 3, {1, 2, 3}, {BOUND, BOUND, BOUND}, {OTHER(9), OTHER(9), OTHER(9)}}},
        {"led to neither",
         "1|2|3",
         {NATTED, 3, {1, 2, 3}, {BOUND, BOUND, BOUND}, {OTHER(20), OTHER(30), OTHER(40)}}},
        {"the larger group wins: one place",
         "1,3-4|2",
         {NATTED,
          4,
          {1, 2, 3, 4},
          {BOUND, BOUND, BOUND, BOUND},
          {OTHER(9), OTHER(10), OTHER(9), OTHER(9)}}},
        {"the larger group wins: equally far",
         "1-3|4",
         {NATTED,
          4,
          {1, 2, 3, 4},
          {BOUND, BOUND, BOUND, BOUND},
          {OTHER(11), OTHER(12), OTHER(13), OTHER(11)}}},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check_groups(rows[i].what, &rows[i].setup, rows[i].expected);
}

static void what_no_checker_answered_is_one_group(void **state)
{
    (void)state;
    check_groups("unknown",
                 &(struct setup){NATTED,
                                 4,
                                 {1, 2, 3, 4},
                                 {BOUND, IN_USE, FORBIDDEN, SYN_SEEN},
                                 .is_unanswered = true},
                 "1-4");
}

static void a_range_led_to_one_port_is_told_at_once(void **state)
{
    (void)state;
    check_words(
        &(struct setup){NATTED,
                        3,
                        {50800, 50801, 50802},
                        {BOUND, BOUND, BOUND},
                        {OTHER(7466), OTHER(7466), OTHER(7466)}},
        "open: leads to port 7466",
        "the router forwards ports 50800-50802 to port 7466 of this machine",
        "in the router, forward TCP ports 50800-50802 to 192.168.1.5 (same port numbers)");
}

static void check_summary(const struct setup *setup, const char *expected)
{
    struct report *report = report_of(setup, NULL, 0, NULL, 0);
    struct text text;
    text_init(&text, 4096);
    advice_put_summary(report, report->families[FAMILY_4], &text);
    assert_string_equal(text.data, expected);
    text_done(&text);
    report_free(report);
}

static void one_line_sums_all_ports_up(void **state)
{
    (void)state;
    check_summary(&(struct setup){NATTED, 1, {1}, {ACCEPTED}, {MATCH}},
                  "1 of 1 port reachable");
    check_summary(&(struct setup){NATTED, 2, {1, 2}, {ACCEPTED, BOUND}, {MATCH, OPEN}},
                  "2 of 2 ports reachable");
    check_summary(&(struct setup){NATTED,
                                  4,
                                  {1, 2, 3, 4},
                                  {ACCEPTED, BOUND, BOUND, BOUND},
                                  {MATCH, FILTERED, CLOSED, FILTERED}},
                  "1 of 4 ports reachable; 1 is refused, 2 are not forwarded");
    check_summary(
        &(struct setup){
            NATTED, 3, {1, 2, 9}, {BOUND, BOUND, ACCEPTED}, {OTHER(9), OTHER(20), MATCH}},
        "1 of 3 ports reachable; 2 are forwarded to another port");
}

/* --- what follows from it ------------------------------------------------------------- */

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
    const struct family_report *family = report->families[FAMILY_4];
    static const bool expected[] = {true, false, true, true};
    for (size_t i = 0; i < 4; i++) {
        assert_true(family->findings[i].is_good);
        assert_int_equal(family->is_advertised[i], expected[i]);
    }
    struct text text;
    text_init(&text, 100);
    report_format_advertised(family, &text);
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
        size_t required; /* of the ports, counted from the first */
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
        cmocka_unit_test(every_cause_has_its_sentence_and_its_remedy),
        cmocka_unit_test(every_row_of_the_table_can_be_said),
        cmocka_unit_test(every_failure_has_a_message_and_a_remedy),
        cmocka_unit_test(a_message_has_the_words_of_its_facts),
        cmocka_unit_test(a_port_with_an_unknown_state_is_not_checked),
        cmocka_unit_test(like_ports_are_one_group),
        cmocka_unit_test(what_no_checker_answered_is_one_group),
        cmocka_unit_test(a_range_led_to_one_port_is_told_at_once),
        cmocka_unit_test(one_line_sums_all_ports_up),
        cmocka_unit_test(what_may_be_advertised),
        cmocka_unit_test(required_ports_and_one_of_the_others),
    };
    return cmocka_run_group_tests_name("advice", tests, NULL, NULL);
}
