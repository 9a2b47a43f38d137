/* SPDX-License-Identifier: MIT */
#include "metrics/metrics.h"

#include "base/clock.h"
#include "base/text.h"
#include "metrics/observer.h"
#include "probe/verdict.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>

#include <cmocka.h>

static const struct metrics_facts facts = {
    .version = "1.2.3",
    .budget_entries = 7,
    .probes_in_flight = 11,
    .probes_max = 4096,
};

/* The text of one block or two; the caller frees it. */
static char *render(struct metrics *first, struct metrics *second)
{
    struct metrics *const blocks[] = {first, second};
    struct text text;
    size_t len;
    text_init(&text, METRICS_TEXT_MAX);
    metrics_render(blocks, second ? 2 : 1, &facts, &text);
    char *data = text_take(&text, &len);
    assert_non_null(data);
    return data;
}

static struct metrics *new_block(void)
{
    struct metrics *metrics = NULL;
    assert_true(metrics_new(&metrics, NULL));
    return metrics;
}

/* Whole lines only: "x 1" must not match "x 10". */
static void assert_line(const char *text, const char *line)
{
    char wanted[256];
    snprintf(wanted, sizeof wanted, "\n%s\n", line);
    if (!strstr(text, wanted))
        fail_msg("no line \"%s\" in:\n%s", line, text);
}

static void a_new_block_shows_every_plain_series_as_zero(void **state)
{
    (void)state;
    struct metrics *metrics = new_block();
    char *text = render(metrics, NULL);

    assert_line(text, "port_checker_build_info{version=\"1.2.3\"} 1");
    assert_line(text, "port_checker_workers 1");
    assert_line(text, "port_checker_verdicts_total{state=\"open\"} 0");
    assert_line(text, "port_checker_refusals_total{reason=\"draining\"} 0");
    assert_line(text, "port_checker_local_faults_total{errno=\"EMFILE\"} 0");
    assert_line(text, "port_checker_local_faults_total{errno=\"other\"} 0");
    assert_line(text, "port_checker_verdict_seconds_bucket{le=\"+Inf\"} 0");
    assert_line(text, "port_checker_verdict_seconds_sum 0.000000000");
    assert_line(text, "port_checker_probes_in_flight 11");
    assert_line(text, "port_checker_probes_max 4096");
    assert_line(text, "port_checker_budget_entries 7");
    free(text);
    metrics_free(metrics);
}

static void blocks_are_added_up(void **state)
{
    (void)state;
    struct metrics *a = new_block(), *b = new_block();
    metrics_add(a, METRIC_CONNECTIONS_ACCEPTED, 5);
    metrics_add(b, METRIC_CONNECTIONS_ACCEPTED, 7);
    metrics_add(a, METRIC_CONNECTIONS_OPEN, 3);
    metrics_add(b, METRIC_CONNECTIONS_OPEN, 1);
    metrics_add(b, METRIC_CONNECTIONS_OPEN, -1);
    metrics_count_request(a, METRIC_ROUTE_CHECK_PORTS, 200);
    metrics_count_request(b, METRIC_ROUTE_CHECK_PORTS, 200);
    metrics_count_request(b, METRIC_ROUTE_OTHER, 404);
    char *text = render(a, b);

    assert_line(text, "port_checker_workers 2");
    assert_line(text, "port_checker_http_connections_accepted_total 12");
    assert_line(text, "port_checker_http_connections_open 3");
    assert_line(
        text, "port_checker_http_requests_total{route=\"/check-ports\",status=\"200\"} 2");
    assert_line(text, "port_checker_http_requests_total{route=\"other\",status=\"404\"} 1");
    free(text);
    metrics_free(a);
    metrics_free(b);
}

static void statuses_at_the_edges(void **state)
{
    (void)state;
    struct metrics *metrics = new_block();
    const unsigned statuses[] = {100, 599, 99, 600, 0, UINT32_MAX};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        metrics_count_request(metrics, METRIC_ROUTE_IP, statuses[i]);
    char *text = render(metrics, NULL);

    assert_line(text, "port_checker_http_requests_total{route=\"/ip\",status=\"100\"} 1");
    assert_line(text, "port_checker_http_requests_total{route=\"/ip\",status=\"599\"} 1");
    assert_line(text, "port_checker_http_requests_total{route=\"/ip\",status=\"500\"} 4");
    free(text);
    metrics_free(metrics);
}

static void verdicts_go_to_their_state_and_bucket(void **state)
{
    (void)state;
    static const struct {
        enum port_state state;
        int64_t ns;
    } verdicts[] = {
        {PORT_STATE_OPEN, 0},
        {PORT_STATE_OPEN, NS_PER_MS},     /* a bucket includes its upper bound */
        {PORT_STATE_OPEN, NS_PER_MS + 1}, /* but nothing above it */
        {PORT_STATE_FILTERED, 1300 * NS_PER_MS},
        {PORT_STATE_FILTERED, 1500 * NS_PER_MS},
        {PORT_STATE_CLOSED, 2 * NS_PER_SECOND},
        {PORT_STATE_FILTERED, 20 * NS_PER_SECOND},
        {PORT_STATE_FILTERED, 24 * NS_PER_SECOND},
        {PORT_STATE_UNREACHABLE, -5}, /* counted as 0, so that _sum never falls */
    };
    struct metrics *metrics = new_block();
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        metrics_observe_verdict(metrics, &(struct port_verdict){
                                             .state = verdicts[i].state,
                                             .duration = {verdicts[i].ns},
                                         });
    }
    char *text = render(metrics, NULL);

    assert_line(text, "port_checker_verdicts_total{state=\"open\"} 3");
    assert_line(text, "port_checker_verdicts_total{state=\"closed\"} 1");
    assert_line(text, "port_checker_verdicts_total{state=\"filtered\"} 4");
    assert_line(text, "port_checker_verdicts_total{state=\"unreachable\"} 1");
    assert_line(text, "port_checker_verdict_seconds_bucket{le=\"0.001\"} 3");
    assert_line(text, "port_checker_verdict_seconds_bucket{le=\"0.0025\"} 4");
    assert_line(text, "port_checker_verdict_seconds_bucket{le=\"1\"} 4");
    assert_line(text, "port_checker_verdict_seconds_bucket{le=\"1.3\"} 5");
    assert_line(text, "port_checker_verdict_seconds_bucket{le=\"1.5\"} 6");
    assert_line(text, "port_checker_verdict_seconds_bucket{le=\"2\"} 7");
    assert_line(text, "port_checker_verdict_seconds_bucket{le=\"2.5\"} 7");
    assert_line(text, "port_checker_verdict_seconds_bucket{le=\"20\"} 8");
    assert_line(text, "port_checker_verdict_seconds_bucket{le=\"+Inf\"} 9");
    assert_line(text, "port_checker_verdict_seconds_sum 48.802000001");
    assert_line(text, "port_checker_verdict_seconds_count 9");
    free(text);
    metrics_free(metrics);
}

static void faults_are_named_by_their_errno(void **state)
{
    (void)state;
    struct metrics *metrics = new_block();
    metrics_count_local_fault(metrics, EMFILE);
    metrics_count_local_fault(metrics, EADDRNOTAVAIL);
    metrics_count_local_fault(metrics, EADDRNOTAVAIL);
    metrics_count_local_fault(metrics, EXDEV);
    metrics_count_local_fault(metrics, 0);
    metrics_count_local_fault(metrics, -1);
    metrics_count_local_fault(metrics, 100000);
    char *text = render(metrics, NULL);

    assert_line(text, "port_checker_local_faults_total{errno=\"EMFILE\"} 1");
    assert_line(text, "port_checker_local_faults_total{errno=\"EADDRNOTAVAIL\"} 2");
    assert_line(text, "port_checker_local_faults_total{errno=\"other\"} 4");
    free(text);
    metrics_free(metrics);
}

static void the_observer_counts_what_the_engine_tells(void **state)
{
    (void)state;
    struct metrics *metrics = new_block();
    struct engine_observer observer = metrics_observer(metrics);
    observer.attempted(observer.ctx);
    observer.attempted(observer.ctx);
    observer.deferred(observer.ctx, 1);
    observer.deferred(observer.ctx, 1);
    observer.deferred(observer.ctx, -1);
    observer.suspected(observer.ctx);
    observer.local_fault(observer.ctx, ENOBUFS);
    observer.settled(observer.ctx, &(struct port_verdict){.state = PORT_STATE_CLOSED});
    char *text = render(metrics, NULL);

    assert_line(text, "port_checker_probe_attempts_total 2");
    assert_line(text, "port_checker_ports_deferred 1");
    assert_line(text, "port_checker_self_suspicions_total 1");
    assert_line(text, "port_checker_local_faults_total{errno=\"ENOBUFS\"} 1");
    assert_line(text, "port_checker_verdicts_total{state=\"closed\"} 1");
    free(text);
    metrics_free(metrics);
}

/* The family of a sample or HELP line, without a histogram's suffix. */
static void family_of(const char *line, char ret_name[128])
{
    static const char *const suffixes[] = {"_bucket", "_sum", "_count"};
    if (strncmp(line, "# HELP ", 7) == 0)
        line += 7;
    int len = (int)strcspn(line, " {\n");
    snprintf(ret_name, 128, "%.*s", len, line);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        size_t name_len = strlen(ret_name), suffix_len = strlen(suffixes[i]);
        if (name_len > suffix_len &&
            strcmp(ret_name + name_len - suffix_len, suffixes[i]) == 0)
            ret_name[name_len - suffix_len] = '\0';
    }
}

static void every_family_is_opened_once_and_kept_together(void **state)
{
    (void)state;
    struct metrics *metrics = new_block();
    metrics_count_request(metrics, METRIC_ROUTE_HEALTH, 200);
    metrics_count_request(metrics, METRIC_ROUTE_HEALTH, 503);
    char *text = render(metrics, NULL);
    char current[128] = "", seen[16384] = "\n", key[160];

    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        char name[128];
        if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_int_equal(strncmp(line + 7, current, strlen(current)), 0);
            continue;
        }
        family_of(line, name);
        if (strncmp(line, "# HELP ", 7) != 0) {
            assert_string_equal(name, current);
            continue;
        }
        snprintf(key, sizeof key, "\n%s\n", name);
        assert_null(strstr(seen, key));
        assert_true(strlen(seen) + strlen(key) < sizeof seen);
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s\n", name);
        snprintf(current, sizeof current, "%s", name);
    }
    free(text);
    metrics_free(metrics);
}

/* The value of a family with a single series. */
static double value_of(const char *text, const char *name)
{
    char wanted[128];
    snprintf(wanted, sizeof wanted, "\n%s ", name);
    const char *at = strstr(text, wanted);
    if (!at)
        fail_msg("no %s in:\n%s", name, text);
    return at ? strtod(at + strlen(wanted), NULL) : 0;
}

static void figures_of_the_process_are_plausible(void **state)
{
    (void)state;
    struct metrics *metrics = new_block();
    char *text = render(metrics, NULL);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);

    double started = value_of(text, "process_start_time_seconds");
    assert_true(started > (double)now.tv_sec - 600 && started < (double)now.tv_sec + 2);
    assert_true(value_of(text, "process_cpu_seconds_total") > 0);
    assert_true(value_of(text, "process_resident_memory_bytes") > 100e3);
    assert_true(value_of(text, "process_virtual_memory_bytes") >
                value_of(text, "process_resident_memory_bytes"));
    assert_true(value_of(text, "process_max_fds") >= value_of(text, "process_open_fds"));

    double open_fds = value_of(text, "process_open_fds");
    FILE *one_more = fopen("/dev/null", "r");
    assert_non_null(one_more);
    char *later = render(metrics, NULL);
    assert_true(value_of(later, "process_open_fds") == open_fds + 1);
    fclose(one_more);
    free(later);
    free(text);
    metrics_free(metrics);
}

/* For people and other parsers: test_metrics --print. */
static int print_sample(void)
{
    struct metrics *metrics = new_block();
    metrics_count_request(metrics, METRIC_ROUTE_CHECK_PORTS, 200);
    metrics_observe_verdict(metrics, &(struct port_verdict){.duration = span_ms(3)});
    char *text = render(metrics, NULL);
    fputs(text, stdout);
    free(text);
    metrics_free(metrics);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_block_shows_every_plain_series_as_zero),
        cmocka_unit_test(blocks_are_added_up),
        cmocka_unit_test(statuses_at_the_edges),
        cmocka_unit_test(verdicts_go_to_their_state_and_bucket),
        cmocka_unit_test(faults_are_named_by_their_errno),
        cmocka_unit_test(the_observer_counts_what_the_engine_tells),
        cmocka_unit_test(every_family_is_opened_once_and_kept_together),
        cmocka_unit_test(figures_of_the_process_are_plausible),
    };
    if (argc == 2 && strcmp(argv[1], "--print") == 0)
        return print_sample();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
