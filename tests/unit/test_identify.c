/* SPDX-License-Identifier: MIT
 *
 * Who calls: every kind of peer with every kind of trace. What an operator's Host and
 * Origin look like in detail is in test_access.c, and lists of proxies are in
 * test_forwarded.c.
 */
#include "policy/access.h"

#include "addresses.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define NONE         "(none)"

/* NULL: the value of the operator's curl http://localhost:7466. */
struct request {
    const char *peer, *local, *trusted, *host;
    bool is_http_1_0, has_forwarding_header;
    const char *forwarded_for, *forwarded, *forwarded_host, *origin, *site;
    bool is_listed, is_any_listed;
};

struct row {
    const char *sentence;
    struct request request;
    enum access_ground ground;
    const char *caller;
};

static const char *or_default(const char *value, const char *fallback)
{
    if (!value)
        return fallback;
    return strcmp(value, NONE) == 0 ? NULL : value;
}

static struct access_caller identify(const struct request *request)
{
    struct cidr_list trusted = {0};
    const struct access_facts facts = {
        .peer = address_of(or_default(request->peer, "127.0.0.1")),
        .local = address_of(or_default(request->local, "127.0.0.1")),
        .is_http_1_1 = !request->is_http_1_0,
        .host = or_default(request->host, "localhost:7466"),
        .origin = request->origin,
        .sec_fetch_site = request->site,
        .forwarded_for = request->forwarded_for,
        .forwarded = request->forwarded,
        .forwarded_host = request->forwarded_host,
        .has_forwarding_header = request->has_forwarding_header || request->forwarded_for ||
                                 request->forwarded || request->forwarded_host,
        .is_origin_listed = request->is_listed,
        .is_any_origin_listed = request->is_any_listed,
    };
    if (request->trusted)
        assert_true(cidr_parse(request->trusted, strlen(request->trusted),
                               &trusted.items[trusted.count++], NULL));
    return access_identify(&facts, &trusted);
}

static void assert_rows(const struct row *rows, size_t count)
{
    static const enum access_kind kinds[] = {
        [ACCESS_DIRECT] = CALLER_KNOWN,       [ACCESS_NAMED] = CALLER_KNOWN,
        [ACCESS_AT_HOME] = CALLER_OPERATOR,   [ACCESS_NOT_NAMED] = CALLER_UNKNOWN,
        [ACCESS_UNREADABLE] = CALLER_UNKNOWN, [ACCESS_NO_HOST] = CALLER_UNKNOWN,
        [ACCESS_STRANGER] = CALLER_UNKNOWN,   [ACCESS_UNDECLARED_PROXY] = CALLER_UNKNOWN,
    };
    for (size_t i = 0; i < count; i++) {
        char text[ADDRESS_TEXT_SIZE];
        struct access_caller caller = identify(&rows[i].request);
        if (caller.ground != rows[i].ground)
            fail_msg("%s: got %s, expected %s", rows[i].sentence,
                     access_ground_code(caller.ground), access_ground_code(rows[i].ground));
        if (strcmp(address_format(&caller.address, text), rows[i].caller) != 0)
            fail_msg("%s: got %s, expected %s", rows[i].sentence, text, rows[i].caller);
        assert_int_equal(caller.kind, kinds[caller.ground]);
    }
}

/* clang-format off */
static void a_peer_on_loopback_is_the_operator_or_unknown(void **state)
{
    (void)state;
    static const struct {
        const char *peer, *local, *caller;
    } ends[] = {
        {"127.0.0.1", "127.0.0.1", "127.0.0.1"}, {"::1", "::1", "::1"},
        {"::ffff:127.0.0.1", "::ffff:127.0.0.1", "127.0.0.1"},
        {"127.0.0.1", "127.0.1.1", "127.0.0.1"}, {"127.0.0.9", "127.0.0.1", "127.0.0.9"},
    };
    static const struct row rows[] = {
        {"localhost", {0}, ACCESS_AT_HOME, ""},
        {"127.0.0.1", {.host = "127.0.0.1:7466"}, ACCESS_AT_HOME, ""},
        {"::1", {.host = "[::1]:7466"}, ACCESS_AT_HOME, ""},
        {"through ssh -L", {.host = "localhost:8000"}, ACCESS_AT_HOME, ""},
        {"our page", {.origin = "http://localhost:7466", .site = "same-origin"},
         ACCESS_AT_HOME, ""},
        {"a listed page", {.origin = "https://a.example", .site = "cross-site",
                           .is_listed = true}, ACCESS_AT_HOME, ""},
        {"others are trusted", {.trusted = "10.0.0.0/8"}, ACCESS_AT_HOME, ""},

        {"own name", {.host = "myhost:7466"}, ACCESS_STRANGER, ""},
        {"own name's address", {.host = "127.0.1.1:7466"}, ACCESS_STRANGER, ""},
        {"a bare tunnel", {.host = "checker.example"}, ACCESS_STRANGER, ""},
        {"no Host", {.host = NONE}, ACCESS_STRANGER, ""},
        {"a rebound page", {.host = "evil.example:7466", .site = "same-origin",
                            .origin = "http://evil.example:7466"}, ACCESS_STRANGER, ""},
        {"another site", {.origin = "http://evil.example"}, ACCESS_STRANGER, ""},
        {"another site, any listed", {.origin = "http://evil.example",
                                      .is_any_listed = true}, ACCESS_STRANGER, ""},
        {"an image of another site", {.site = "cross-site"}, ACCESS_STRANGER, ""},
        {"a listed page, rebound", {.host = "evil.example", .is_listed = true,
                                    .origin = "https://a.example"}, ACCESS_STRANGER, ""},

        {"HTTP/1.0", {.is_http_1_0 = true}, ACCESS_UNDECLARED_PROXY, ""},
        {"HTTP/1.0, foreign Host", {.is_http_1_0 = true, .host = "checker.example"},
         ACCESS_UNDECLARED_PROXY, ""},
        {"HTTP/1.0 without Host", {.is_http_1_0 = true, .host = NONE},
         ACCESS_UNDECLARED_PROXY, ""},
        {"X-Forwarded-For", {.forwarded_for = "203.0.113.9"}, ACCESS_UNDECLARED_PROXY, ""},
        {"nonsense in it", {.forwarded_for = "unknown"}, ACCESS_UNDECLARED_PROXY, ""},
        {"an empty one", {.forwarded_for = ""}, ACCESS_UNDECLARED_PROXY, ""},
        {"Forwarded", {.forwarded = "for=203.0.113.9"}, ACCESS_UNDECLARED_PROXY, ""},
        {"X-Forwarded-Host", {.forwarded_host = "localhost"}, ACCESS_UNDECLARED_PROXY, ""},
        {"another header", {.has_forwarding_header = true}, ACCESS_UNDECLARED_PROXY, ""},
        {"a listed page through a proxy", {.has_forwarding_header = true,
          .origin = "https://a.example", .is_listed = true}, ACCESS_UNDECLARED_PROXY, ""},
    };
    for (size_t i = 0; i < COUNT(ends); i++) {
        struct row here[COUNT(rows)];
        memcpy(here, rows, sizeof rows);
        for (size_t j = 0; j < COUNT(rows); j++) {
            here[j].request.peer = ends[i].peer;
            here[j].request.local = ends[i].local;
            here[j].caller = ends[i].caller;
        }
        assert_rows(here, COUNT(here));
    }
}

static void a_declared_proxy_names_the_caller_or_it_is_unknown(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"X-Forwarded-For", {.forwarded_for = "203.0.113.9:80"}, ACCESS_NAMED,
         "203.0.113.9"},
        {"Forwarded", {.forwarded = "for=\"[2001:db8::9]:80\""}, ACCESS_NAMED,
         "2001:db8::9"},
        {"both", {.forwarded_for = "203.0.113.9", .forwarded = "for=203.0.113.8"},
         ACCESS_NAMED, "203.0.113.9"},
        {"any Host and version", {.forwarded_for = "203.0.113.9", .host = NONE,
                                  .is_http_1_0 = true}, ACCESS_NAMED, "203.0.113.9"},
        {"a private caller", {.forwarded_for = "192.168.1.5"}, ACCESS_NAMED, "192.168.1.5"},
        {"a link-local caller", {.forwarded_for = "fe80::1"}, ACCESS_NAMED, "fe80::1"},

        {"no header", {0}, ACCESS_NOT_NAMED, NULL},
        {"another header", {.has_forwarding_header = true}, ACCESS_NOT_NAMED, NULL},
        {"nonsense", {.forwarded_for = "unknown"}, ACCESS_UNREADABLE, NULL},
        {"nonsense and Forwarded", {.forwarded_for = "unknown",
                                    .forwarded = "for=203.0.113.9"}, ACCESS_UNREADABLE,
         NULL},
        {"empty and Forwarded", {.forwarded_for = "", .forwarded = "for=203.0.113.9"},
         ACCESS_UNREADABLE, NULL},
        {"hidden", {.forwarded = "for=_hidden"}, ACCESS_UNREADABLE, NULL},
        {"loopback", {.forwarded_for = "127.0.0.2"}, ACCESS_NO_HOST, NULL},
        {"mapped loopback", {.forwarded_for = "::ffff:127.0.0.1"}, ACCESS_NO_HOST, NULL},
        {"translated loopback", {.forwarded_for = "64:ff9b::7f00:1"}, ACCESS_NO_HOST, NULL},
        {"IPv6 loopback", {.forwarded = "for=\"[::1]\""}, ACCESS_NO_HOST, NULL},
        {"a group", {.forwarded_for = "224.0.0.1"}, ACCESS_NO_HOST, NULL},
        {"no address", {.forwarded_for = "0.0.0.0"}, ACCESS_NO_HOST, NULL},
        {"broadcast", {.forwarded_for = "255.255.255.255"}, ACCESS_NO_HOST, NULL},
    };
    static const struct {
        const char *peer, *trusted, *name;
    } proxies[] = {
        {"127.0.0.1", "127.0.0.1", "127.0.0.1"}, {"::1", "::1", "::1"},
        {"::ffff:127.0.0.1", "127.0.0.0/8", "127.0.0.1"},
        {"10.0.0.1", "10.0.0.0/8", "10.0.0.1"}, {"2001:db8::1", "2001:db8::1",
         "2001:db8::1"},
    };
    for (size_t i = 0; i < COUNT(proxies); i++) {
        struct row here[COUNT(rows)];
        memcpy(here, rows, sizeof rows);
        for (size_t j = 0; j < COUNT(rows); j++) {
            here[j].request.peer = proxies[i].peer;
            here[j].request.trusted = proxies[i].trusted;
            if (!here[j].caller)
                here[j].caller = proxies[i].name;
        }
        assert_rows(here, COUNT(here));
    }
}

static void any_other_peer_is_the_caller(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"direct", {.peer = "203.0.113.9", .local = "192.0.2.1", .host = "checker.example"},
         ACCESS_DIRECT, "203.0.113.9"},
        {"mapped", {.peer = "::ffff:203.0.113.9", .local = "::ffff:192.0.2.1"},
         ACCESS_DIRECT, "203.0.113.9"},
        {"HTTP/1.0", {.peer = "203.0.113.9", .local = "192.0.2.1", .is_http_1_0 = true,
                      .host = NONE}, ACCESS_DIRECT, "203.0.113.9"},
        {"behind its own proxy", {.peer = "203.0.113.9", .local = "192.0.2.1",
                                  .forwarded_for = "192.168.1.5"}, ACCESS_DIRECT,
         "203.0.113.9"},
        {"nonsense of a stranger", {.peer = "203.0.113.9", .local = "192.0.2.1",
                                    .forwarded = "\""}, ACCESS_DIRECT, "203.0.113.9"},
        {"not this proxy", {.peer = "203.0.113.9", .local = "192.0.2.1",
                            .trusted = "10.0.0.0/8", .forwarded_for = "203.0.113.7"},
         ACCESS_DIRECT, "203.0.113.9"},
        {"in the LAN", {.peer = "192.168.1.5", .local = "192.168.1.2", .host = "localhost"},
         ACCESS_DIRECT, "192.168.1.5"},

        /* the machine by its outer address: the operator's curl, or a proxy */
        {"itself", {.peer = "192.168.1.2", .local = "192.168.1.2", .host = "192.168.1.2"},
         ACCESS_DIRECT, "192.168.1.2"},
        {"itself, mapped", {.peer = "::ffff:192.168.1.2", .local = "192.168.1.2",
                            .forwarded_for = "203.0.113.9"}, ACCESS_UNDECLARED_PROXY,
         "192.168.1.2"},
        {"itself with a trace", {.peer = "192.168.1.2", .local = "192.168.1.2",
                                 .has_forwarding_header = true}, ACCESS_UNDECLARED_PROXY,
         "192.168.1.2"},
        {"itself over HTTP/1.0", {.peer = "192.168.1.2", .local = "192.168.1.2",
                                  .is_http_1_0 = true}, ACCESS_UNDECLARED_PROXY,
         "192.168.1.2"},
        {"from loopback to outside", {.local = "192.168.1.2"}, ACCESS_STRANGER,
         "127.0.0.1"},
    };
    assert_rows(rows, COUNT(rows));
}

static void a_page_of_another_site_is_told_by_the_browser(void **state)
{
    (void)state;
#define DIRECT .peer = "203.0.113.9", .local = "192.0.2.1"
#define PROXIED .peer = "10.0.0.1", .trusted = "10.0.0.1", .forwarded_for = "203.0.113.9"
#define EVIL "http://evil.example"
    static const struct {
        bool is_other_site;
        struct request request;
    } rows[] = {
        {false, {DIRECT}},
        {false, {DIRECT, .site = "none"}},
        {false, {DIRECT, .site = "same-origin", .origin = EVIL}},
        {true, {DIRECT, .site = "cross-site"}},
        {true, {DIRECT, .site = "same-site"}},
        {true, {DIRECT, .site = ""}},
        {true, {DIRECT, .host = "a.example", .site = "cross-site",
         .origin = "http://a.example"}},
        {true, {DIRECT, .host = "a.example", .origin = EVIL}},
        {true, {DIRECT, .host = "a.example", .origin = "null"}},
        {true, {DIRECT, .host = "a.example", .origin = ""}},
        {true, {DIRECT, .host = NONE, .origin = EVIL}},
        {true, {DIRECT, .host = "a.example", .origin = "http://a.example:7466"}},
        {true, {DIRECT, .host = "a.example", .origin = "http://a.example.evil.example"}},
        {false, {DIRECT, .host = "A.example:7466", .origin = "http://a.example:7466"}},
        {false, {DIRECT, .host = "a.example:80", .origin = "http://a.example"}},
        {false, {DIRECT, .host = "a.example:443", .origin = "https://a.example"}},
        {true, {DIRECT, .host = "a.example:80", .origin = "https://a.example"}},
        {false, {DIRECT, .host = "[2001:db8::1]:80", .origin = "http://[2001:db8::1]"}},
        {true, {DIRECT, .host = "[2001:db8::1]", .origin = "http://[2001:db8::2]"}},

        /* listed */
        {false, {DIRECT, .origin = EVIL, .site = "cross-site", .is_listed = true}},
        {false, {DIRECT, .origin = EVIL, .site = "cross-site", .is_any_listed = true}},
        {true, {DIRECT, .site = "cross-site", .is_any_listed = true}},

        /* a proxy sends its own Host */
        {false, {PROXIED, .origin = "https://a.example"}},
        {false, {PROXIED, .origin = "null"}},
        {true, {PROXIED, .origin = "https://a.example", .site = "cross-site"}},
        {false, {PROXIED, .origin = "https://a.example", .forwarded_host = "a.example"}},
        {false, {PROXIED, .origin = "https://a.example",
         .forwarded_host = "A.example:443"}},
        {false, {PROXIED, .origin = "https://a.example:8443",
         .forwarded_host = "a.example"}},
        {false, {PROXIED, .origin = "https://a.example",
                 .forwarded_host = " a.example, 10.0.0.5"}},
        {true, {PROXIED, .origin = EVIL, .forwarded_host = "a.example"}},
        {true, {PROXIED, .origin = EVIL, .forwarded_host = ""}},
        {true, {PROXIED, .origin = EVIL, .forwarded_host = "a.example, evil.example"}},
        {true, {PROXIED, .origin = "https://a.example:8443",
                .forwarded_host = "a.example:8444"}},
        {true, {PROXIED, .origin = "null", .forwarded_host = "a.example"}},
        /* of a peer that is not declared, X-Forwarded-Host is not used */
        {true, {DIRECT, .host = "a.example", .origin = EVIL,
         .forwarded_host = "evil.example"}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (identify(&rows[i].request).is_other_site != rows[i].is_other_site)
            fail_msg("row %zu: Origin %s, site %s", i, rows[i].request.origin,
                     rows[i].request.site);
    }
}
/* clang-format on */

static void every_refusal_names_both_cures(void **state)
{
    (void)state;
    static const enum access_ground unknown[] = {ACCESS_NOT_NAMED, ACCESS_UNREADABLE,
                                                 ACCESS_NO_HOST, ACCESS_UNDECLARED_PROXY,
                                                 ACCESS_STRANGER};
    for (size_t i = 0; i < COUNT(unknown); i++) {
        const char *sentence = access_ground_sentence(unknown[i]);
        assert_non_null(strstr(sentence, "PORT_CHECKER_TRUSTED_PROXIES"));
        assert_non_null(strstr(sentence, "http://localhost"));
        assert_true(strlen(access_ground_code(unknown[i])) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_on_loopback_is_the_operator_or_unknown),
        cmocka_unit_test(a_declared_proxy_names_the_caller_or_it_is_unknown),
        cmocka_unit_test(any_other_peer_is_the_caller),
        cmocka_unit_test(a_page_of_another_site_is_told_by_the_browser),
        cmocka_unit_test(every_refusal_names_both_cures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
