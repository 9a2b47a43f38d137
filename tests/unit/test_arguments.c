/* SPDX-License-Identifier: MIT */
#include "verifier/arguments.h"

#include "base/err.h"
#include "base/options.h"
#include "verifier/fetch.h"
#include "verifier/ports.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array)  (sizeof(array) / sizeof(array)[0])
#define ARGUMENTS_MAX 12

/* Words up to the first NULL. */
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
    assert_int_equal(arguments.endpoint_count, 1);
    assert_string_equal(arguments.endpoints[0].url, "http://a");
    text_done(&text);
    arguments_done(&arguments);
}

static void the_environment_names_checkers_where_the_line_does_not(void **state)
{
    (void)state;
    struct arguments arguments;
    assert_true(parse((const char *const[ARGUMENTS_MAX]){NULL},
                      " http://a, https://[2001:db8::1]:7466 http://a", &arguments, NULL));
    assert_int_equal(arguments.endpoint_count, 2);
    assert_int_equal(arguments.endpoints[0].literal_family, 0);
    assert_int_equal(arguments.endpoints[1].literal_family, 6);
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
        assert_string_equal(arguments.endpoints[0].url, urls[i]);
        arguments_done(&arguments);
    }
}

static void a_bare_host_is_asked_over_https_then_over_http(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        const char *url;
        const char *other;
        int literal_family;
    } rows[] = {
        {"checker.example", "https://checker.example", "http://checker.example:7466", 0},
        {"a:8080", "https://a:8080", "http://a:8080", 0},
        {"a:443", "https://a:443", "http://a:443", 0},
        {"a/golem/", "https://a/golem", "http://a:7466/golem", 0},
        {"192.0.2.1", "https://192.0.2.1", "http://192.0.2.1:7466", 4},
        {"2001:db8::1", "https://[2001:db8::1]", "http://[2001:db8::1]:7466", 6},
        {"[2001:db8::1]:80", "https://[2001:db8::1]:80", "http://[2001:db8::1]:80", 6},
        {"http://a/", "http://a", NULL, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arguments arguments;
        assert_true(parse((const char *const[ARGUMENTS_MAX]){rows[i].word}, NULL,
                          &arguments, NULL));
        assert_string_equal(arguments.endpoints[0].url, rows[i].url);
        assert_int_equal(!arguments.endpoints[0].other_url, !rows[i].other);
        if (rows[i].other)
            assert_string_equal(arguments.endpoints[0].other_url, rows[i].other);
        assert_int_equal(arguments.endpoints[0].literal_family, rows[i].literal_family);
        arguments_done(&arguments);
    }
}

static void options_stand_anywhere_and_lists_add_up(void **state)
{
    (void)state;
    struct arguments arguments;
    struct text text;
    const char *const words[ARGUMENTS_MAX] = {
        "-p80", "-4q",           "a",  "--port=443", "verify", "--required",
        "443",  "--required=80", "-o", "x"};
    struct err err;
    bool is_fine = parse(words, NULL, &arguments, &err);
    if (!is_fine)
        print_error("%s\n", err.message);
    assert_true(is_fine);
    text_init(&text, 100);
    ports_format(arguments.ports, arguments.port_count, &text);
    assert_string_equal(text.data, "80,443");
    assert_int_equal(arguments.required_count, 2);
    assert_true(arguments.is_quiet && arguments.is_family[FAMILY_4]);
    assert_false(arguments.is_family[FAMILY_6]);
    assert_string_equal(arguments.output, "x");
    assert_int_equal(arguments.endpoint_count, 2); /* only a first word is a command */
    text_done(&text);
    arguments_done(&arguments);
}

static void commands_are_found_behind_options(void **state)
{
    (void)state;
    struct arguments arguments;
    assert_true(
        parse((const char *const[ARGUMENTS_MAX]){"--json", "probe", "home.example", "80"},
              NULL, &arguments, NULL));
    assert_int_equal(arguments.action, ACTION_PROBE);
    assert_string_equal(arguments.target, "home.example");
    assert_int_equal(arguments.timeout.ns, 5 * NS_PER_SECOND);
    arguments_done(&arguments);

    assert_true(parse((const char *const[ARGUMENTS_MAX]){"verify", "--", "a"}, NULL,
                      &arguments, NULL));
    assert_int_equal(arguments.action, ACTION_VERIFY);
    assert_string_equal(arguments.endpoints[0].url, "https://a");
    assert_int_equal(arguments.timeout.ns, 30 * NS_PER_SECOND);
    arguments_done(&arguments);
}

static void receipts_are_asked_for_or_read(void **state)
{
    (void)state;
    struct arguments arguments;
    assert_true(
        parse((const char *const[ARGUMENTS_MAX]){"a", "--receipt", "r", "--for", "node 1"},
              NULL, &arguments, NULL));
    assert_int_equal(arguments.action, ACTION_VERIFY);
    assert_string_equal(arguments.receipt, "r");
    assert_string_equal(arguments.for_text, "node 1");
    arguments_done(&arguments);

    assert_true(
        parse((const char *const[ARGUMENTS_MAX]){"receipt", "r", "--jwks", "k", "--issuer",
                                                 "https://a", "--for", "x", "--json"},
              "https://b", &arguments, NULL));
    assert_int_equal(arguments.action, ACTION_RECEIPT);
    assert_string_equal(arguments.receipt, "r");
    assert_string_equal(arguments.jwks, "k");
    assert_string_equal(arguments.issuer, "https://a");
    assert_int_equal(arguments.endpoint_count, 0);
    arguments_done(&arguments);
}

static void nothing_is_read_behind_help(void **state)
{
    (void)state;
    struct arguments arguments;
    assert_true(parse((const char *const[ARGUMENTS_MAX]){"-h", "--nonsense"}, NULL,
                      &arguments, NULL));
    assert_int_equal(arguments.action, ACTION_HELP);
    assert_true(parse((const char *const[ARGUMENTS_MAX]){"probe", "-qV", "80x"}, NULL,
                      &arguments, NULL));
    assert_int_equal(arguments.action, ACTION_VERSION);
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
        {{NULL}, "no checker given; example: port-verifier checker.example"},
        {{"ftp://a"}, "\"ftp://a\": a checker's URL must begin with http:// or https://"},
        {{"a", "--for", "x"}, "--for needs --receipt, for example --receipt receipts.txt"},
        {{"a", "--receipt", "r", "--for", ""},
         "\"\": --for must be 1 to 128 printable ASCII characters, for example "
         "node-0x1f3a"},
        {{"a", "--receipt", "r", "--for", "\xc3\xa4"},
         "\"\xc3\xa4\": --for must be 1 to 128"},
        {{"a", "--receipt", ""}, "\"\": --receipt must be the name of a file"},
        {{"a", "--jwks", "k"}, "verify has no option --jwks"},
        {{"a", "--issuer", "https://a"}, "verify has no option --issuer"},
        {{"receipt"},
         "receipt needs one file, for example port-verifier receipt receipts.txt"},
        {{"receipt", "a", "b"}, "receipt needs one file"},
        {{"receipt", "a", "-q"}, "receipt has no option --quiet"},
        {{"receipt", "a", "--ports", "80"}, "receipt has no option --ports"},
        {{"receipt", "a", "--issuer", "x"}, "\"x\": --issuer must be a URL"},
        {{"probe", "a", "80", "--receipt", "r"}, "probe has no option --receipt"},
        {{"probe", "a", "80", "--for", "r"}, "probe has no option --for"},
        {{"http:/a"}, "\"http:/a\" is not a URL; did you mean http://a?"},
        {{"https:a:7466"}, "\"https:a:7466\" is not a URL; did you mean https://a:7466?"},
        {{"7466,50800-50900"},
         "\"7466,50800-50900\" is not a checker; did you mean --ports 7466,50800-50900?"},
        {{""}, "\"\" is not a valid URL or host name; examples: checker.example, http://"},
        {{"a b"}, "\"a b\" is not a valid URL or host name"},
        {{"a:99999"}, "\"a:99999\" is not a valid URL or host name"},
        {{"http://user@a"}, "\"http://user@a\": a checker's URL must not have a user"},
        {{"http://a?b"},
         "\"http://a?b\": a checker's URL must not have a user name, query"},
        {{"user@a"}, "\"user@a\": a checker's URL must not have a user"},
        {{"http://"}, "\"http://\" is not a valid URL or host name"},
        {{"http://a:7466/check-ports/"},
         "\"http://a:7466/check-ports/\": give the checker's URL without /check-ports"},
        {{"https://a/golem/check-ports"}, "\"https://a/golem/check-ports\": give the"},
        {{"http://a", "http://b/health"}, "\"http://b/health\": give the checker's URL"},
        {{"http://b/docs//"}, "\"http://b/docs//\": give the checker's URL"},
        {{"b/ip"}, "\"b/ip\": give the checker's URL"},
        {{"http://b/limits"}, "\"http://b/limits\": give the checker's URL"},
        {{"http://b/metrics"}, "\"http://b/metrics\": give the checker's URL"},
        {{"http://b/openapi.json"}, "\"http://b/openapi.json\": give the checker's URL"},
        {{"--ports", "0", "a"},
         "\"0\": --ports must be a list of ports and ranges (\"0\": a port is a number "
         "from 1 "
         "to 65535), for example 7466,50800-50900"},
        {{"--ports", "", "a"}, "no ports given; example: --ports 7466"},
        {{"--ports", "80,5-3", "a"},
         "\"80,5-3\": --ports must be a list of ports and ranges (\"5-3\": the first "
         "port is greater than the last)"},
        {{"--ports", "80x", "a"}, "\"80x\": --ports must be a list"},
        {{"--ports", "1-5000", "a"},
         "\"1-5000\": --ports must be a list of at most 4096 ports, for example"},
        {{"--ports", "1-4096", "--ports", "4097", "a"},
         "\"4097\": --ports must be a list of at most 4096 ports, for example"},
        {{"--required", "80", "a"}, "--required names port 80, which is not one of"},
        {{"--in-use", "80", "a"}, "--in-use names port 80, which is not one of"},
        {{"--quorum", "0", "a"}, "\"0\": --quorum must be between 1 and 16, for example 2"},
        {{"--quorum", "2", "a"}, "--quorum 2 needs at least 2 checkers, but 1 is given"},
        {{"--ip", "home.example", "a"},
         "\"home.example\": --ip must be an IPv4 or IPv6 address, for example 203.0.113.7"},
        {{"--ip", "::1", "127.0.0.1"},
         "-4, -6, --ip and --source leave no address family to check with these checkers"},
        {{"-6", "127.0.0.1"}, "-4, -6, --ip and --source leave no address family to check"},
        {{"-4", "-6", "a"}, "-4 and -6 cannot be combined; leave out both"},
        {{"-q", "--json", "a"}, "--json and --quiet cannot be combined"},
        {{"--ip", "192.0.2.1", "--ip", "192.0.2.2", "a"},
         "\"192.0.2.2\": --ip must be at most one IPv4 and one IPv6 address"},
        {{"--ca", "/nonexistent", "a"},
         "\"/nonexistent\": --ca must be a file of CA certificates in PEM format (No such "
         "file or directory), for example /"},
        {{"--ca", "/", "a"},
         "\"/\": --ca must be a file of CA certificates in PEM format (not a regular "
         "file)"},
        {{"--ca", "/proc/self/stat", "a"},
         "\"/proc/self/stat\": --ca must be a file of CA certificates in PEM format (no "
         "certificate can be read)"},
        {{"--timeout", "5min", "a"},
         "\"5min\": --timeout must be between 100ms and 10m, for example 30s"},
        {{"--watch", "1w", "a"},
         "\"1w\": --watch must be between 1s and 30d, for example 1h"},
        {{"--watch", "", "a"}, "\"\": --watch must be between 1s"},
        {{"--on-change", "true", "a"}, "--on-change needs --watch, for example --watch 1h"},
        {{"--on-change", "", "--watch", "1h", "a"},
         "\"\": --on-change must be a shell command, for example"},
        {{"--confirm", "5s", "a"}, "--confirm needs --watch, for example --watch 1h"},
        {{"--output", "", "a"}, "\"\": --output must be the name of a file, for example"},
        {{"--patience", "2h", "a"}, "\"2h\": --patience must be between 0 and 1h"},
        {{"--source", "no/interface", "a"},
         "\"no/interface\": --source must be an address or an interface of this machine"},
        {{"--source", "eth0", "--source", "192.0.2.1", "a"},
         "\"192.0.2.1\": --source must be one address for each family, or one interface"},
        {{"--ports", "80:", "a"}, "\"80:\": --ports must be a list of ports and ranges"},
        {{"--ports", "80-82:90-91", "a"},
         "\"80-82:90-91\": --ports must be a list of ports and ranges (\"80-82:90-91\": "
         "both "
         "sides of a colon must have the same number of ports)"},
        {{"--ports", "80:81,80:82", "a"},
         "\"80:81,80:82\": --ports must be a list of ports and ranges (\"80:82\": port 80 "
         "can lead to only one port)"},
        {{"--required", "80:81", "a"}, "\"80:81\": --required must be a list of ports"},
        {{"probe", "192.0.2.1", "80:81"}, "\"80:81\": PORTS must be a list of ports"},
        {{"probe", "--lan", "192.0.2.1", "80"}, "probe has no option --lan"},
        {{"probe", "--no-router", "192.0.2.1", "80"}, "probe has no option --no-router"},
        {{"--colour", "a"}, "unknown option --colour"},
        {{"--reqired", "80", "a"}, "unknown option --reqired; did you mean --required?"},
        {{"-x", "a"}, "unknown option -x"},
        {{"a", "--ports"}, "--ports needs a value, for example --ports 7466,50800-50900"},
        {{"--quorum", "1", "--quorum", "1", "a"}, "--quorum may be given only once"},
        {{"--i", "80", "a"}, "--i is ambiguous: more than one option begins with it"},
        {{"prboe", "192.0.2.1", "80"}, "unknown command prboe; did you mean probe?"},
        {{"probe"},
         "probe needs one host and one list of ports, for example port-verifier probe"},
        {{"probe", "192.0.2.1"}, "probe needs one host and one list of ports"},
        {{"probe", "192.0.2.1", "http"},
         "\"http\": PORTS must be a list of ports and ranges (\"http\": a port is a number "
         "from 1 to 65535), for example 7466,50800-50900"},
        {{"probe", "--watch", "1h", "192.0.2.1", "80"}, "probe has no option --watch"},
        {{"probe", "-6", "192.0.2.1", "80"}, "-6 excludes the address 192.0.2.1"},
        {{"probe", "--timeout", "1m", "192.0.2.1", "80"},
         "probe: --timeout must be between 500ms and 20s, for example 5s"},
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

static void a_port_may_lead_to_another(void **state)
{
    (void)state;
    struct arguments arguments;
    assert_true(
        parse((const char *const[ARGUMENTS_MAX]){"-p", "17466:7466,60000-60002:50800-50802",
                                                 "-p", "50801,443", "--required", "60001",
                                                 "--patience", "0", "a"},
              NULL, &arguments, NULL));
    static const struct {
        uint16_t outer, inner;
        size_t held; /* index */
    } rows[] = {
        {443, 443, 0},     {17466, 7466, 1},  {50801, 50801, 3},
        {60000, 50800, 2}, {60001, 50801, 3}, {60002, 50802, 4},
    };
    assert_int_equal(arguments.port_count, COUNT(rows));
    assert_int_equal(arguments.held_count, 5);
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(arguments.ports[i], rows[i].outer);
        assert_int_equal(arguments.inner[i], rows[i].inner);
        assert_int_equal(arguments.held_index[i], rows[i].held);
        assert_int_equal(arguments.held[arguments.held_index[i]], rows[i].inner);
    }
    static const size_t order[] = {4, 0, 1, 2, 3, 5}; /* the required one first */
    assert_memory_equal(arguments.order, order, sizeof order);
    assert_int_equal(arguments.patience.ns, 0);
    arguments_done(&arguments);
}

static void what_leads_to_7466_is_required(void **state)
{
    (void)state;
    struct arguments arguments;
    assert_true(parse((const char *const[ARGUMENTS_MAX]){"-p", "80,17466:7466", "a"}, NULL,
                      &arguments, NULL));
    assert_int_equal(arguments.required_count, 1);
    assert_int_equal(arguments.required[0], 17466);
    assert_int_equal(arguments.patience.ns, span_seconds(45).ns);
    assert_false(arguments.is_lan || arguments.has_no_router);
    arguments_done(&arguments);
    assert_true(parse((const char *const[ARGUMENTS_MAX]){"--no-router", "a"}, NULL,
                      &arguments, NULL));
    assert_true(arguments.has_no_router);
    arguments_done(&arguments);
}

static void a_source_is_an_address_or_an_interface(void **state)
{
    (void)state;
    struct arguments arguments;
    assert_true(parse((const char *const[ARGUMENTS_MAX]){"--source", "2001:db8::1", "a"},
                      NULL, &arguments, NULL));
    assert_true(arguments.has_source[FAMILY_6] && !arguments.has_source[FAMILY_4]);
    assert_true(arguments_want(&arguments, &arguments.endpoints[0], FAMILY_6));
    assert_false(arguments_want(&arguments, &arguments.endpoints[0], FAMILY_4));
    arguments_done(&arguments);
    assert_true(parse((const char *const[ARGUMENTS_MAX]){"--source", "wan.1", "a"}, NULL,
                      &arguments, NULL));
    assert_string_equal(arguments.source_interface, "wan.1");
    assert_true(arguments_want(&arguments, &arguments.endpoints[0], FAMILY_4));
    arguments_done(&arguments);
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
    char *help;
    size_t size;
    size_t lines = 0;
    FILE *out = open_memstream(&help, &size);
    options_print_help(&options_table, out);
    fclose(out);
    for (const char *line = help; *line; lines++) {
        size_t len = strcspn(line, "\n");
        assert_true(len <= 80);
        line += len + 1;
    }
    assert_true(lines <= 38);
    free(help);
}

/* What a row of the table promises to its readers. */
static void every_row_is_whole(void **state)
{
    (void)state;
    assert_true(options_table.row_count <= OPTIONS_MAX);
    for (size_t i = 0; i < options_table.row_count; i++) {
        const struct option_row *row = &options_table.rows[i];
        assert_int_equal(!row->value, !row->example);
        assert_true(row->help[strlen(row->help) - 1] != '.');
        assert_true(!row->more || row->more[strlen(row->more) - 1] == '.');
        for (size_t j = 0; j < i; j++) {
            const struct option_row *other = &options_table.rows[j];
            assert_string_not_equal(row->name, other->name);
            assert_true(!row->letter || row->letter != other->letter);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_golem_ports),
        cmocka_unit_test(the_environment_names_checkers_where_the_line_does_not),
        cmocka_unit_test(a_path_in_front_is_part_of_the_url),
        cmocka_unit_test(without_7466_nothing_is_required),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(a_port_may_lead_to_another),
        cmocka_unit_test(what_leads_to_7466_is_required),
        cmocka_unit_test(a_source_is_an_address_or_an_interface),
        cmocka_unit_test(times_have_units),
        cmocka_unit_test(a_bare_host_is_asked_over_https_then_over_http),
        cmocka_unit_test(options_stand_anywhere_and_lists_add_up),
        cmocka_unit_test(commands_are_found_behind_options),
        cmocka_unit_test(receipts_are_asked_for_or_read),
        cmocka_unit_test(nothing_is_read_behind_help),
        cmocka_unit_test(help_fits_a_screen),
        cmocka_unit_test(every_row_is_whole),
    };
    return cmocka_run_group_tests_name("arguments", tests, NULL, NULL);
}
