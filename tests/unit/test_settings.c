/* SPDX-License-Identifier: MIT */
#include "base/err.h"
#include "settings/settings.h"
#include "settings/settings_forms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NO_FILE "/dev/null"

/* --- helpers ---------------------------------------------------------------------- */

struct warnings {
    unsigned count;
    char last[320];
};

static void keep_warning(void *ctx, const char *message)
{
    struct warnings *warnings = ctx;
    warnings->count++;
    snprintf(warnings->last, sizeof warnings->last, "%s", message);
}

static bool load(char *const environment[], const char *env_file, struct settings *ret,
                 struct err *err)
{
    struct warnings warnings = {0};
    bool ok = settings_load(environment, env_file, keep_warning, &warnings, ret, err);
    assert_int_equal(warnings.count, 0);
    return ok;
}

/* Settings with one variable set, or none (NULL). */
static bool load_one(const char *name, const char *value, struct settings *ret,
                     struct err *err)
{
    char entry[8192] = "";
    if (name)
        snprintf(entry, sizeof entry, "%s=%s", name, value);
    char *environment[] = {name ? entry : NULL, NULL};
    return load(environment, NO_FILE, ret, err);
}

/* Up to eight entries of an environment, the last one NULL. */
static bool load_entries(const char *const entries[], struct settings *ret, struct err *err)
{
    static char copies[8][8192];
    char *environment[9] = {NULL};
    for (size_t i = 0; entries[i]; i++) {
        snprintf(copies[i], sizeof copies[i], "%s", entries[i]);
        environment[i] = copies[i];
    }
    return load(environment, NO_FILE, ret, err);
}

/* What a printer wrote; the caller frees it. */
static char *printed(void (*print)(FILE *))
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    print(out);
    fclose(out);
    return text;
}

static char *printed_values(const struct settings *settings)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    settings_print_values(settings, out);
    fclose(out);
    return text;
}

/* Whether `text` has exactly this line. */
static bool has_line(const char *text, const char *line)
{
    size_t len = strlen(line);
    for (const char *p = text; (p = strstr(p, line)) != NULL; p++)
        if ((p == text || p[-1] == '\n') && p[len] == '\n')
            return true;
    return false;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* Every test of files runs in an empty folder of its own. */
static int enter_folder(void **state)
{
    char *folder = strdup("/tmp/test_settings.XXXXXX");
    *state = folder;
    return folder && mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave_folder(void **state)
{
    static const char *const names[] = {".env", "other.env", "folder"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        remove(names[i]);
    int result = chdir("/") == 0 ? rmdir(*state) : -1;
    free(*state);
    return result;
}

/* --- values ----------------------------------------------------------------------- */

static void defaults_are_those_of_the_design(void **state)
{
    (void)state;
    struct settings s;
    struct err err;
    assert_true(load_one(NULL, NULL, &s, &err));

    char text[ADDRESS_TEXT_SIZE];
    assert_string_equal(address_format(&s.host, text), "0.0.0.0");
    assert_int_equal(address_port(&s.host), 7466);
    assert_int_equal(s.port, 7466);
    assert_false(s.debug);
    assert_int_equal(s.check_timeout.ns, 5 * NS_PER_SECOND);
    assert_int_equal(s.check_retries, 1);
    assert_int_equal(s.check_retry_delay.ns, NS_PER_SECOND);
    assert_in_range(s.workers, 1, SETTINGS_WORKERS_MAX);
    assert_int_equal(s.targets, TARGETS_AUTO);
    assert_int_equal(s.trusted_proxies.count, 0);
    assert_int_equal(s.max_ports, 1024);
    assert_int_equal(s.max_probes, 0);
    assert_int_equal(s.max_connections, 4096);
    assert_int_equal(s.max_connections_per_caller, 64);
    assert_true(s.rate.per_second > 19.999999 && s.rate.per_second < 20.000001);
    assert_int_equal(s.metrics_from.count, 2);
    assert_false(s.cors_origins.is_any);
    assert_int_equal(s.cors_origins.count, 0);
    assert_string_equal(s.tls_cert, "");
    assert_string_equal(s.tls_key, "");
    assert_string_equal(s.tls_priority, "");
    assert_int_equal(s.log_format, LOG_FORMAT_TEXT);
    assert_string_equal(s.user, "");
    assert_int_equal(s.sandbox, SANDBOX_AUTO);
}

static void a_good_value_is_taken(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *value;
        const char *shown; /* by settings_print_values() */
    } cases[] = {
        {"PORT_CHECKER_HOST", "127.0.0.1", "127.0.0.1"},
        {"PORT_CHECKER_HOST", "::", "::"},
        {"PORT_CHECKER_HOST", "2001:DB8::0:1", "2001:db8::1"},
        {"PORT_CHECKER_PORT", "0", "0"},
        {"PORT_CHECKER_PORT", "65535", "65535"},
        {"PORT_CHECKER_PORT", " \t80\r\n", "80"},
        {"PORT_CHECKER_DEBUG", "true", "true"},
        {"PORT_CHECKER_DEBUG", "1", "true"},
        {"PORT_CHECKER_DEBUG", "YES", "true"},
        {"PORT_CHECKER_DEBUG", "On", "true"},
        {"PORT_CHECKER_DEBUG", "False", "false"},
        {"PORT_CHECKER_DEBUG", "0", "false"},
        {"PORT_CHECKER_DEBUG", "no", "false"},
        {"PORT_CHECKER_DEBUG", "oFF", "false"},
        {"PORT_CHECK_TIMEOUT", "0.5", "0.5"},
        {"PORT_CHECK_TIMEOUT", "20", "20.0"},
        {"PORT_CHECK_TIMEOUT", "20.000000000", "20.0"},
        {"PORT_CHECK_TIMEOUT", "0.750", "0.75"},
        {"PORT_CHECK_TIMEOUT", "1.000000001", "1.000000001"},
        {"PORT_CHECK_RETRIES", "4", "4"},
        {"PORT_CHECK_RETRY_DELAY", "0", "0.0"},
        {"PORT_CHECK_RETRY_DELAY", "5.0", "5.0"},
        {"PORT_CHECKER_WORKERS", "1", "1"},
        {"PORT_CHECKER_WORKERS", "256", "256"},
        {"PORT_CHECKER_TARGETS", "auto", "auto"},
        {"PORT_CHECKER_TARGETS", "Caller", "caller"},
        {"PORT_CHECKER_TARGETS", "public", "public"},
        {"PORT_CHECKER_TARGETS", "any", "any"},
        {"PORT_CHECKER_TRUSTED_PROXIES", "10.0.0.0/8", "10.0.0.0/8"},
        {"PORT_CHECKER_TRUSTED_PROXIES", "10.1.2.3 , fd00::/8,,::1 ",
         "10.1.2.3,fd00::/8,::1"},
        {"PORT_CHECKER_METRICS_FROM", "0.0.0.0/0", "0.0.0.0/0"},
        {"PORT_CHECKER_MAX_PORTS", "1", "1"},
        {"PORT_CHECKER_MAX_PORTS", "65535", "65535"},
        {"PORT_CHECKER_MAX_PROBES", "1000000", "1000000"},
        {"PORT_CHECKER_MAX_CONNECTIONS", "1", "1"},
        {"PORT_CHECKER_MAX_CONNECTIONS_PER_CALLER", "1000000", "1000000"},
        {"PORT_CHECKER_RATE", "0", "0"},
        {"PORT_CHECKER_RATE", "5/s", "300/min"},
        {"PORT_CHECKER_RATE", "7/min", "7/min"},
        {"PORT_CHECKER_RATE", "1/h", "1/h"},
        {"PORT_CHECKER_RATE", "61/h", "61/h"},
        {"PORT_CHECKER_RATE", "1000000/s", "60000000/min"},
        {"PORT_CHECKER_RATE", "3599999999/H", "3599999999/h"},
        {"PORT_CHECKER_CORS_ORIGINS", "*", "*"},
        {"PORT_CHECKER_CORS_ORIGINS", "https://a.example", "https://a.example"},
        {"PORT_CHECKER_CORS_ORIGINS", "HTTPS://A.Example:443", "https://a.example"},
        {"PORT_CHECKER_CORS_ORIGINS", "http://a:80 http://b:443,https://c:80",
         "http://a,http://b:443,https://c:80"},
        {"PORT_CHECKER_CORS_ORIGINS", "http://[2001:DB8:0::1]:8080",
         "http://[2001:db8::1]:8080"},
        {"PORT_CHECKER_TLS_PRIORITY", "NORMAL:-VERS-ALL:+VERS-TLS1.3:%NO_TICKETS",
         "NORMAL:-VERS-ALL:+VERS-TLS1.3:%NO_TICKETS"},
        {"PORT_CHECKER_USER", "port-checker", "port-checker"},
        {"PORT_CHECKER_SANDBOX", "off", "off"},
        {"PORT_CHECKER_SANDBOX", "Require", "require"},
        {"PORT_CHECKER_LOG_FORMAT", "json", "json"},
        {"PORT_CHECKER_LOG_FORMAT", "TEXT", "text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct settings s;
        struct err err = {.message = ""};
        if (!load_one(cases[i].name, cases[i].value, &s, &err))
            fail_msg("%s", err.message);

        char *shown = printed_values(&s);
        char line[256];
        snprintf(line, sizeof line, "%s=%s", cases[i].name, cases[i].shown);
        if (!has_line(shown, line))
            fail_msg("no line %s in\n%s", line, shown);
        free(shown);
    }
}

#define URL "PORT_CHECKER_NATS_URL=tls://NATS.example.org nats://[::1]:4223"

static void several_places_are_read(void **state)
{
    (void)state;
    const char *const entries[] = {URL,
                                   "PORT_CHECKER_FRONT=gw",
                                   "PORT_CHECKER_VANTAGE=eu-1",
                                   "PORT_CHECKER_VANTAGES=us-1, ap-1",
                                   "PORT_CHECKER_QUORUM=3",
                                   "PORT_CHECKER_VANTAGE_TARGETS=any",
                                   NULL};
    struct settings s;
    struct err err;
    if (!load_entries(entries, &s, &err))
        fail_msg("%s", err.message);
    assert_string_equal(s.front, "gw");
    assert_string_equal(s.vantage, "eu-1");
    assert_int_equal(s.vantages.count, 2);
    assert_string_equal(s.vantages.names[1], "ap-1");
    assert_int_equal(s.quorum, 3);
    assert_int_equal(s.vantage_targets, TARGETS_ANY);
    assert_int_equal(s.nats_servers.count, 2);
    assert_true(s.nats_servers.items[0].is_tls && !s.nats_servers.items[1].is_tls);
    assert_string_equal(s.nats_servers.items[0].host, "nats.example.org");
    assert_int_equal(s.nats_servers.items[0].port, 4222);
    assert_string_equal(s.nats_servers.items[1].host, "::1");
    assert_int_equal(s.nats_servers.items[1].port, 4223);

    char *shown = printed_values(&s);
    assert_true(has_line(
        shown, "PORT_CHECKER_NATS_URL=tls://nats.example.org:4222,nats://[::1]:4223"));
    assert_true(has_line(shown, "PORT_CHECKER_VANTAGES=us-1,ap-1"));
    free(shown);
}

static void settings_of_places_need_one_another(void **state)
{
    (void)state;
    static const struct {
        const char *entries[4];
        const char *message;
    } cases[] = {
        {{"PORT_CHECKER_FRONT=gw"},
         "PORT_CHECKER_FRONT is set (from the environment), but PORT_CHECKER_NATS_URL is "
         "not: set both"},
        {{"PORT_CHECKER_VANTAGE=eu-1"},
         "PORT_CHECKER_VANTAGE is set (from the environment), but PORT_CHECKER_NATS_URL is "
         "not: set both"},
        {{URL, "PORT_CHECKER_VANTAGE=eu-1", "PORT_CHECKER_QUORUM=2"},
         "PORT_CHECKER_QUORUM is set (from the environment), but PORT_CHECKER_FRONT is "
         "not: "
         "set both"},
        {{URL},
         "PORT_CHECKER_NATS_URL is set (from the environment), but neither "
         "PORT_CHECKER_FRONT nor PORT_CHECKER_VANTAGE is: set one or both"},
        {{URL, "PORT_CHECKER_FRONT=gw", "PORT_CHECKER_VANTAGES=eu-1",
          "PORT_CHECKER_QUORUM=3"},
         "PORT_CHECKER_QUORUM=3 is more than there are places: this one and the 1 in "
         "PORT_CHECKER_VANTAGES"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *entries[5] = {NULL};
        struct settings s;
        struct err err = {.message = ""};
        memcpy(entries, cases[i].entries, sizeof cases[i].entries);
        assert_false(load_entries(entries, &s, &err));
        assert_int_equal(err.kind, ERR_INVALID);
        assert_string_equal(err.message, cases[i].message);
    }
}

static void a_wrong_value_is_refused_and_named(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *value;
        const char *hint; /* the end of the message; "" = it ends with what is accepted */
    } cases[] = {
        {"PORT_CHECKER_HOST", "[::1]", " (leave out the brackets)"},
        {"PORT_CHECKER_HOST", "localhost", " (names are not resolved; give the address)"},
        {"PORT_CHECKER_HOST", "127.0.0.1:80", " (set the port with PORT_CHECKER_PORT)"},
        {"PORT_CHECKER_HOST", "fe80::1%lo", " (an address with a zone cannot be bound)"},
        {"PORT_CHECKER_HOST", "fe80::1",
         " (a link-local address needs a zone and cannot be bound; try ::)"},
        {"PORT_CHECKER_HOST", "ff02::1",
         " (clients cannot connect to a multicast address)"},
        {"PORT_CHECKER_HOST", "239.255.255.255",
         " (clients cannot connect to a multicast address)"},
        {"PORT_CHECKER_HOST", "127.1", ""},
        {"PORT_CHECKER_HOST", "::ffff:1.2.3.400", ""},
        {"PORT_CHECKER_PORT", "65536", ""},
        {"PORT_CHECKER_PORT", "-1", ""},
        {"PORT_CHECKER_PORT", "+80", ""},
        {"PORT_CHECKER_PORT", "0x50", ""},
        {"PORT_CHECKER_PORT", "80 81", ""},
        {"PORT_CHECKER_PORT", "18446744073709551617", ""},
        {"PORT_CHECKER_PORT", "tcp://10.0.0.1:80",
         " (Kubernetes sets such values; see enableServiceLinks)"},
        {"PORT_CHECKER_DEBUG", "maybe", ""},
        {"PORT_CHECKER_DEBUG", "2", ""},
        {"PORT_CHECKER_DEBUG", "tru", ""},
        {"PORT_CHECK_TIMEOUT", "soon", ""},
        {"PORT_CHECK_TIMEOUT", "5s", " (leave out the unit)"},
        {"PORT_CHECK_TIMEOUT", "0.499999999", ""},
        {"PORT_CHECK_TIMEOUT", "20.000000001", ""},
        {"PORT_CHECK_TIMEOUT", "1.0000000001", ""},
        {"PORT_CHECK_TIMEOUT", "5.", ""},
        {"PORT_CHECK_TIMEOUT", ".5", ""},
        {"PORT_CHECK_TIMEOUT", "5,0", ""},
        {"PORT_CHECK_TIMEOUT", "1.5.0", ""},
        {"PORT_CHECK_TIMEOUT", "1e1", ""},
        {"PORT_CHECK_TIMEOUT", "inf", ""},
        {"PORT_CHECK_TIMEOUT", "nan", ""},
        {"PORT_CHECK_TIMEOUT", "-5", ""},
        {"PORT_CHECK_RETRIES", "0", ""},
        {"PORT_CHECK_RETRIES", "5", ""},
        {"PORT_CHECK_RETRIES", "1.0", ""},
        {"PORT_CHECK_RETRY_DELAY", "5.1", ""},
        {"PORT_CHECKER_WORKERS", "0", ""},
        {"PORT_CHECKER_WORKERS", "257", ""},
        {"PORT_CHECKER_TARGETS", "everybody", ""},
        {"PORT_CHECKER_TARGETS", "caller,public", ""},
        {"PORT_CHECKER_TRUSTED_PROXIES", ",", ""},
        {"PORT_CHECKER_TRUSTED_PROXIES", "10.0.0.0/8;::1",
         " (\"10.0.0.0/8;::1\": the prefix length is not a number from 0 to 32)"},
        {"PORT_CHECKER_METRICS_FROM", "::1,10.0.0.1/8",
         " (\"10.0.0.1/8\": it has bits beyond the prefix length; write 10.0.0.0/8)"},
        {"PORT_CHECKER_METRICS_FROM", "2001:db8:ff::/33",
         " (\"2001:db8:ff::/33\": it has bits beyond the prefix length; write "
         "2001:db8::/33)"},
        {"PORT_CHECKER_MAX_PORTS", "0", ""},
        {"PORT_CHECKER_MAX_PORTS", "65536", ""},
        {"PORT_CHECKER_MAX_PROBES", "0", ""},
        {"PORT_CHECKER_MAX_PROBES", "1000001", ""},
        {"PORT_CHECKER_MAX_CONNECTIONS", "0", ""},
        {"PORT_CHECKER_MAX_CONNECTIONS_PER_CALLER", "1000001", ""},
        {"PORT_CHECKER_RATE", "1200", ""},
        {"PORT_CHECKER_RATE", "1200/", ""},
        {"PORT_CHECKER_RATE", "/s", ""},
        {"PORT_CHECKER_RATE", "1.5/s", ""},
        {"PORT_CHECKER_RATE", "5/day", ""},
        {"PORT_CHECKER_RATE", "5 / s", ""},
        {"PORT_CHECKER_RATE", "1000001/s", ""},
        {"PORT_CHECKER_RATE", "0/s", " (give 0 without a unit)"},
        {"PORT_CHECKER_CORS_ORIGINS", "*,https://a", " (\"*\": it must stand alone)"},
        {"PORT_CHECKER_CORS_ORIGINS", "a.example",
         " (\"a.example\": it must begin with https:// or http://)"},
        {"PORT_CHECKER_CORS_ORIGINS", "https://a/",
         " (\"https://a/\": leave out the path and its slash)"},
        {"PORT_CHECKER_CORS_ORIGINS", "https://", " (\"https://\": it has no host)"},
        {"PORT_CHECKER_CORS_ORIGINS", "https://[1.2.3.4]",
         " (\"https://[1.2.3.4]\": it has no host)"},
        {"PORT_CHECKER_CORS_ORIGINS", "https://u@a",
         " (\"https://u@a\": a host name cannot contain these characters)"},
        {"PORT_CHECKER_CORS_ORIGINS", "https://a:0",
         " (\"https://a:0\": the port is not a number from 1 to 65535)"},
        {"PORT_CHECKER_CORS_ORIGINS",
         "https://a:", " (\"https://a:\": the port is not a number from 1 to 65535)"},
        {"PORT_CHECKER_USER", "a-name-of-thirty-three-characters",
         "at most 32 characters (it has 33)"},
        {"PORT_CHECKER_SANDBOX", "on", ""},
        {"PORT_CHECKER_LOG_FORMAT", "xml", ""},
        {"PORT_CHECKER_FRONT", "gw.eu", ""},
        {"PORT_CHECKER_VANTAGE", "EU-1", ""},
        {"PORT_CHECKER_VANTAGE", "a-name-of-thirty-three-characters", ""},
        {"PORT_CHECKER_VANTAGES", "eu-1,a_b",
         " (\"a_b\": a name has lower-case letters, digits and hyphens)"},
        {"PORT_CHECKER_VANTAGES", "eu-1 eu-1", " (\"eu-1\": it is listed twice)"},
        {"PORT_CHECKER_VANTAGES", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q",
         " (the list has more)"},
        {"PORT_CHECKER_QUORUM", "0", ""},
        {"PORT_CHECKER_QUORUM", "17", ""},
        {"PORT_CHECKER_VANTAGE_TARGETS", "auto", ""},
        {"PORT_CHECKER_VANTAGE_TARGETS", "caller", ""},
        {"PORT_CHECKER_NATS_URL", "nats.example.org",
         " (\"nats.example.org\": it must begin with tls:// or nats://)"},
        {"PORT_CHECKER_NATS_URL", "tls://u:p@a",
         " (\"tls://u:p@a\": the key belongs in PORT_CHECKER_NATS_CREDENTIALS)"},
        {"PORT_CHECKER_NATS_URL", "tls://", " (\"tls://\": it has no host)"},
        {"PORT_CHECKER_NATS_URL", "tls://a:0",
         " (\"tls://a:0\": after the host there may be a colon and a port)"},
        {"PORT_CHECKER_NATS_URL", "tls://a/b",
         " (\"tls://a/b\": after the host there may be a colon and a port)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct settings s;
        memset(&s, 0x5a, sizeof s);
        struct err err;
        if (load_one(cases[i].name, cases[i].value, &s, &err))
            fail_msg("%s=%s was taken", cases[i].name, cases[i].value);

        assert_int_equal(err.kind, ERR_INVALID);
        char start[320];
        snprintf(start, sizeof start,
                 "%s=\"%s\" (from the environment) is not valid; accepted: ", cases[i].name,
                 cases[i].value);
        assert_memory_equal(err.message, start, strlen(start));
        size_t len = strlen(err.message);
        size_t hint_len = strlen(cases[i].hint);
        assert_true(len > strlen(start) + hint_len);
        assert_string_equal(err.message + len - hint_len, cases[i].hint);
        if (hint_len == 0)
            assert_int_not_equal(err.message[len - 1], ')');
        assert_int_equal(s.port, 0x5a5a); /* written only on success */
    }
}

static void a_wrong_value_is_shown_escaped_and_bounded(void **state)
{
    (void)state;
    struct settings s;
    struct err err;
    assert_false(load_one("PORT_CHECK_RETRIES", "a\"b\\c\n\x1b[31m\xc3\xa9", &s, &err));
    assert_string_equal(err.message,
                        "PORT_CHECK_RETRIES=\"a\\\"b\\\\c\\x0a\\x1b[31m\\xc3\\xa9\" "
                        "(from the environment) is not valid; accepted: 1 to 4");

    char value[5001];
    memset(value, '7', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    assert_false(load_one("PORT_CHECK_RETRIES", value, &s, &err));
    assert_non_null(strstr(
        err.message, "777...\" (from the environment) is not valid; accepted: 1 to 4"));
}

static void lists_have_their_limits(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *item;
        unsigned max;
    } cases[] = {
        {"PORT_CHECKER_TRUSTED_PROXIES", "10.0.0.0/8,", CIDR_LIST_MAX},
        {"PORT_CHECKER_METRICS_FROM", "::1 ", CIDR_LIST_MAX},
        {"PORT_CHECKER_CORS_ORIGINS", "https://a.example,", SETTINGS_ORIGINS_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char value[2048] = "";
        size_t item_len = strlen(cases[i].item);
        for (unsigned k = 0; k < cases[i].max; k++)
            memcpy(value + k * item_len, cases[i].item, item_len + 1);
        struct settings s;
        struct err err;
        assert_true(load_one(cases[i].name, value, &s, &err));

        memcpy(value + cases[i].max * item_len, cases[i].item, item_len + 1);
        assert_false(load_one(cases[i].name, value, &s, &err));
        assert_non_null(strstr(err.message, " (the list has more)"));
    }
}

static void an_origin_and_a_path_have_their_limits(void **state)
{
    (void)state;
    struct settings s;
    struct err err;
    char value[4200];
    memset(value, 'a', sizeof value);
    memcpy(value, "http://", 7);
    value[255] = '\0';
    assert_true(load_one("PORT_CHECKER_CORS_ORIGINS", value, &s, &err));
    value[255] = 'a';
    value[256] = '\0';
    assert_false(load_one("PORT_CHECKER_CORS_ORIGINS", value, &s, &err));
    assert_non_null(strstr(err.message, "too long"));

    char entry[4300];
    const char *const entries[] = {entry, "PORT_CHECKER_TLS_CERT=/cert.pem", NULL};
    value[256] = 'a';
    value[4096] = '\0';
    snprintf(entry, sizeof entry, "PORT_CHECKER_TLS_KEY=%s", value);
    assert_false(load_entries(entries, &s, &err));
    assert_non_null(strstr(err.message, "it has 4096"));
    value[4095] = '\0';
    snprintf(entry, sizeof entry, "PORT_CHECKER_TLS_KEY=%s", value);
    assert_true(load_entries(entries, &s, &err));
    assert_int_equal(strlen(s.tls_key), 4095);
}

static void certificate_and_key_come_together(void **state)
{
    (void)state;
    struct settings s;
    struct err err;
    assert_false(load_one("PORT_CHECKER_TLS_CERT", "/c", &s, &err));
    assert_int_equal(err.kind, ERR_INVALID);
    assert_string_equal(err.message,
                        "PORT_CHECKER_TLS_KEY is not set, but PORT_CHECKER_TLS_CERT is "
                        "(from the environment): set both or neither");
    assert_false(load_one("PORT_CHECKER_TLS_KEY", "/k", &s, &err));
    assert_memory_equal(err.message, "PORT_CHECKER_TLS_CERT is not set", 32);

    const char *const both[] = {"PORT_CHECKER_TLS_CERT=/c", "PORT_CHECKER_TLS_KEY= /k ",
                                NULL};
    assert_true(load_entries(both, &s, &err));
    assert_string_equal(s.tls_cert, "/c");
    assert_string_equal(s.tls_key, "/k");
}

/* --- sources ---------------------------------------------------------------------- */

static void the_environment_wins_and_empty_is_not_set(void **state)
{
    (void)state;
    static const struct {
        const char *environment;
        const char *file;
        unsigned retries;
    } cases[] = {
        {"PORT_CHECK_RETRIES=2", "PORT_CHECK_RETRIES=3\n", 2},
        {"PORT_CHECK_RETRIES=2", "PORT_CHECK_RETRIES=wrong\n", 2},
        {"PORT_CHECK_RETRIES=", "PORT_CHECK_RETRIES=3\n", 3},
        {"PORT_CHECK_RETRIES= \t", "PORT_CHECK_RETRIES=3\n", 3},
        {"PORT_CHECK_RETRIES", "PORT_CHECK_RETRIES=3\n", 3},
        {"OTHER=2", "PORT_CHECK_RETRIES=3\n", 3},
        {"OTHER=2", "PORT_CHECK_RETRIES=4\nPORT_CHECK_RETRIES=3\n", 3},
        {"OTHER=2", "PORT_CHECK_RETRIES=4\nPORT_CHECK_RETRIES=\n", 1},
        {"OTHER=2", "PORT_CHECK_RETRIES=4\nPORT_CHECK_RETRIES\n", 1},
        {"OTHER=2", "export PORT_CHECK_RETRIES=' 4 '\r\n", 4},
        {"OTHER=2", "\xef\xbb\xbfPORT_CHECK_RETRIES=4\n", 4},
        {"OTHER=2", "OTHER_THING=5\n", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file(".env", cases[i].file);
        char entry[64];
        snprintf(entry, sizeof entry, "%s", cases[i].environment);
        char *environment[] = {entry, NULL};
        struct settings s;
        struct err err;
        assert_true(load(environment, NULL, &s, &err));
        assert_int_equal(s.check_retries, cases[i].retries);
    }
}

static void a_named_file_replaces_the_one_in_the_folder(void **state)
{
    (void)state;
    write_file(".env", "PORT_CHECK_RETRIES=2\n");
    write_file("other.env", "PORT_CHECKER_PORT=80\n");
    char *environment[] = {NULL};
    struct settings s;
    struct err err;
    assert_true(load(environment, "other.env", &s, &err));
    assert_int_equal(s.check_retries, 1);
    assert_int_equal(s.port, 80);
}

static void a_file_may_be_missing_unless_it_was_named(void **state)
{
    (void)state;
    char *environment[] = {NULL};
    struct settings s;
    struct err err;
    assert_true(load(environment, NULL, &s, &err));

    assert_false(load(environment, "other.env", &s, &err));
    assert_int_equal(err.kind, ERR_INVALID);
    assert_string_equal(err.message, "other.env: No such file or directory");

    assert_int_equal(symlink("nowhere", ".env"), 0);
    assert_false(load(environment, NULL, &s, &err));
    assert_int_equal(err.kind, ERR_INVALID);
    assert_string_equal(err.message, ".env: No such file or directory");
}

static void a_file_that_cannot_be_read_stops_the_start(void **state)
{
    (void)state;
    char *environment[] = {NULL};
    struct settings s;
    struct err err;
    assert_int_equal(mkdir(".env", 0700), 0);
    assert_false(load(environment, NULL, &s, &err));
    assert_int_equal(err.kind, ERR_INVALID);
    assert_string_equal(err.message, ".env: Is a directory");
    assert_int_equal(rmdir(".env"), 0);

    write_file(".env", "A=1\n\nnot a line\n");
    assert_false(load(environment, NULL, &s, &err));
    assert_int_equal(err.kind, ERR_INVALID);
    assert_string_equal(err.message, ".env: line 3: expected NAME=value");

    write_file(".env", "PORT_CHECK_TIMEOUT=soon\n");
    assert_false(load(environment, NULL, &s, &err));
    assert_int_equal(err.kind, ERR_INVALID);
    assert_string_equal(err.message, "PORT_CHECK_TIMEOUT=\"soon\" (from .env) is not "
                                     "valid; accepted: 0.5 to 20 seconds");
}

static void a_file_of_one_mebibyte_is_the_longest(void **state)
{
    (void)state;
    char *environment[] = {NULL};
    struct settings s;
    struct err err;
    write_file(".env", "PORT_CHECK_RETRIES=2\n#");
    FILE *file = fopen(".env", "ae");
    assert_non_null(file);
    for (long left = (long)SETTINGS_FILE_MAX - ftell(file); left > 0; left--)
        fputc('x', file);
    assert_int_equal(fclose(file), 0);
    assert_true(load(environment, NULL, &s, &err));
    assert_int_equal(s.check_retries, 2);

    file = fopen(".env", "ae");
    assert_non_null(file);
    fputc('x', file);
    assert_int_equal(fclose(file), 0);
    assert_false(load(environment, NULL, &s, &err));
    assert_int_equal(err.kind, ERR_INVALID);
    assert_string_equal(err.message, ".env: longer than 1 MiB");
}

static void an_unknown_name_is_a_warning_with_the_nearest(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *nearest; /* NULL = no warning */
    } cases[] = {
        {"PORT_CHECKER_HOTS", "PORT_CHECKER_HOST"},
        {"PORT_CHECKER_PROT", "PORT_CHECKER_PORT"},
        {"PORT_CHECKER_TIMEOUT", "PORT_CHECK_TIMEOUT"},
        {"PORT_CHECKER_MAXPORTS", "PORT_CHECKER_MAX_PORTS"},
        {"port_checker_rate", "PORT_CHECKER_RATE"},
        {"PORT_CHECK_RETRY", "PORT_CHECK_RETRIES"},
        {"PORT_CHEC", NULL},
        {"XPORT_CHECKER_HOST", NULL},
        {"PATH", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static const char *const sources[] = {"the environment", "other.env"};
        for (size_t in_file = 0; in_file < 2; in_file++) {
            char entry[64];
            snprintf(entry, sizeof entry, "%s=1", cases[i].name);
            write_file("other.env", in_file ? entry : "");
            char *environment[] = {in_file ? NULL : entry, NULL};
            struct warnings warnings = {0};
            struct settings s;
            struct err err;
            assert_true(
                settings_load(environment, "other.env", keep_warning, &warnings, &s, &err));
            assert_int_equal(warnings.count, cases[i].nearest ? 1 : 0);
            if (!cases[i].nearest)
                continue;
            char expected[320];
            snprintf(expected, sizeof expected,
                     "unknown setting %s (from %s); did you mean %s?", cases[i].name,
                     sources[in_file], cases[i].nearest);
            assert_string_equal(warnings.last, expected);
        }
    }
}

static void warnings_are_bounded(void **state)
{
    (void)state;
    char text[4096];
    size_t len = 0;
    for (int i = 0; i < 100; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "PORT_CHECKER_X%d=1\n", i);
    write_file(".env", text);
    char *environment[] = {NULL};
    struct warnings warnings = {0};
    struct settings s;
    struct err err;
    assert_true(settings_load(environment, NULL, keep_warning, &warnings, &s, &err));
    assert_int_equal(warnings.count, 16 + 1);
    assert_string_equal(warnings.last, "more unknown settings are not shown");
}

/* --- print ------------------------------------------------------------------------ */

static void shown_values_can_be_read_back(void **state)
{
    (void)state;
    const char *const entries[] = {
        "PORT_CHECKER_HOST=::1",
        "PORT_CHECKER_RATE=61/h",
        "PORT_CHECK_TIMEOUT=0.75",
        "PORT_CHECKER_TRUSTED_PROXIES=10.0.0.0/8 fd00::/8",
        "PORT_CHECKER_CORS_ORIGINS=https://a.example:8443 http://[::1]",
        "PORT_CHECKER_TLS_CERT=/a folder/\"c\" # 1.pem",
        "PORT_CHECKER_TLS_KEY=/etc/ssl/k.pem",
        NULL,
    };
    struct settings s;
    struct err err;
    assert_true(load_entries(entries, &s, &err));
    char *once = printed_values(&s);

    write_file("other.env", once);
    char *empty[] = {NULL};
    struct settings again;
    assert_true(load(empty, "other.env", &again, &err));
    assert_string_equal(again.tls_cert, "/a folder/\"c\" # 1.pem");
    assert_string_equal(again.cors_origins.items[0], "https://a.example:8443");
    char *twice = printed_values(&again);
    assert_string_equal(once, twice);
    assert_true(has_line(
        once, "# PORT_CHECKER_MAX_PROBES is not set: derived from the descriptor limit"));
    free(once);
    free(twice);
}

static void every_form_names_every_setting(void **state)
{
    (void)state;
    static void (*const forms[])(FILE *) = {settings_print_help, settings_form_manual,
                                            settings_form_example, settings_form_markdown};
    struct settings s;
    struct err err;
    assert_true(load_one(NULL, NULL, &s, &err));
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char *values = printed_values(&s);
        char *form = printed(forms[i]);
        unsigned count = 0;
        for (const char *p = values; *p; p = strchr(p, '\n') + 1) {
            const char *name = strstr(p, "PORT_CHECK");
            char quoted[64];
            snprintf(quoted, sizeof quoted, "%.*s", (int)strcspn(name, "= "), name);
            assert_non_null(strstr(form, quoted));
            count++;
        }
        assert_int_equal(count, 33);
        free(form);
        free(values);
    }
}

static void help_fits_a_terminal_of_80_columns(void **state)
{
    (void)state;
    char *help = printed(settings_print_help);
    for (const char *line = help; *line; line += strcspn(line, "\n") + 1) {
        size_t len = strcspn(line, "\n");
        assert_true(len < 80);
        assert_true(len == 0 || line[len - 1] != ' ');
    }
    assert_null(strchr(help, '`'));
    free(help);
}

/* Without the comment signs it is a file that changes nothing. */
static void the_example_shows_the_defaults(void **state)
{
    (void)state;
    char *example = printed(settings_form_example);
    for (char *p = example; (p = strstr(p, "\n#PORT_")) != NULL;)
        p[1] = ' ';
    write_file("other.env", example);
    free(example);

    struct settings from_example, from_nothing;
    struct err err;
    char *environment[] = {NULL};
    assert_true(load(environment, "other.env", &from_example, &err));
    assert_true(load(environment, NO_FILE, &from_nothing, &err));
    char *a = printed_values(&from_example);
    char *b = printed_values(&from_nothing);
    assert_string_equal(a, b);
    free(a);
    free(b);
}

static void help_offers_all_targets(void **state)
{
    (void)state;
    char *help = printed(settings_print_help);
    static const char accepted[] = "Accepted: auto, caller, public or any.";
    assert_non_null(strstr(help, accepted));
#define X(NAME, text, description)                                                         \
    assert_non_null(strstr(help, "\n      " text ": "));                                   \
    assert_non_null(strstr(accepted, text));
    TARGETS_MAP(X)
#undef X
    free(help);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_design),
        cmocka_unit_test(a_good_value_is_taken),
        cmocka_unit_test(several_places_are_read),
        cmocka_unit_test(settings_of_places_need_one_another),
        cmocka_unit_test(a_wrong_value_is_refused_and_named),
        cmocka_unit_test(a_wrong_value_is_shown_escaped_and_bounded),
        cmocka_unit_test(lists_have_their_limits),
        cmocka_unit_test(an_origin_and_a_path_have_their_limits),
        cmocka_unit_test(certificate_and_key_come_together),
        IN_FOLDER(the_environment_wins_and_empty_is_not_set),
        IN_FOLDER(a_named_file_replaces_the_one_in_the_folder),
        IN_FOLDER(a_file_may_be_missing_unless_it_was_named),
        IN_FOLDER(a_file_that_cannot_be_read_stops_the_start),
        IN_FOLDER(a_file_of_one_mebibyte_is_the_longest),
        IN_FOLDER(an_unknown_name_is_a_warning_with_the_nearest),
        IN_FOLDER(warnings_are_bounded),
        IN_FOLDER(shown_values_can_be_read_back),
        cmocka_unit_test(every_form_names_every_setting),
        cmocka_unit_test(help_fits_a_terminal_of_80_columns),
        IN_FOLDER(the_example_shows_the_defaults),
        cmocka_unit_test(help_offers_all_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
