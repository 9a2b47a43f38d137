/* SPDX-License-Identifier: MIT */
#include "verifier/arguments.h"

#include "base/err.h"
#include "verifier/fetch.h"
#include "verifier/ports.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <getopt.h>
#include <string.h>

#define COUNT(array)  (sizeof(array) / sizeof(array)[0])
#define ARGUMENTS_MAX 12

/* Words up to the first NULL. getopt keeps its place in a global. */
static bool parse(const char *const words[ARGUMENTS_MAX], const char *servers,
                  struct arguments *ret, struct err *err)
{
    static char copies[ARGUMENTS_MAX][4096];
    char *argv[ARGUMENTS_MAX + 2] = {copies[0]};
    int argc = 1;
    static char name[] = "port-verifier";
    argv[0] = name;
    for (size_t i = 0; i < ARGUMENTS_MAX && words[i]; i++) {
        strncpy(copies[i], words[i], sizeof copies[i] - 1);
        argv[argc++] = copies[i];
    }
    optind = 0;
    return arguments_parse(argc, argv, servers, ret, err);
}

static void defaults_are_the_golem_ports(void **state)
{
    (void)state;
    struct arguments arguments;
    struct text text;
    assert_true(parse((const char *const[ARGUMENTS_MAX]){"http://a/"}, "http://b",
                      &arguments, NULL));
    text_init(&text, 100);
    ports_format(arguments.ports, arguments.port_count, &text);
    assert_string_equal(text.data, "7466,50800-50900");
    assert_int_equal(arguments.required_count, 1);
    assert_int_equal(arguments.required[0], 7466);
    assert_int_equal(arguments.quorum, 1);
    assert_int_equal(arguments.server_count, 1);
    assert_string_equal(arguments.servers[0].url, "http://a");
    text_done(&text);
    arguments_done(&arguments);
}

static void the_environment_names_checkers_where_the_line_does_not(void **state)
{
    (void)state;
    struct arguments arguments;
    assert_true(parse((const char *const[ARGUMENTS_MAX]){NULL},
                      " http://a, https://[2001:db8::1]:7466 http://a", &arguments, NULL));
    assert_int_equal(arguments.server_count, 2);
    assert_int_equal(arguments.servers[0].literal_family, 0);
    assert_int_equal(arguments.servers[1].literal_family, 6);
    arguments_done(&arguments);
}

static void a_path_in_front_is_part_of_the_url(void **state)
{
    (void)state;
    static const char *const urls[] = {"http://check-ports", "http://ip", "http://a/golem",
                                       "http://a/check-ports/v1",
                                       "http://a/my-check-ports"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct arguments arguments;
        assert_true(
            parse((const char *const[ARGUMENTS_MAX]){urls[i]}, NULL, &arguments, NULL));
        assert_string_equal(arguments.servers[0].url, urls[i]);
        arguments_done(&arguments);
    }
}

static void without_7466_nothing_is_required(void **state)
{
    (void)state;
    struct arguments arguments;
    assert_true(parse((const char *const[ARGUMENTS_MAX]){"--ports", "80,443", "http://a"},
                      NULL, &arguments, NULL));
    assert_int_equal(arguments.required_count, 0);
    arguments_done(&arguments);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *words[ARGUMENTS_MAX];
        const char *complaint;
    } rows[] = {
        {{NULL}, "no checker is named: give its URL, or set PORT_VERIFIER_SERVERS"},
        {{"checker.example:7466"}, "\"checker.example:7466\" is no URL"},
        {{"ftp://a"}, "\"ftp://a\": only http and https"},
        {{"http://user@a"}, "\"http://user@a\": a checker's URL has no user"},
        {{"http://a?b"}, "\"http://a?b\": a checker's URL has no user, query"},
        {{"http://"}, "\"http://\" is no URL"},
        {{"http://a:7466/check-ports/"},
         "\"http://a:7466/check-ports\": the checker's URL is wanted, without "
         "/check-ports"},
        {{"https://a/golem/check-ports"}, "\"https://a/golem/check-ports\": the checker's"},
        {{"http://a", "http://b/health"}, "\"http://b/health\": the checker's URL"},
        {{"http://b/docs//"}, "\"http://b/docs\": the checker's URL"},
        {{"http://b/ip"}, "\"http://b/ip\": the checker's URL"},
        {{"http://b/limits"}, "\"http://b/limits\": the checker's URL"},
        {{"http://b/metrics"}, "\"http://b/metrics\": the checker's URL"},
        {{"http://b/openapi.json"}, "\"http://b/openapi.json\": the checker's URL"},
        {{"--ports", "0", "http://a"}, "--ports: \"0\": a port is a number"},
        {{"--ports", "", "http://a"}, "no ports are listed"},
        {{"--ports", "5-3", "http://a"}, "--ports: \"5-3\": the range 5-3"},
        {{"--ports", "80x", "http://a"}, "--ports: \"80x\""},
        {{"--ports", "1-5000", "http://a"}, "--ports: more than 4096 ports"},
        {{"--required", "80", "http://a"}, "--required names 80"},
        {{"--in-use", "80", "http://a"}, "--in-use names 80"},
        {{"--quorum", "0", "http://a"}, "--quorum: a number from 1"},
        {{"--quorum", "2", "http://a"},
         "--quorum 2 wants as many checkers, and 1 is named"},
        {{"--ip", "home.example", "http://a"}, "--ip: \"home.example\" is no IPv4 or IPv6"},
        {{"--ip", "::1", "http://127.0.0.1"}, "--ip names no address of a family"},
        {{"--ip", "192.0.2.1", "--ip", "192.0.2.2", "http://a"},
         "--ip: two IPv4 addresses"},
        {{"--ca", "/nonexistent", "http://a"}, "--ca: /nonexistent: No such file"},
        {{"--ca", "/", "http://a"}, "--ca: / is no regular file"},
        {{"--ca", "/proc/self/stat", "http://a"},
         "--ca: /proc/self/stat has no certificates that can be read (PEM)"},
        {{"--timeout", "0", "http://a"}, "--timeout: \"0\" is no time from 100ms to 10m"},
        {{"--watch", "1w", "http://a"}, "--watch: \"1w\" is no time from 1s to 30d"},
        {{"--watch", "", "http://a"}, "--watch: \"\" is no time"},
        {{"--on-change", "true", "http://a"}, "--on-change makes sense with --watch only"},
        {{"--output", "", "http://a"}, "--output: the name of a file"},
        {{"--colour", "http://a"}, "unknown option \"--colour\""},
        {{"http://a", "--ports"}, "--ports wants a value"},
        {{"probe"}, "probe wants an address and ports"},
        {{"probe", "192.0.2.1"}, "probe wants an address and ports"},
        {{"probe", "home.example", "80"}, "\"home.example\" is no IPv4 or IPv6"},
        {{"probe", "192.0.2.1", "http"}, "\"http\": a port is a number"},
        {{"probe", "--watch", "1h", "192.0.2.1", "80"},
         "--watch makes no sense when probing"},
        {{"probe", "--timeout", "1m", "192.0.2.1", "80"}, "--timeout of a port is"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arguments arguments;
        struct err err = {0};
        assert_false(parse(rows[i].words, NULL, &arguments, &err));
        if (strstr(err.message, rows[i].complaint) != err.message)
            print_error("row %zu: %s\n", i, err.message);
        assert_ptr_equal(strstr(err.message, rows[i].complaint), err.message);
        assert_int_equal(err.kind, ERR_INVALID);
    }
}

static void times_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* 0: refused */
    } rows[] = {
        {"30s", 30000},    {"500ms", 500}, {"10m", 600000}, {"1h", 3600000},
        {"2d", 172800000}, {"5", 5000},    {"1000000d", 0}, {"1.5s", 0},
        {"s", 0},          {"-1s", 0},     {"1 s", 0},      {"99999999999s", 0},
        {"1H", 0},         {"1hh", 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct span span = {0};
        bool is_fine = arguments_parse_span(rows[i].text, span_ms(1), span_seconds(864000),
                                            &span, NULL);
        assert_int_equal(is_fine, rows[i].ms > 0);
        assert_int_equal(span.ns, rows[i].ms * NS_PER_MS);
    }
}

static void help_fits_a_screen(void **state)
{
    (void)state;
    size_t lines = 0;
    for (const char *line = arguments_help; *line; lines++) {
        size_t len = strcspn(line, "\n");
        assert_true(len <= 80);
        line += len + 1;
    }
    assert_true(lines <= 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_golem_ports),
        cmocka_unit_test(the_environment_names_checkers_where_the_line_does_not),
        cmocka_unit_test(a_path_in_front_is_part_of_the_url),
        cmocka_unit_test(without_7466_nothing_is_required),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(times_have_units),
        cmocka_unit_test(help_fits_a_screen),
    };
    return cmocka_run_group_tests_name("arguments", tests, NULL, NULL);
}
