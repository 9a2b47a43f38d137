/* SPDX-License-Identifier: MIT
 *
 * What a front asks the vantage points.
 */
#include "addresses.h"
#include "net/port_set.h"
#include "vantage/job.h"

#include <stdio.h>
#include <stdlib.h>

#define ID      "0123456789abcdef0123456789abcdef"
#define TOKEN   "00112233445566778899aabbccddeeff"
#define CEILING 8 /* of ports */

static struct port_set ports;

static int make_ports(void **state)
{
    (void)state;
    return port_set_init(&ports, CEILING, NULL) ? 0 : -1;
}

static int end_ports(void **state)
{
    (void)state;
    port_set_done(&ports);
    return 0;
}

static struct vantage_job job_of(const uint16_t *list, size_t count)
{
    struct vantage_job job = {
        .id = ID,
        .exp_ms = 1764170000000,
        .budget_ms = 24000,
        .caller = address_of("203.0.113.7"),
        .target = address_of("2001:db8::7"),
        .ports = list,
        .port_count = count,
    };
    return job;
}

static void a_job_is_written_in_one_form(void **state)
{
    (void)state;
    static const uint16_t list[] = {7466, 50800, 50801, 50802, 9, 8};
    struct vantage_job job = job_of(list, 6);
    size_t len;
    job.has_token = proof_token_parse(TOKEN, strlen(TOKEN), &job.token);
    char *text = vantage_job_write(&job, &len);
    assert_string_equal(text,
                        "{\"v\":1,\"id\":\"" ID "\","
                        "\"exp\":1764170000000,\"budget_ms\":24000,"
                        "\"caller\":\"203.0.113.7\",\"target\":\"2001:db8::7\","
                        "\"ports\":\"7466,50800-50802,9,8\",\"token\":\"" TOKEN "\"}");
    assert_int_equal(len, strlen(text));
    free(text);
}

static void a_job_is_read_as_it_was_written(void **state)
{
    (void)state;
    static const uint16_t list[] = {65535, 1, 2, 4, 3};
    struct vantage_job job = job_of(list, 5), read;
    size_t len;
    char *text = vantage_job_write(&job, &len);
    assert_int_equal(vantage_job_parse(text, len, &ports, &read), REFUSAL_NONE);
    assert_string_equal(read.id, job.id);
    assert_true(read.exp_ms == job.exp_ms && read.budget_ms == job.budget_ms);
    assert_true(address_equals(&read.caller, &job.caller));
    assert_true(address_equals(&read.target, &job.target));
    assert_false(read.has_token);
    assert_int_equal(read.port_count, 5);
    assert_memory_equal(read.ports, list, sizeof list);
    free(text);
}

/* Every second port of the longest job there is. */
static void the_longest_job_fits(void **state)
{
    (void)state;
    uint16_t list[VANTAGE_PORTS_MAX];
    for (size_t i = 0; i < VANTAGE_PORTS_MAX; i++)
        list[i] = (uint16_t)(65535 - 2 * i);
    struct vantage_job job = job_of(list, VANTAGE_PORTS_MAX), read;
    struct port_set many;
    size_t len;
    job.has_token = proof_token_parse(TOKEN, strlen(TOKEN), &job.token);
    char *text = vantage_job_write(&job, &len);
    assert_non_null(text);
    assert_true(port_set_init(&many, VANTAGE_PORTS_MAX, NULL));
    assert_int_equal(vantage_job_parse(text, len, &many, &read), REFUSAL_NONE);
    assert_int_equal(read.port_count, VANTAGE_PORTS_MAX);
    port_set_done(&many);
    free(text);
}

#define V        "\"v\": 1"
#define I        ", \"id\": \"" ID "\""
#define E        ", \"exp\": 1764170000000"
#define B        ", \"budget_ms\": 1000"
#define C        ", \"caller\": \"203.0.113.7\""
#define T        ", \"target\": \"203.0.113.8\""
#define N        ", \"ports\": \"1\""
#define REST     I E B C T
#define JOB(...) "{" __VA_ARGS__ "}"

static const struct {
    const char *text;
    enum vantage_refusal refusal;
} rows[] = {
    {JOB(V REST N), REFUSAL_NONE},
    {JOB(V REST ", \"ports\": \"1-8\""), REFUSAL_NONE},
    {JOB(V REST N ", \"token\": \"" TOKEN "\""), REFUSAL_NONE},
    {"", REFUSAL_FORM},
    {"null", REFUSAL_FORM},
    {"[]", REFUSAL_FORM},
    {JOB(""), REFUSAL_FORM},
    {JOB(V REST N) " x", REFUSAL_FORM},
    /* versions */
    {JOB("\"v\": 2"), REFUSAL_VERSION},
    {JOB("\"v\": 2, \"new\": true" REST N), REFUSAL_VERSION},
    {JOB("\"v\": \"1\"" REST N), REFUSAL_FORM},
    {JOB("\"v\": 1.0" REST N), REFUSAL_FORM},
    /* members that are missing, unknown, there twice */
    {JOB(V E B C T N), REFUSAL_FORM},
    {JOB(V I B C T N), REFUSAL_FORM},
    {JOB(V I E C T N), REFUSAL_FORM},
    {JOB(V I E B T N), REFUSAL_FORM},
    {JOB(V I E B C N), REFUSAL_FORM},
    {JOB(V REST), REFUSAL_FORM},
    {JOB(V REST N ", \"new\": 1"), REFUSAL_FORM},
    {JOB(V REST N N), REFUSAL_FORM},
    /* values */
    {JOB(V ", \"id\": \"0123456789ABCDEF0123456789ABCDEF\"" E B C T N), REFUSAL_FORM},
    {JOB(V ", \"id\": \"0123\"" E B C T N), REFUSAL_FORM},
    {JOB(V I ", \"exp\": -1" B C T N), REFUSAL_FORM},
    {JOB(V I ", \"exp\": 9223372036854775807" B C T N), REFUSAL_FORM},
    {JOB(V I E ", \"budget_ms\": 0" C T N), REFUSAL_FORM},
    {JOB(V I E ", \"budget_ms\": 25001" C T N), REFUSAL_FORM},
    {JOB(V I E B ", \"caller\": \"localhost\"" T N), REFUSAL_FORM},
    {JOB(V I E B C ", \"target\": \"fe80::1%eth0\"" N), REFUSAL_FORM},
    {JOB(V REST N ", \"token\": null"), REFUSAL_FORM},
    {JOB(V REST N ", \"token\": \"short\""), REFUSAL_FORM},
    /* ports */
    {JOB(V REST ", \"ports\": \"\""), REFUSAL_FORM},
    {JOB(V REST ", \"ports\": \"0\""), REFUSAL_FORM},
    {JOB(V REST ", \"ports\": \"65536\""), REFUSAL_FORM},
    {JOB(V REST ", \"ports\": \"1,\""), REFUSAL_FORM},
    {JOB(V REST ", \"ports\": \"1, 2\""), REFUSAL_FORM},
    {JOB(V REST ", \"ports\": \"2-1\""), REFUSAL_FORM},
    {JOB(V REST ", \"ports\": \"1,1\""), REFUSAL_FORM},
    {JOB(V REST ", \"ports\": \"1-3,3-4\""), REFUSAL_FORM},
    {JOB(V REST ", \"ports\": [1]"), REFUSAL_FORM},
    {JOB(V REST ", \"ports\": \"1\\u0000\""), REFUSAL_FORM},
    {JOB(V REST ", \"ports\": \"1-9\""), REFUSAL_PORTS},
    {JOB(V REST ", \"ports\": \"1-65535\""), REFUSAL_PORTS},
};

static void only_jobs_are_jobs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vantage_job job;
        enum vantage_refusal refusal =
            vantage_job_parse(rows[i].text, strlen(rows[i].text), &ports, &job);
        if (refusal != rows[i].refusal)
            fail_msg("%s: %s", rows[i].text,
                     refusal ? vantage_refusal_text(refusal) : "accepted");
    }
}

/* No prefix of a job is one. */
static void half_a_job_is_none(void **state)
{
    (void)state;
    static const char text[] = JOB(V REST N);
    struct vantage_job job;
    for (size_t len = 0; len < sizeof text - 1; len++)
        assert_int_equal(vantage_job_parse(text, len, &ports, &job), REFUSAL_FORM);
}

static void a_job_that_is_too_long_is_not_read(void **state)
{
    (void)state;
    static const char text[] = JOB(V REST N);
    static char padded[VANTAGE_JOB_SIZE_MAX + 1];
    struct vantage_job job;
    memset(padded, ' ', sizeof padded);
    memcpy(padded, text, sizeof text - 1);
    assert_int_equal(vantage_job_parse(padded, VANTAGE_JOB_SIZE_MAX, &ports, &job),
                     REFUSAL_NONE);
    assert_int_equal(vantage_job_parse(padded, sizeof padded, &ports, &job), REFUSAL_FORM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_written_in_one_form),
        cmocka_unit_test(a_job_is_read_as_it_was_written),
        cmocka_unit_test(the_longest_job_fits),
        cmocka_unit_test(only_jobs_are_jobs),
        cmocka_unit_test(half_a_job_is_none),
        cmocka_unit_test(a_job_that_is_too_long_is_not_read),
    };
    return cmocka_run_group_tests(tests, make_ports, end_ports);
}
