/* SPDX-License-Identifier: MIT
 *
 * What a place answers to a job.
 */
#include "vantage/answer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

static const uint16_t two_ports[] = {7466, 50800};
static const uint16_t one_port[] = {1};

static struct vantage_job job_of(const uint16_t *ports, size_t count, bool has_token)
{
    return (struct vantage_job){
        .ports = ports, .port_count = count, .has_token = has_token};
}

static void an_answer_is_read_as_it_was_written(void **state)
{
    (void)state;
    static const struct port_verdict verdicts[] = {
        {.port = 7466,
         .state = PORT_STATE_OPEN,
         .has_rtt = true,
         .rtt = {1234567},
         .proof = PROOF_OTHER_PORT,
         .proof_port = 7467},
        {.port = 50800, .state = PORT_STATE_CLOSED, .errnum = ECONNREFUSED},
    };
    struct vantage_job job = job_of(two_ports, 2, true);
    struct vantage_answer answer;
    struct text text;
    size_t len;
    vantage_answer_begin(&text, "eu-1", 2);
    vantage_answer_add(&text, &verdicts[0]);
    vantage_answer_add(&text, &verdicts[1]);
    char *json = vantage_answer_end(&text, &len);
    assert_string_equal(json, "{\"v\":1,\"place\":\"eu-1\",\"ports\":["
                              "{\"port\":7466,\"state\":\"open\",\"rtt_us\":1234,"
                              "\"proof\":\"other_port\",\"proof_port\":7467},"
                              "{\"port\":50800,\"state\":\"closed\","
                              "\"error\":\"Connection refused\"}]}");
    assert_true(vantage_answer_parse(json, len, &job, &answer));
    assert_string_equal(answer.place, "eu-1");
    assert_int_equal(answer.refusal, REFUSAL_NONE);
    assert_int_equal(answer.verdicts[0].state, PORT_STATE_OPEN);
    assert_true(answer.verdicts[0].has_rtt && answer.verdicts[0].rtt.ns == 1234000);
    assert_int_equal(answer.verdicts[0].proof, PROOF_OTHER_PORT);
    assert_int_equal(answer.verdicts[0].proof_port, 7467);
    assert_int_equal(answer.verdicts[1].errnum, ECONNREFUSED);
    assert_false(answer.verdicts[1].has_rtt);
    vantage_answer_done(&answer);
    free(json);
}

static void every_refusal_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct vantage_job job = job_of(two_ports, 2, false);
    for (size_t i = REFUSAL_NONE + 1; i < REFUSAL_COUNT; i++) {
        struct vantage_answer answer;
        size_t len;
        char *json = vantage_answer_refuse("us-1", (enum vantage_refusal)i, &len);
        assert_true(vantage_answer_parse(json, len, &job, &answer));
        assert_int_equal(answer.refusal, i);
        assert_string_equal(answer.place, "us-1");
        assert_null(answer.verdicts);
        free(json);
    }
}

/* The state that takes the most bytes, for every port. */
static void the_longest_answer_fits(void **state)
{
    (void)state;
    uint16_t ports[VANTAGE_PORTS_MAX];
    char place[PLACE_NAME_SIZE] = "";
    struct vantage_job job = job_of(ports, VANTAGE_PORTS_MAX, false);
    struct vantage_answer answer;
    struct text text;
    size_t len;
    memset(place, 'z', PLACE_NAME_MAX);
    vantage_answer_begin(&text, place, VANTAGE_PORTS_MAX);
    for (size_t i = 0; i < VANTAGE_PORTS_MAX; i++) {
        ports[i] = (uint16_t)(65535 - i);
        vantage_answer_add(&text, &(struct port_verdict){.port = ports[i],
                                                         .state = PORT_STATE_UNREACHABLE,
                                                         .errnum = ENONET,
                                                         .has_rtt = true,
                                                         .rtt = {INT64_MAX}});
    }
    char *json = vantage_answer_end(&text, &len);
    assert_non_null(json);
    assert_true(vantage_answer_parse(json, len, &job, &answer));
    vantage_answer_done(&answer);
    free(json);
}

#define HEAD     "{\"v\": 1, \"place\": \"eu-1\", "
#define PORTS(x) HEAD "\"ports\": [" x "]}"
#define OPEN     "{\"port\": 1, \"state\": \"open\"}"
#define OF(x)    PORTS("{\"port\": 1, \"state\": " x "}")

static const struct {
    const char *text;
    bool has_token, is_sound;
} rows[] = {
    {PORTS(OPEN), false, true},
    {OF("\"open\", \"rtt_us\": 0"), false, true},
    {OF("\"open\", \"proof\": \"match\""), true, true},
    {OF("\"limited\", \"error\": \"Connection timed out\""), false, true},
    {OF("\"closed\", \"error\": \"Connection refused\", \"rtt_us\": 12"), true, true},
    {HEAD "\"refused\": \"target\"}", false, true},
    {"", false, false},
    {"{}", false, false},
    {"[" PORTS(OPEN) "]", false, false},
    {HEAD "\"ports\": []}", false, false},
    {HEAD "\"ports\": null}", false, false},
    {HEAD "\"refused\": \"target\", \"ports\": [" OPEN "]}", false, false},
    {HEAD "\"refused\": \"because\"}", false, false},
    {HEAD "\"refused\": null}", false, false},
    {HEAD "\"ports\": [" OPEN "], \"new\": 1}", false, false},
    {"{\"v\": 2, \"place\": \"eu-1\", \"ports\": [" OPEN "]}", false, false},
    {"{\"v\": 1, \"place\": \"EU 1\", \"ports\": [" OPEN "]}", false, false},
    {"{\"v\": 1, \"ports\": [" OPEN "]}", false, false},
    {PORTS(OPEN ", " OPEN), false, false},
    {PORTS("{\"port\": 2, \"state\": \"open\"}"), false, false},
    {PORTS("1"), false, false},
    {OF("\"ajar\""), false, false},
    {OF("null"), false, false},
    {OF("\"open\", \"error\": null"), false, false},
    {OF("\"open\", \"error\": \"Connection refused\""), false, false},
    {OF("\"closed\""), false, false},
    {OF("\"closed\", \"error\": \"<script>\""), false, false},
    {OF("\"closed\", \"error\": null"), false, false},
    {OF("\"open\", \"rtt_us\": -1"), false, false},
    {OF("\"open\", \"rtt_us\": 1.5"), false, false},
    {OF("\"open\", \"rtt_us\": 120000001"), false, false},
    {OF("\"open\", \"new\": 1"), false, false},
    {OF("\"open\", \"proof\": \"match\""), false, false},
    {OF("\"open\", \"proof\": \"perhaps\""), true, false},
    {OF("\"open\", \"proof\": null"), true, false},
    {OF("\"open\", \"proof\": \"other_port\""), true, false},
    {OF("\"open\", \"proof\": \"other_port\", \"proof_port\": 0"), true, false},
    {OF("\"open\", \"proof\": \"match\", \"proof_port\": 2"), true, false},
    {OF("\"closed\", \"error\": \"Connection refused\", \"proof\": \"match\""), true,
     false},
};

static void only_answers_to_this_job_are_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vantage_job job = job_of(one_port, 1, rows[i].has_token);
        struct vantage_answer answer;
        bool is_sound =
            vantage_answer_parse(rows[i].text, strlen(rows[i].text), &job, &answer);
        if (is_sound != rows[i].is_sound)
            fail_msg("%s: %s", rows[i].text, is_sound ? "accepted" : "refused");
        if (is_sound)
            vantage_answer_done(&answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_read_as_it_was_written),
        cmocka_unit_test(every_refusal_is_read_as_it_was_written),
        cmocka_unit_test(the_longest_answer_fits),
        cmocka_unit_test(only_answers_to_this_job_are_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
