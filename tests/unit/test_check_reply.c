/* SPDX-License-Identifier: MIT */
#include "api/check_reply.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

static char *write_limited(const struct port_verdict *verdicts, size_t count,
                           bool has_details, bool has_proof, struct job_limit limit)
{
    struct check_summary summary = {.limit = limit};
    struct check_reply reply;
    size_t len = 0;

    for (size_t i = 0; i < count; i++)
        check_summary_add(&summary, &verdicts[i]);
    check_reply_begin(&reply, &summary, has_details, has_proof);
    for (size_t i = 0; i < count; i++)
        check_reply_add(&reply, &verdicts[i], NULL);
    char *body = check_reply_end(&reply, NULL, &len);
    assert_non_null(body);
    assert_int_equal(strlen(body), len);
    return body;
}

static char *write_proved(const struct port_verdict *verdicts, size_t count,
                          bool has_details, bool has_proof)
{
    return write_limited(verdicts, count, has_details, has_proof, (struct job_limit){0});
}

static char *write_reply(const struct port_verdict *verdicts, size_t count,
                         bool has_details)
{
    return write_proved(verdicts, count, has_details, false);
}

#define OPEN(number) {.port = (number), .state = PORT_STATE_OPEN}
#define NOT_OPEN(number, how, evidence)                                                    \
    {.port = (number), .state = PORT_STATE_##how, .errnum = (evidence)}

static void the_contract_s_example(void **state)
{
    (void)state;
    static const struct port_verdict verdicts[] = {
        OPEN(7466),
        OPEN(50800),
        NOT_OPEN(50801, CLOSED, ECONNREFUSED),
    };
    char *body = write_reply(verdicts, 3, false);
    assert_string_equal(
        body, "{\"success\": true, \"results\": "
              "{\"7466\": {\"accessible\": true, \"error\": null}, "
              "\"50800\": {\"accessible\": true, \"error\": null}, "
              "\"50801\": {\"accessible\": false, \"error\": \"Connection refused\"}}, "
              "\"message\": \"Successfully verified 2 out of 3 ports\"}");
    free(body);
}

static void no_ports_at_all(void **state)
{
    (void)state;
    char *body = write_reply(NULL, 0, true);
    assert_string_equal(body, "{\"success\": false, \"results\": {}, "
                              "\"message\": \"Successfully verified 0 out of 0 ports\"}");
    free(body);
}

static void every_way_not_to_be_open(void **state)
{
    (void)state;
    static const struct port_verdict verdicts[] = {
        NOT_OPEN(65535, FILTERED, ETIMEDOUT), NOT_OPEN(1, UNREACHABLE, EHOSTUNREACH),
        NOT_OPEN(2, UNREACHABLE, ENETUNREACH),
        NOT_OPEN(3, UNREACHABLE, EACCES), /* administratively prohibited, IPv6 */
    };
    char *body = write_reply(verdicts, 4, false);
    assert_string_equal(
        body, "{\"success\": false, \"results\": "
              "{\"65535\": {\"accessible\": false, \"error\": \"Connection timed out\"}, "
              "\"1\": {\"accessible\": false, \"error\": \"No route to host\"}, "
              "\"2\": {\"accessible\": false, \"error\": \"Network is unreachable\"}, "
              "\"3\": {\"accessible\": false, \"error\": \"No route to host\"}}, "
              "\"message\": \"Successfully verified 0 out of 4 ports\"}");
    free(body);
}

static void details_stand_beside_each_port(void **state)
{
    (void)state;
    static const struct port_verdict verdicts[] = {
        {.port = 80, .state = PORT_STATE_OPEN, .has_rtt = true, .rtt = {12345678}},
        {.port = 81,
         .state = PORT_STATE_CLOSED,
         .errnum = ECONNREFUSED,
         .has_rtt = true,
         .rtt = {41400}},
        NOT_OPEN(82, FILTERED, ETIMEDOUT),
        NOT_OPEN(83, UNREACHABLE, EHOSTUNREACH),
    };
    char *body = write_reply(verdicts, 4, true);
    assert_string_equal(
        body, "{\"success\": true, \"results\": "
              "{\"80\": {\"accessible\": true, \"error\": null, \"state\": \"open\", "
              "\"rtt_ms\": 12.346, \"icmp\": null}, "
              "\"81\": {\"accessible\": false, \"error\": \"Connection refused\", "
              "\"state\": \"closed\", \"rtt_ms\": 0.041, \"icmp\": null}, "
              "\"82\": {\"accessible\": false, \"error\": \"Connection timed out\", "
              "\"state\": \"filtered\", \"rtt_ms\": null, \"icmp\": null}, "
              "\"83\": {\"accessible\": false, \"error\": \"No route to host\", "
              "\"state\": \"unreachable\", \"rtt_ms\": null, \"icmp\": null}}, "
              "\"message\": \"Successfully verified 1 out of 4 ports\"}");
    free(body);
}

static void proofs_stand_beside_details_when_asked_for(void **state)
{
    (void)state;
    static const struct port_verdict verdicts[] = {
        {.port = 80, .state = PORT_STATE_OPEN, .proof = PROOF_MATCH},
        {.port = 81,
         .state = PORT_STATE_OPEN,
         .proof = PROOF_OTHER_PORT,
         .proof_port = 65535},
        {.port = 82, .state = PORT_STATE_OPEN, .proof = PROOF_MISMATCH, .proof_port = 7},
        {.port = 83, .state = PORT_STATE_OPEN, .proof = PROOF_SILENT},
        {.port = 84, .state = PORT_STATE_OPEN, .proof = PROOF_RESET},
        NOT_OPEN(85, FILTERED, ETIMEDOUT),
    };
#define OPEN_TEXT                                                                          \
    "{\"accessible\": true, \"error\": null, \"state\": \"open\", \"rtt_ms\": null, "      \
    "\"icmp\": null"
    char *body = write_proved(verdicts, 6, true, true);
    assert_string_equal(
        body,
        "{\"success\": true, \"results\": "
        "{\"80\": " OPEN_TEXT ", \"proof\": \"match\"}, "
        "\"81\": " OPEN_TEXT ", \"proof\": \"other_port\", \"proof_port\": 65535}, "
        "\"82\": " OPEN_TEXT ", \"proof\": \"mismatch\"}, "
        "\"83\": " OPEN_TEXT ", \"proof\": \"silent\"}, "
        "\"84\": " OPEN_TEXT ", \"proof\": \"reset\"}, "
        "\"85\": {\"accessible\": false, \"error\": \"Connection timed out\", "
        "\"state\": \"filtered\", \"rtt_ms\": null, \"icmp\": null, \"proof\": null}}, "
        "\"message\": \"Successfully verified 5 out of 6 ports\"}");
    free(body);

    body = write_proved(verdicts, 6, true, false);
    assert_null(strstr(body, "proof"));
    free(body);
}

#define ICMP(...) {.is_there = true, __VA_ARGS__}

static void an_icmp_error_says_what_it_means_and_who_sent_it(void **state)
{
    (void)state;
    static const struct {
        struct port_verdict verdict;
        const char *wanted;
    } rows[] = {
        {{.state = PORT_STATE_UNREACHABLE,
          .errnum = EHOSTUNREACH,
          .icmp = ICMP(.type = 3, .code = 13, .is_from_target = true)},
         "{\"type\": 3, \"code\": 13, \"meaning\": "
         "\"communication administratively prohibited\", \"from\": \"target\"}"},
        {{.state = PORT_STATE_UNREACHABLE,
          .errnum = ENETUNREACH,
          .icmp = ICMP(.type = 3, .code = 0)},
         "{\"type\": 3, \"code\": 0, \"meaning\": \"network unreachable\", "
         "\"from\": \"path\"}"},
        {{.state = PORT_STATE_UNREACHABLE,
          .errnum = EACCES,
          .icmp = ICMP(.type = 1, .code = 5, .is_ipv6 = true)},
         "{\"type\": 1, \"code\": 5, \"meaning\": "
         "\"source address failed the policy\", \"from\": \"path\"}"},
        {{.state = PORT_STATE_CLOSED,
          .errnum = ECONNREFUSED,
          .icmp = ICMP(.type = 3, .code = 3)},
         "{\"type\": 3, \"code\": 3, \"meaning\": \"port unreachable\", "
         "\"from\": \"path\"}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char line[CHECK_LINE_SIZE + 1], wanted[CHECK_LINE_SIZE];
        snprintf(wanted, sizeof wanted, "\"rtt_ms\": null, \"icmp\": %s}\n",
                 rows[i].wanted);
        line[check_line_port(&rows[i].verdict, true, false, line)] = '\0';
        assert_non_null(strstr(line, wanted));
        line[check_line_port(&rows[i].verdict, false, false, line)] = '\0';
        assert_null(strstr(line, "icmp"));
    }
}

static void a_limit_stands_beside_the_ports_that_have_it(void **state)
{
    (void)state;
    static const struct port_verdict verdicts[] = {
        OPEN(80),
        NOT_OPEN(81, LIMITED, ETIMEDOUT),
        NOT_OPEN(82, LIMITED, ECONNREFUSED),
    };
    static const struct {
        struct job_limit limit;
        size_t ports;
        bool has_details;
        const char *wanted; /* in the JSON, and in the last line of a stream */
    } rows[] = {
        {{true, 20, 9.44},
         3,
         true,
         "3 ports\", \"limit\": {\"answered\": 20, \"rate\": 9.4}}"},
        {{true, 0, 0}, 3, true, "3 ports\", \"limit\": {\"answered\": 0, \"rate\": 0.0}}"},
        {{true, 65534, 99999},
         3,
         true,
         "3 ports\", \"limit\": {\"answered\": 65534, \"rate\": 99999.0}}"},
        {{true, 20, 9.44}, 3, false, "3 ports\"}"}, /* as before there were limits */
        {{true, 20, 9.44}, 1, true, "1 ports\"}"},  /* all ports have their verdict */
        {{0}, 3, true, "3 ports\"}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char wanted[CHECK_LINE_SIZE];
        struct check_summary summary = {.limit = rows[i].limit};
        for (size_t j = 0; j < rows[i].ports; j++)
            check_summary_add(&summary, &verdicts[j]);
        size_t len = 0;
        char *line = check_line_last(&summary, rows[i].has_details, NULL, &len);
        snprintf(wanted, sizeof wanted,
                 "{\"success\": true, \"message\": \"Successfully verified 1 out of %s\n",
                 rows[i].wanted);
        assert_string_equal(line, wanted);
        assert_int_equal(len, strlen(wanted));
        free(line);

        char *body = write_limited(verdicts, rows[i].ports, rows[i].has_details, false,
                                   rows[i].limit);
        len = strlen(body) - strlen(rows[i].wanted);
        assert_string_equal(body + len, rows[i].wanted);
        free(body);
    }

    char *body = write_limited(verdicts, 3, true, false, rows[0].limit);
    assert_non_null(strstr(body, "\"81\": {\"accessible\": false, "
                                 "\"error\": \"Connection timed out\", "
                                 "\"state\": \"limited\", "));
    assert_non_null(strstr(body, "\"82\": {\"accessible\": false, "
                                 "\"error\": \"Connection refused\", "
                                 "\"state\": \"limited\", "));
    free(body);
}

static void a_receipt_is_the_last_member(void **state)
{
    (void)state;
    const struct port_verdict verdict = OPEN(80);
    struct check_summary summary = {0};
    struct check_reply reply;
    char receipt[5000]; /* longer than any other member */
    size_t len = 0;
    memset(receipt, 'A', sizeof receipt - 1);
    receipt[sizeof receipt - 1] = '\0';

    check_summary_add(&summary, &verdict);
    check_reply_begin(&reply, &summary, false, false);
    check_reply_add(&reply, &verdict, NULL);
    char *texts[] = {check_reply_end(&reply, receipt, &len),
                     check_line_last(&summary, true, receipt, &len)};
    for (size_t i = 0; i < 2; i++) {
        assert_non_null(texts[i]);
        const char *end = strstr(texts[i], "1 ports\", \"receipt\": \"AAAA");
        assert_non_null(end);
        assert_string_equal(end + strlen("1 ports\", \"receipt\": \"") + strlen(receipt),
                            i == 0 ? "\"}" : "\"}\n");
        free(texts[i]);
    }
}

static void lines_of_a_stream_say_the_same(void **state)
{
    (void)state;
    const struct port_verdict verdict = {
        .port = 81, .state = PORT_STATE_OPEN, .proof = PROOF_OTHER_PORT, .proof_port = 90};
    char line[CHECK_LINE_SIZE];
    size_t len = check_line_port(&verdict, true, true, line);
    static const char wanted[] =
        "{\"port\": 81, \"accessible\": true, \"error\": null, \"state\": \"open\", "
        "\"rtt_ms\": null, \"icmp\": null, \"proof\": \"other_port\", "
        "\"proof_port\": 90}\n";
    assert_int_equal(len, sizeof wanted - 1);
    assert_memory_equal(line, wanted, len);

    len = check_line_port(&verdict, false, false, line);
    static const char plain[] = "{\"port\": 81, \"accessible\": true, \"error\": null}\n";
    assert_int_equal(len, sizeof plain - 1);
    assert_memory_equal(line, plain, len);
}

static void plain_lines_name_port_state_and_error(void **state)
{
    (void)state;
    static const struct {
        struct port_verdict verdict;
        const char *wanted;
    } rows[] = {
        {{.port = 7466, .state = PORT_STATE_OPEN}, "7466 open\n"},
        {{.port = 1, .state = PORT_STATE_CLOSED, .errnum = ECONNREFUSED},
         "1 closed: Connection refused\n"},
        {{.port = 65535, .state = PORT_STATE_FILTERED, .errnum = ETIMEDOUT},
         "65535 filtered: Connection timed out\n"},
        {{.port = 80, .state = PORT_STATE_UNREACHABLE, .errnum = EHOSTUNREACH},
         "80 unreachable: No route to host\n"},
        {{.port = 80, .state = PORT_STATE_LIMITED, .errnum = ETIMEDOUT},
         "80 limited: Connection timed out\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char line[CHECK_LINE_SIZE];
        size_t len = check_line_plain(&rows[i].verdict, line);
        assert_int_equal(len, strlen(rows[i].wanted));
        assert_memory_equal(line, rows[i].wanted, len);
    }
}

static void times_are_rounded_to_microseconds(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *wanted;
    } rows[] = {
        {0, "0.000"},
        {499, "0.000"},
        {500, "0.001"},
        {999499, "0.999"},
        {999500, "1.000"},
        {1000000, "1.000"},
        {-5, "0.000"},
        {20000 * 1000000ll, "20000.000"},
        {INT64_MAX, "9223372036854.776"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char wanted[64];
        struct port_verdict verdict = {
            .port = 1, .state = PORT_STATE_OPEN, .has_rtt = true, .rtt = {rows[i].ns}};
        char *body = write_reply(&verdict, 1, true);
        snprintf(wanted, sizeof wanted, "\"rtt_ms\": %s, ", rows[i].wanted);
        assert_non_null(strstr(body, wanted));
        free(body);
    }
}

/* The writer does not escape and reserves a fixed size per port, so every text must fit. */
static void every_error_text_fits(void **state)
{
    (void)state;
    static const int errnums[] = {
#define X(ERRNO, text) ERRNO,
        VERDICT_ERROR_MAP(X)
#undef X
    };
    for (size_t i = 0; i < sizeof errnums / sizeof errnums[0]; i++) {
        struct port_verdict verdict = {
            .port = 65535,
            .state = PORT_STATE_UNREACHABLE,
            .errnum = errnums[i],
            .has_rtt = true,
            .rtt = {INT64_MAX},
            .proof = PROOF_OTHER_PORT,
            .proof_port = 65535,
            .icmp = {.is_there = true, .type = 255, .code = 255, .is_from_target = true},
        };
        char *body = write_proved(&verdict, 1, true, true);
        json_t *root = json_loads(body, 0, NULL);
        assert_non_null(root);
        json_t *port = json_object_get(json_object_get(root, "results"), "65535");
        assert_string_equal(json_string_value(json_object_get(port, "error")),
                            port_verdict_error(&verdict));
        json_decref(root);
        free(body);
    }
}

static void every_meaning_of_an_icmp_error_fits(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2 * 65536; i++) {
        struct port_verdict verdict = {
            .port = 65535,
            .state = PORT_STATE_UNREACHABLE,
            .errnum = ENONET, /* the longest */
            .icmp = {.is_there = true,
                     .is_ipv6 = i >= 65536,
                     .type = (uint8_t)(i >> 8),
                     .code = (uint8_t)i},
            .has_rtt = true,
            .rtt = {INT64_MAX},
            .proof = PROOF_OTHER_PORT,
            .proof_port = 65535,
        };
        char line[CHECK_LINE_SIZE];
        assert_in_range(check_line_port(&verdict, true, true, line), 1, sizeof line);
    }
}

/* jansson is the oracle: it must read the text and write the same. */
static void the_text_is_what_jansson_would_write(void **state)
{
    (void)state;
    enum { COUNT = 65535 };
    struct port_verdict *verdicts = calloc(COUNT, sizeof *verdicts);
    assert_non_null(verdicts);
    for (size_t i = 0; i < COUNT; i++) {
        static const int errnums[] = {0, ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ETIMEDOUT};
        verdicts[i] = (struct port_verdict){
            .port = (uint16_t)(COUNT - i),
            .state = (enum port_state)(i % PORT_STATE_COUNT),
            .errnum = errnums[i % PORT_STATE_COUNT],
        };
    }
    char *body = write_reply(verdicts, COUNT, false);
    json_t *root = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    assert_int_equal(json_object_size(json_object_get(root, "results")), COUNT);
    char *again = json_dumps(root, 0);
    assert_string_equal(body, again);
    json_decref(root);
    free(again);
    free(body);
    free(verdicts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contract_s_example),
        cmocka_unit_test(no_ports_at_all),
        cmocka_unit_test(every_way_not_to_be_open),
        cmocka_unit_test(details_stand_beside_each_port),
        cmocka_unit_test(proofs_stand_beside_details_when_asked_for),
        cmocka_unit_test(an_icmp_error_says_what_it_means_and_who_sent_it),
        cmocka_unit_test(a_limit_stands_beside_the_ports_that_have_it),
        cmocka_unit_test(a_receipt_is_the_last_member),
        cmocka_unit_test(lines_of_a_stream_say_the_same),
        cmocka_unit_test(plain_lines_name_port_state_and_error),
        cmocka_unit_test(times_are_rounded_to_microseconds),
        cmocka_unit_test(every_error_text_fits),
        cmocka_unit_test(every_meaning_of_an_icmp_error_fits),
        cmocka_unit_test(the_text_is_what_jansson_would_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
