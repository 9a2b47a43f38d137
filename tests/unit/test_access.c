/* SPDX-License-Identifier: MIT */
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

/* Blocks separated by spaces; NULL: none. */
static struct cidr_list parse_list(const char *text)
{
    struct cidr_list list = {0};
    while (text && *text) {
        size_t len = strcspn(text, " ");
        assert_true(cidr_parse(text, len, &list.items[list.count++], NULL));
        text += len + (text[len] == ' ');
    }
    return list;
}

static void assert_is(const struct address *address, const char *expected)
{
    char text[ADDRESS_TEXT_SIZE];
    assert_string_equal(address_format(address, text), expected);
}

/* ---- the caller --------------------------------------------------------------------- */

static void the_caller_is_the_peer_or_what_a_trusted_proxy_says(void **state)
{
    (void)state;
    static const struct {
        const char *sentence, *peer, *trusted, *forwarded_for;
        const char *caller; /* NULL: unknown */
    } rows[] = {
        {"no proxy", "198.51.100.7", NULL, NULL, "198.51.100.7"},
        {"a mapped peer is unwrapped", "::ffff:198.51.100.7", NULL, NULL, "198.51.100.7"},
        {"IPv6", "2001:db8::7", NULL, NULL, "2001:db8::7"},

        /* strangers cannot choose their address */
        {"nobody is trusted", "198.51.100.7", NULL, "203.0.113.9", "198.51.100.7"},
        {"not this one", "198.51.100.7", "10.0.0.0/8", "203.0.113.9", "198.51.100.7"},
        {"nonsense of a stranger", "198.51.100.7", "10.0.0.0/8", "x, ,", "198.51.100.7"},
        {"loopback is no proxy", "127.0.0.1", NULL, "203.0.113.9", NULL},
        {"a stranger names a proxy", "198.51.100.7", "10.0.0.0/8", "10.0.0.1",
         "198.51.100.7"},

        /* a trusted proxy can */
        {"one proxy", "10.0.0.1", "10.0.0.0/8", "203.0.113.9", "203.0.113.9"},
        {"a mapped proxy", "::ffff:10.0.0.1", "10.0.0.0/8", "203.0.113.9", "203.0.113.9"},
        {"listed as mapped", "10.0.0.1", "::ffff:10.0.0.0/104", "203.0.113.9",
         "203.0.113.9"},
        {"a proxy on this machine", "127.0.0.1", "127.0.0.0/8", "203.0.113.9",
         "203.0.113.9"},
        {"IPv6 all along", "fd00::1", "fd00::/8", "2001:db8::9", "2001:db8::9"},
        {"a mapped client is unwrapped", "10.0.0.1", "10.0.0.0/8", "::ffff:203.0.113.9",
         "203.0.113.9"},
        {"blanks around", "10.0.0.1", "10.0.0.0/8", " \t203.0.113.9\t ", "203.0.113.9"},
        {"two proxies", "10.0.0.1", "10.0.0.0/8", "203.0.113.9, 10.0.0.2", "203.0.113.9"},
        {"a mapped proxy on the way", "10.0.0.1", "10.0.0.0/8",
         "203.0.113.9,::ffff:10.0.0.2", "203.0.113.9"},
        {"lists of two kinds", "10.0.0.1", "10.0.0.0/8 2001:db8:5::/48",
         "203.0.113.9,2001:db8:5::1, 10.0.0.2 ,10.0.0.3", "203.0.113.9"},
        {"a proxy that names no caller", "10.0.0.1", "10.0.0.0/8", NULL, NULL},
        {"it names loopback", "10.0.0.1", "10.0.0.0/8", "127.0.0.1", NULL},
        {"it names loopback, mapped", "10.0.0.1", "10.0.0.0/8", "::ffff:127.9.9.9", NULL},
        {"it names no host", "10.0.0.1", "10.0.0.0/8", "0.0.0.0", NULL},
        {"only proxies: the leftmost", "10.0.0.1", "10.0.0.0/8", "10.0.0.3, 10.0.0.2",
         "10.0.0.3"},

        /* what a client put in front does not count */
        {"a forged front", "10.0.0.1", "10.0.0.0/8", "192.0.2.1, 203.0.113.9",
         "203.0.113.9"},
        {"a forged proxy in front", "10.0.0.1", "10.0.0.0/8",
         "192.0.2.1, 10.9.9.9, "
         "203.0.113.9, 10.0.0.2",
         "203.0.113.9"},
        {"nonsense in front", "10.0.0.1", "10.0.0.0/8", "<script>, ,unknown, 203.0.113.9",
         "203.0.113.9"},
        {"nonsense in front, two lines joined", "10.0.0.1", "10.0.0.0/8",
         "unknown, 203.0.113.9, 10.0.0.2", "203.0.113.9"},

        /* an invalid element hides the caller */
        {"empty", "10.0.0.1", "10.0.0.0/8", "", NULL},
        {"blank", "10.0.0.1", "10.0.0.0/8", "  \t", NULL},
        {"a comma", "10.0.0.1", "10.0.0.0/8", ",", NULL},
        {"a comma at the end", "10.0.0.1", "10.0.0.0/8", "203.0.113.9,", NULL},
        {"a comma in front of a proxy", "10.0.0.1", "10.0.0.0/8", ", 10.0.0.2", NULL},
        {"two commas", "10.0.0.1", "10.0.0.0/8", "203.0.113.9,, 10.0.0.2", NULL},
        {"unknown", "10.0.0.1", "10.0.0.0/8", "unknown", NULL},
        {"unknown before a proxy", "10.0.0.1", "10.0.0.0/8",
         "203.0.113.9, unknown, 10.0.0.2", NULL},
        {"a name", "10.0.0.1", "10.0.0.0/8", "localhost", NULL},
        {"quotes", "10.0.0.1", "10.0.0.0/8", "\"203.0.113.9\"", NULL},
        {"a zone", "10.0.0.1", "10.0.0.0/8", "fe80::1%eth0", NULL},
        {"octal", "10.0.0.1", "10.0.0.0/8", "0313.0.113.9", NULL},
        {"short", "10.0.0.1", "10.0.0.0/8", "127.1", NULL},
        {"blanks for commas", "10.0.0.1", "10.0.0.0/8", "203.0.113.9 10.0.0.2", NULL},
        {"another blank", "10.0.0.1", "10.0.0.0/8", "\v203.0.113.9", NULL},
        {"the form of Forwarded", "10.0.0.1", "10.0.0.0/8", "for=203.0.113.9", NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct cidr_list trusted = parse_list(rows[i].trusted);
        struct access_facts facts = {
            .peer = address_of(rows[i].peer),
            .local = address_of("192.0.2.200"),
            .is_http_1_1 = true,
            .host = "checker.example",
            .forwarded_for = rows[i].forwarded_for,
            .has_forwarding_header = rows[i].forwarded_for,
        };
        address_set_port(&facts.peer, 50123);
        struct access_caller caller = access_identify(&facts, &trusted);
        if (caller.kind != (rows[i].caller ? CALLER_KNOWN : CALLER_UNKNOWN))
            fail_msg("%s: known must be %d", rows[i].sentence, rows[i].caller != NULL);
        assert_int_equal(address_port(&caller.address), 0);
        if (rows[i].caller)
            assert_is(&caller.address, rows[i].caller);
    }
}

static void a_caller_that_is_not_known_is_named_by_its_proxy(void **state)
{
    (void)state;
    struct cidr_list trusted = parse_list("10.0.0.0/8");
    struct access_facts facts = {
        .peer = address_of("::ffff:10.0.0.1"),
        .local = address_of("10.0.0.2"),
        .forwarded_for = "203.0.113.9, nonsense, 10.0.0.5",
        .has_forwarding_header = true,
    };
    struct access_caller caller = access_identify(&facts, &trusted);
    assert_int_equal(caller.kind, CALLER_UNKNOWN);
    assert_is(&caller.address, "10.0.0.1");
}

/* ---- the operator ------------------------------------------------------------------- */

#define ABSENT "(absent)"

/* curl on the checker's own machine, except for what a row says. NULL: the operator's
 * value. */
struct operator_row {
    const char *sentence;
    bool is_operator;
    const char *peer, *local, *trusted, *host, *origin, *site, *forwarded_for;
    bool is_http_1_0, is_tls, has_forwarding_header;
};

static const char *or_default(const char *value, const char *fallback)
{
    if (!value)
        return fallback;
    return strcmp(value, ABSENT) == 0 ? NULL : value;
}

static void assert_operator(const struct operator_row *row)
{
    struct cidr_list trusted = parse_list(row->trusted);
    struct access_facts facts = {
        .peer = address_of(or_default(row->peer, "127.0.0.1")),
        .local = address_of(or_default(row->local, "127.0.0.1")),
        .is_http_1_1 = !row->is_http_1_0,
        .is_tls = row->is_tls,
        .host = or_default(row->host, "localhost:7466"),
        .origin = row->origin,
        .sec_fetch_site = row->site,
        .forwarded_for = row->forwarded_for,
        .has_forwarding_header = row->has_forwarding_header,
    };
    address_set_port(&facts.peer, 50123);
    address_set_port(&facts.local, 7466);
    enum access_kind kind = access_identify(&facts, &trusted).kind;
    if ((kind == CALLER_OPERATOR) != row->is_operator)
        fail_msg("%s: operator must be %d", row->sentence, row->is_operator);
    if (address_is_loopback(&facts.peer) && kind == CALLER_KNOWN)
        fail_msg("%s: only the operator is known on loopback", row->sentence);
}

/* clang-format off */
static void the_operator_is_known_by_every_clause(void **state)
{
    (void)state;
    static const struct operator_row rows[] = {
        {.sentence = "curl on the machine", .is_operator = true},

        /* a loopback peer, talking to a loopback address */
        {.sentence = "over IPv6", .peer = "::1", .local = "::1", .is_operator = true},
        {.sentence = "mapped", .peer = "::ffff:127.0.0.1", .local = "::ffff:127.0.0.1",
         .is_operator = true},
        {.sentence = "another loopback address", .peer = "127.0.0.9", .local = "127.1.2.3",
         .is_operator = true},
        {.sentence = "a peer in the LAN", .peer = "192.168.1.5"},
        {.sentence = "a peer with a public address", .peer = "198.51.100.7"},
        {.sentence = "an IPv6 peer", .peer = "fe80::1"},
        {.sentence = "a peer that embeds a loopback address", .peer = "64:ff9b::7f00:1"},
        {.sentence = "a peer that is IPv4-compatible loopback", .peer = "::127.0.0.1"},
        {.sentence = "the machine's own outside address", .peer = "192.168.1.2",
         .local = "192.168.1.2"},
        {.sentence = "a loopback peer to an outside address", .local = "192.168.1.2"},

        /* outside the trusted proxies */
        {.sentence = "a trusted proxy", .trusted = "127.0.0.1"},
        {.sentence = "in a trusted block", .trusted = "10.0.0.0/8 127.0.0.0/8"},
        {.sentence = "mapped in a trusted block", .trusted = "127.0.0.0/8",
         .peer = "::ffff:127.0.0.1"},
        {.sentence = "IPv6 trusted", .trusted = "::1", .peer = "::1", .local = "::1"},
        {.sentence = "others are trusted", .trusted = "10.0.0.0/8 ::1 127.0.0.2",
         .is_operator = true},

        /* HTTP/1.1 */
        {.sentence = "HTTP/1.0, as nginx speaks it", .is_http_1_0 = true},

        /* no trace of a proxy */
        {.sentence = "some forwarding header", .has_forwarding_header = true},
        {.sentence = "X-Forwarded-For", .forwarded_for = "127.0.0.1",
         .has_forwarding_header = true},
        {.sentence = "X-Forwarded-For alone", .forwarded_for = "127.0.0.1"},
        {.sentence = "an empty X-Forwarded-For", .forwarded_for = ""},

        /* no page of another site */
        {.sentence = "typed into a browser", .site = "none", .is_operator = true},
        {.sentence = "our own page", .site = "same-origin",
         .origin = "http://localhost:7466", .is_operator = true},
        {.sentence = "a page of the same site", .site = "same-site"},
        {.sentence = "a page of another site", .site = "cross-site"},
        {.sentence = "an empty Sec-Fetch-Site", .site = ""},
        {.sentence = "two Sec-Fetch-Sites", .site = "none, none"},
        {.sentence = "another case", .site = "None"},
        {.sentence = "more than it", .site = "same-origin-ish"},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_operator(&rows[i]);
}

static void the_operators_host_is_a_loopback_one(void **state)
{
    (void)state;
    static const char *const good[] = {
        "localhost", "localhost:80", "localhost:7466", "localhost:1", "localhost:65535",
        "LocalHost:7466", "LOCALHOST", "127.0.0.1", "127.0.0.1:7466", "127.255.255.255",
        "[::1]", "[::1]:7466", "[0:0:0:0:0:0:0:1]:80", "[::ffff:127.0.0.1]:80",
    };
    static const char *const bad[] = {
        ABSENT, "", " ", "localhost ", " localhost", "localhost.", "localhost.example",
        "xlocalhost", "localhos", "evil.example", "localhost.evil.example:7466",
        "evil.example:7466", "127.0.0.1.evil.example", "127.0.0.1.nip.io",
        /* addresses that are not loopback */
        "0.0.0.0", "0.0.0.0:7466", "192.168.1.2", "198.51.100.7:7466", "[::]", "[fe80::1]",
        "[::127.0.0.1]", "128.0.0.1", "126.255.255.255", "[::2]", "[64:ff9b::7f00:1]",
        /* the machine's own name, and the address that Debian gives it */
        "myhost", "myhost:7466", "127.0.1.1", "127.0.1.1:7466", "[::ffff:127.0.1.1]",
        /* other spellings */
        "127.1", "2130706433", "0177.0.0.1", "0x7f.1", "127.0.0.01", "::1", "::1:7466",
        "[::1", "::1]", "[::1]]", "[[::1]]", "[]", "[", "]", "[127.0.0.1]", "[localhost]",
        "[::1%lo]", "[::1]7466", "[::1] :80", "[ ::1]",
        /* ports */
        "localhost:", "localhost:0", "localhost:65536", "localhost:99999", "localhost:-1",
        "localhost:+80", "localhost: 80", "localhost:80 ", "localhost:80a", "localhost:0x50",
        "localhost:http", "localhost:80:80", "localhost::80", ":80", "127.0.0.1:",
        "127.0.0.1:0", "[::1]:", "[::1]:0", "[::1]:65536", "[::1]:80:80",
        "localhost:000080", "localhost:18446744073709551696",
        /* more than a host and port */
        "user@localhost", "localhost@evil.example", "localhost/", "localhost:80/",
        "http://localhost", "localhost, localhost", "localhost,evil.example",
        "localhost\t", "localhost#", "localhost?",
    };
    for (size_t i = 0; i < COUNT(good); i++)
        assert_operator(
            &(struct operator_row){.sentence = good[i], .host = good[i], .is_operator = true});
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_operator(&(struct operator_row){.sentence = bad[i], .host = bad[i]});
}

static void an_origin_is_the_operators_when_it_equals_host(void **state)
{
    (void)state;
    static const struct {
        const char *host, *origin;
        bool is_tls, is_operator;
    } rows[] = {
        {"localhost:7466", "http://localhost:7466", false, true},
        {"LOCALHOST:7466", "http://localhost:7466", false, true},
        {"localhost:7466", "HTTP://LocalHost:7466", false, true},
        {"127.0.0.1:7466", "http://127.0.0.1:7466", false, true},
        {"[::1]:7466", "http://[::1]:7466", false, true},
        {"[::1]:7466", "http://[0:0:0:0:0:0:0:1]:7466", false, true},
        {"localhost:7466", "https://localhost:7466", true, true},

        /* the port that a scheme stands for */
        {"localhost", "http://localhost", false, true},
        {"localhost:80", "http://localhost", false, true},
        {"localhost", "http://localhost:80", false, true},
        {"localhost", "https://localhost", true, true},
        {"localhost:443", "https://localhost", true, true},
        {"localhost", "https://localhost:443", true, true},
        {"localhost:80", "https://localhost", true, false},
        {"localhost:443", "http://localhost", false, false},
        {"localhost:7466", "http://localhost", false, false},
        {"localhost", "http://localhost:7466", false, false},

        /* another port of this machine is another site */
        {"localhost:7466", "http://localhost:7467", false, false},
        {"localhost:7466", "http://127.0.0.1:7466", false, false},
        {"127.0.0.1:7466", "http://localhost:7466", false, false},
        {"127.0.0.1:7466", "http://127.0.0.2:7466", false, false},
        {"127.0.0.1:7466", "http://[::1]:7466", false, false},
        {"localhost:7466", "https://localhost:7466", false, false},
        {"localhost", "https://localhost", false, false},
        {"localhost:7466", "http://localhost:7466", true, false},

        /* another site in any disguise */
        {"localhost:7466", "null", false, false},
        {"localhost:7466", "", false, false},
        {"localhost:7466", "localhost:7466", false, false},
        {"localhost:7466", "//localhost:7466", false, false},
        {"localhost:7466", "http:localhost:7466", false, false},
        {"localhost:7466", "http:/localhost:7466", false, false},
        {"localhost:7466", "http://", false, false},
        {"localhost:7466", "http:", false, false},
        {"localhost:7466", "ftp://localhost:7466", false, false},
        {"localhost:7466", "file://", false, false},
        {"localhost:7466", "chrome-extension://localhost:7466", false, false},
        {"localhost:7466", "http://evil.example", false, false},
        {"localhost:7466", "http://evil.example:7466", false, false},
        {"localhost:7466", "http://localhost.evil.example:7466", false, false},
        {"localhost:7466", "http://localhost:7466.evil.example", false, false},
        {"localhost:7466", "http://localhost:7466@evil.example", false, false},
        {"localhost:7466", "http://evil.example@localhost:7466", false, false},
        {"localhost:7466", "http://localhost:7466/", false, false},
        {"localhost:7466", "http://localhost:7466/page", false, false},
        {"localhost:7466", "http://localhost:7466 ", false, false},
        {"localhost:7466", " http://localhost:7466", false, false},
        {"localhost:7466", "http://localhost:7466, http://localhost:7466", false, false},
        {"localhost:7466", "http://localhost:7466 http://evil.example", false, false},
        /* equal, but not loopback: a name that was made to resolve to 127.0.0.1 */
        {"evil.example:7466", "http://evil.example:7466", false, false},
        {"192.168.1.2:7466", "http://192.168.1.2:7466", false, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char sentence[256];
        snprintf(sentence, sizeof sentence, "Host %s, Origin %s", rows[i].host,
                 rows[i].origin);
        assert_operator(&(struct operator_row){.sentence = sentence,
                                               .host = rows[i].host,
                                               .origin = rows[i].origin,
                                               .is_tls = rows[i].is_tls,
                                               .is_operator = rows[i].is_operator});
    }
}
/* clang-format on */

static void nobody_becomes_the_operator_through_a_proxy(void **state)
{
    (void)state;
    struct cidr_list trusted = parse_list("127.0.0.0/8");
    struct access_facts facts = {
        .peer = address_of("127.0.0.1"),
        .local = address_of("127.0.0.1"),
        .is_http_1_1 = true,
        .host = "localhost:7466",
        .forwarded_for = "::1",
        .has_forwarding_header = true,
    };
    struct access_caller caller = access_identify(&facts, &trusted);
    assert_int_equal(caller.ground, ACCESS_NO_HOST);

    struct cidr_list nobody = parse_list(NULL);
    caller = access_identify(&facts, &nobody);
    assert_int_equal(caller.ground, ACCESS_UNDECLARED_PROXY);
}

/* ---- which addresses ---------------------------------------------------------------- */

static void addresses_that_are_nobodys_are_not_probeable(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_probeable;
    } rows[] = {
        {"0.0.0.0", false},
        {"0.0.0.1", false},
        {"0.255.255.255", false},
        {"1.0.0.0", true},
        {"10.0.0.1", true},
        {"100.64.0.1", true},
        {"127.0.0.1", true},
        {"169.254.1.1", true}, /* the rule names IPv6 link-local only */
        {"192.168.1.1", true},
        {"203.0.113.7", true},
        {"223.255.255.255", true},
        {"224.0.0.0", false},
        {"224.0.0.1", false},
        {"239.255.255.255", false},
        {"240.0.0.0", false},
        {"255.255.255.254", false},
        {"255.255.255.255", false},
        {"::", false},
        {"::1", true},
        {"::2", false},
        {"::127.0.0.1", false},
        {"::192.0.2.1", false},
        {"::ffff:ffff", false},
        {"::1:0:0", true},
        {"::fffe:ffff:ffff", true},
        {"200::1", true},
        {"2001:db8::1", true},
        {"fc00::1", true},
        {"fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
        {"fe80::", false},
        {"fe80::1", false},
        {"febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
        {"fec0::", true},
        {"feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
        {"ff00::", false},
        {"ff02::1", false},
        {"ff0e::1", false},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
        /* embedded */
        {"::ffff:0.0.0.0", false},
        {"::ffff:1.0.0.0", true},
        {"::ffff:127.0.0.1", true},
        {"::ffff:224.0.0.1", false},
        {"::ffff:255.255.255.255", false},
        {"64:ff9b::", false},
        {"64:ff9b::192.0.2.1", true},
        {"64:ff9b::223.255.255.255", true},
        {"64:ff9b::224.0.0.1", false},
        {"64:ff9b::255.255.255.255", false},
        {"64:ff9b::1:0:0", true},
        {"2002::", false},
        {"2002:0:1::", false},
        {"2002:c000:201::1", true},
        {"2002:dfff:ffff::", true},
        {"2002:e000:1::", false},
        {"2002:ffff:ffff::1", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address address = address_of(rows[i].text);
        if (access_is_probeable(&address) != rows[i].is_probeable)
            fail_msg("%s: probeable must be %d", rows[i].text, rows[i].is_probeable);
    }
}

/* ---- decisions ---------------------------------------------------------------------- */

#define OUR_IPV4 "198.41.0.4"
#define OUR_IPV6 "2001:500:1::53"

static bool is_ours(const struct address *address)
{
    struct address ipv4 = address_of(OUR_IPV4);
    struct address ipv6 = address_of(OUR_IPV6);
    return address_equals(address, &ipv4) || address_equals(address, &ipv6);
}

static bool is_ours_must_not_be_asked(const struct address *address)
{
    char text[ADDRESS_TEXT_SIZE];
    fail_msg("asked whether %s is ours", address_format(address, text));
    return true;
}

#define BROADCAST "192.168.1.255"

static bool is_broadcast(const struct address *address)
{
    struct address broadcast = address_of(BROADCAST);
    return address_equals(address, &broadcast);
}

static bool is_broadcast_must_not_be_asked(const struct address *address)
{
    char text[ADDRESS_TEXT_SIZE];
    fail_msg("asked whether %s is a broadcast address", address_format(address, text));
    return true;
}

static const struct access_machine machine = {is_ours, is_broadcast};

enum who {
    CALLER,
    OPERATOR,
    UNKNOWN,
};

static const enum access_kind kinds[] = {
    [CALLER] = CALLER_KNOWN, [OPERATOR] = CALLER_OPERATOR, [UNKNOWN] = CALLER_UNKNOWN};

struct decision_row {
    enum targets targets;
    enum who who;
    const char *caller, *target;
    enum access_reason reason;
};

static void assert_decision(const struct decision_row *row)
{
    struct access_caller caller = {
        .kind = kinds[row->who],
        .address = address_of(row->caller),
    };
    struct address target = address_of(row->target);
    bool asks = row->reason == ACCESS_PUBLIC_TARGET || row->reason == ACCESS_THIS_MACHINE ||
                (row->reason == ACCESS_OWN_ADDRESS && row->targets == TARGETS_PUBLIC);
    const struct access_machine asked = {asks ? is_ours : is_ours_must_not_be_asked,
                                         is_broadcast};
    struct access_decision decision = access_decide(&caller, &target, row->targets, &asked);
    if (decision.reason != row->reason)
        fail_msg("under %d may %s (%d) name %s: got %s, expected %s", row->targets,
                 row->caller, row->who, row->target, access_reason_code(decision.reason),
                 access_reason_code(row->reason));

    static const bool is_allowed[] = {
        [ACCESS_OWN_ADDRESS] = true,      [ACCESS_OPERATOR] = true,
        [ACCESS_PUBLIC_TARGET] = true,    [ACCESS_ANY_TARGET] = true,
        [ACCESS_CALLER_UNKNOWN] = false,  [ACCESS_NEVER] = false,
        [ACCESS_NOT_OWN_ADDRESS] = false, [ACCESS_NOT_PUBLIC] = false,
        [ACCESS_THIS_MACHINE] = false,
    };
    assert_int_equal(decision.is_allowed, is_allowed[row->reason]);

    struct address unmapped = address_unmap(&target);
    assert_true(address_equals(&decision.target, &unmapped));
}

/* clang-format off */
static void who_may_name_what(void **state)
{
    (void)state;
    static const struct decision_row rows[] = {
        /* auto: one's own address; the operator may name any unicast address */
        {TARGETS_AUTO, CALLER, "203.0.113.9", "203.0.113.9", ACCESS_OWN_ADDRESS},
        {TARGETS_AUTO, CALLER, "203.0.113.9", "::ffff:203.0.113.9", ACCESS_OWN_ADDRESS},
        {TARGETS_AUTO, CALLER, "2001:db8::9", "2001:db8::9", ACCESS_OWN_ADDRESS},
        {TARGETS_AUTO, CALLER, "203.0.113.9", "203.0.113.10", ACCESS_NOT_OWN_ADDRESS},
        {TARGETS_AUTO, CALLER, "2001:db8::9", "2001:db8::a", ACCESS_NOT_OWN_ADDRESS},
        {TARGETS_AUTO, CALLER, "203.0.113.9", "64:ff9b::203.0.113.9",
         ACCESS_NOT_OWN_ADDRESS},
        {TARGETS_AUTO, CALLER, "203.0.113.9", "2002:cb00:7109::", ACCESS_NOT_OWN_ADDRESS},
        {TARGETS_AUTO, CALLER, "203.0.113.9", "127.0.0.1", ACCESS_NOT_OWN_ADDRESS},
        {TARGETS_AUTO, CALLER, "127.0.0.1", "127.0.0.1", ACCESS_OWN_ADDRESS},
        {TARGETS_AUTO, CALLER, "127.0.0.1", "127.0.0.2", ACCESS_NOT_OWN_ADDRESS},
        {TARGETS_AUTO, CALLER, "127.0.0.1", "::1", ACCESS_NOT_OWN_ADDRESS},
        {TARGETS_AUTO, OPERATOR, "127.0.0.1", "127.0.0.1", ACCESS_OWN_ADDRESS},
        {TARGETS_AUTO, OPERATOR, "127.0.0.1", "::ffff:127.0.0.1", ACCESS_OWN_ADDRESS},
        {TARGETS_AUTO, OPERATOR, "127.0.0.1", "192.168.1.7", ACCESS_OPERATOR},
        {TARGETS_AUTO, OPERATOR, "127.0.0.1", "8.8.8.8", ACCESS_OPERATOR},
        {TARGETS_AUTO, OPERATOR, "127.0.0.1", "::1", ACCESS_OPERATOR},
        {TARGETS_AUTO, OPERATOR, "::1", "fd00::1", ACCESS_OPERATOR},

        /* caller: one's own address, without exception */
        {TARGETS_CALLER, CALLER, "203.0.113.9", "203.0.113.9", ACCESS_OWN_ADDRESS},
        {TARGETS_CALLER, CALLER, "203.0.113.9", "8.8.8.8", ACCESS_NOT_OWN_ADDRESS},
        {TARGETS_CALLER, OPERATOR, "127.0.0.1", "127.0.0.1", ACCESS_OWN_ADDRESS},
        {TARGETS_CALLER, OPERATOR, "127.0.0.1", "127.0.0.2", ACCESS_NOT_OWN_ADDRESS},
        {TARGETS_CALLER, OPERATOR, "127.0.0.1", "8.8.8.8", ACCESS_NOT_OWN_ADDRESS},

        /* public: any globally reachable address but this machine's */
        {TARGETS_PUBLIC, CALLER, "203.0.113.9", "8.8.8.8", ACCESS_PUBLIC_TARGET},
        {TARGETS_PUBLIC, CALLER, "203.0.113.9", "::ffff:8.8.8.8", ACCESS_PUBLIC_TARGET},
        {TARGETS_PUBLIC, CALLER, "203.0.113.9", "64:ff9b::808:808", ACCESS_PUBLIC_TARGET},
        {TARGETS_PUBLIC, CALLER, "203.0.113.9", "2002:808:808::1", ACCESS_PUBLIC_TARGET},
        {TARGETS_PUBLIC, CALLER, "203.0.113.9", "2606:4700:4700::1111",
         ACCESS_PUBLIC_TARGET},
        {TARGETS_PUBLIC, CALLER, "8.8.8.8", "8.8.8.8", ACCESS_OWN_ADDRESS},
        {TARGETS_PUBLIC, CALLER, "203.0.113.9", "192.168.1.1", ACCESS_NOT_PUBLIC},
        {TARGETS_PUBLIC, CALLER, "203.0.113.9", "127.0.0.1", ACCESS_NOT_PUBLIC},
        {TARGETS_PUBLIC, CALLER, "203.0.113.9", "::1", ACCESS_NOT_PUBLIC},
        {TARGETS_PUBLIC, CALLER, "203.0.113.9", "::ffff:127.0.0.1", ACCESS_NOT_PUBLIC},
        {TARGETS_PUBLIC, CALLER, "203.0.113.9", "64:ff9b::7f00:1", ACCESS_NOT_PUBLIC},
        {TARGETS_PUBLIC, CALLER, "203.0.113.9", "2002:a00:1::", ACCESS_NOT_PUBLIC},
        {TARGETS_PUBLIC, CALLER, "203.0.113.9", "169.254.169.254", ACCESS_NOT_PUBLIC},
        {TARGETS_PUBLIC, CALLER, "192.168.1.7", "192.168.1.7", ACCESS_NOT_PUBLIC},
        {TARGETS_PUBLIC, CALLER, "127.0.0.1", "127.0.0.1", ACCESS_NOT_PUBLIC},
        {TARGETS_PUBLIC, OPERATOR, "127.0.0.1", "192.168.1.7", ACCESS_NOT_PUBLIC},
        {TARGETS_PUBLIC, CALLER, "203.0.113.9", OUR_IPV4, ACCESS_THIS_MACHINE},
        {TARGETS_PUBLIC, CALLER, "203.0.113.9", "::ffff:" OUR_IPV4, ACCESS_THIS_MACHINE},
        {TARGETS_PUBLIC, CALLER, "203.0.113.9", "64:ff9b::" OUR_IPV4, ACCESS_THIS_MACHINE},
        {TARGETS_PUBLIC, CALLER, "203.0.113.9", "2002:c629:4::1", ACCESS_THIS_MACHINE},
        {TARGETS_PUBLIC, CALLER, "203.0.113.9", OUR_IPV6, ACCESS_THIS_MACHINE},
        {TARGETS_PUBLIC, CALLER, OUR_IPV4, OUR_IPV4, ACCESS_THIS_MACHINE},
        {TARGETS_PUBLIC, OPERATOR, "127.0.0.1", OUR_IPV4, ACCESS_THIS_MACHINE},

        /* any: any unicast address */
        {TARGETS_ANY, CALLER, "203.0.113.9", "8.8.8.8", ACCESS_ANY_TARGET},
        {TARGETS_ANY, CALLER, "203.0.113.9", "192.168.1.1", ACCESS_ANY_TARGET},
        {TARGETS_ANY, CALLER, "203.0.113.9", "127.0.0.1", ACCESS_ANY_TARGET},
        {TARGETS_ANY, CALLER, "203.0.113.9", "::1", ACCESS_ANY_TARGET},
        {TARGETS_ANY, CALLER, "203.0.113.9", OUR_IPV4, ACCESS_ANY_TARGET},
        {TARGETS_ANY, CALLER, "203.0.113.9", "203.0.113.9", ACCESS_OWN_ADDRESS},
        {TARGETS_ANY, OPERATOR, "127.0.0.1", "10.0.0.1", ACCESS_ANY_TARGET},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_decision(&rows[i]);
}
/* clang-format on */

static const enum targets all_targets[] = {TARGETS_AUTO, TARGETS_CALLER, TARGETS_PUBLIC,
                                           TARGETS_ANY};

static void what_is_nobodys_is_refused_to_everybody_under_any_setting(void **state)
{
    (void)state;
    static const char *const never[] = {
        "0.0.0.0",          "0.1.2.3",   "224.0.0.1",          "255.255.255.255",
        "240.0.0.1",        "::",        "::8.8.8.8",          "fe80::1",
        "ff02::1",          "ff0e::1",   "::ffff:0.0.0.0",     "::ffff:224.0.0.1",
        "64:ff9b::e000:1",  "64:ff9b::", "64:ff9b::ffff:ffff", "2002:e000:1::",
        "2002:ffff:ffff::",
    };
    for (size_t i = 0; i < COUNT(never); i++) {
        struct address target = address_of(never[i]);
        struct address unmapped = address_unmap(&target);
        char own[ADDRESS_TEXT_SIZE];
        address_format(&unmapped, own);
        for (size_t j = 0; j < COUNT(all_targets); j++) {
            enum targets targets = all_targets[j];
            assert_decision(&(struct decision_row){targets, CALLER, "203.0.113.9", never[i],
                                                   ACCESS_NEVER});
            assert_decision(&(struct decision_row){targets, OPERATOR, "127.0.0.1", never[i],
                                                   ACCESS_NEVER});
            /* even for the caller that has it */
            assert_decision(
                &(struct decision_row){targets, CALLER, own, never[i], ACCESS_NEVER});
        }
    }
}

static void an_unknown_caller_is_refused_before_anything_else(void **state)
{
    (void)state;
    static const char *const names[] = {"10.0.0.1", "8.8.8.8", "127.0.0.1", "0.0.0.0",
                                        "ff02::1"};
    for (size_t i = 0; i < COUNT(names); i++) {
        for (size_t j = 0; j < COUNT(all_targets); j++)
            assert_decision(&(struct decision_row){all_targets[j], UNKNOWN, "10.0.0.1",
                                                   names[i], ACCESS_CALLER_UNKNOWN});
    }
}

static void reasons_have_codes(void **state)
{
    (void)state;
    static const char *const codes[] = {
        "own_address",     "operator",       "public_target",
        "any_target",      "caller_unknown", "never_allowed",
        "not_own_address", "not_public",     "this_machine",
    };
    for (size_t i = 0; i < COUNT(codes); i++)
        assert_string_equal(access_reason_code((enum access_reason)i), codes[i]);
}

static void a_broadcast_address_of_an_own_network_is_never_probed(void **state)
{
    (void)state;
    static const struct {
        enum targets targets;
        enum who who;
        const char *caller, *target;
        enum access_reason reason;
    } rows[] = {
        {TARGETS_ANY, CALLER, "203.0.113.1", BROADCAST, ACCESS_NEVER},
        {TARGETS_ANY, CALLER, "203.0.113.1", "::ffff:" BROADCAST, ACCESS_NEVER},
        {TARGETS_ANY, CALLER, "203.0.113.1", "64:ff9b::" BROADCAST, ACCESS_NEVER},
        {TARGETS_ANY, CALLER, "203.0.113.1", "192.168.1.254", ACCESS_ANY_TARGET},
        {TARGETS_AUTO, OPERATOR, "127.0.0.1", BROADCAST, ACCESS_NEVER},
        {TARGETS_AUTO, CALLER, "203.0.113.1", BROADCAST, ACCESS_NOT_OWN_ADDRESS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct access_caller caller = {.kind = kinds[rows[i].who],
                                       .ground = ACCESS_DIRECT,
                                       .address = address_of(rows[i].caller)};
        struct address target = address_of(rows[i].target);
        struct access_decision decision =
            access_decide(&caller, &target, rows[i].targets, &machine);
        if (decision.reason != rows[i].reason)
            fail_msg("%s: %s", rows[i].target, access_reason_code(decision.reason));
    }
}

/* A trusted proxy could name any address as the caller. A TCP peer is a host. */
static void only_a_named_caller_can_be_a_broadcast_address(void **state)
{
    (void)state;
    static const struct access_machine peer = {is_ours, is_broadcast_must_not_be_asked};
    struct address target = address_of(BROADCAST);
    struct access_caller caller = {
        .kind = CALLER_KNOWN, .ground = ACCESS_NAMED, .address = target};
    assert_int_equal(access_decide(&caller, &target, TARGETS_CALLER, &machine).reason,
                     ACCESS_NEVER);
    caller.ground = ACCESS_DIRECT;
    assert_int_equal(access_decide(&caller, &target, TARGETS_CALLER, &peer).reason,
                     ACCESS_OWN_ADDRESS);
}

/* ---- refusals in words -------------------------------------------------------------- */

static const char *explain(enum targets targets, enum who who, const char *caller_text,
                           const char *target_text, char ret_text[ACCESS_EXPLANATION_SIZE])
{
    struct access_caller caller = {
        .kind = kinds[who],
        .ground = who == UNKNOWN ? ACCESS_UNREADABLE : ACCESS_DIRECT,
        .address = address_of(caller_text),
    };
    struct address target = address_of(target_text);
    struct access_decision decision = access_decide(&caller, &target, targets, &machine);
    assert_false(decision.is_allowed);
    return access_explain(&caller, &decision, ret_text);
}

static void a_refusal_names_both_addresses_and_the_way_out(void **state)
{
    (void)state;
    static const struct {
        enum targets targets;
        enum who who;
        const char *caller, *target;
        const char *said[3], *not_said;
    } rows[] = {
        {TARGETS_CALLER,
         CALLER,
         "203.0.113.9",
         "10.0.0.7",
         {"203.0.113.9", "10.0.0.7", "PORT_CHECKER_TARGETS=any"},
         "PORT_CHECKER_TARGETS=public"},
        {TARGETS_CALLER,
         CALLER,
         "203.0.113.9",
         "8.8.8.8",
         {"PORT_CHECKER_TARGETS=public", "PORT_CHECKER_TARGETS=any", "its own address"},
         "loopback"},
        {TARGETS_AUTO,
         CALLER,
         "203.0.113.9",
         "::ffff:10.0.0.7",
         {"203.0.113.9", " 10.0.0.7 ", "PORT_CHECKER_TARGETS=any"},
         "::ffff"},
        /* a caller with two families that came over the other one */
        {TARGETS_AUTO,
         CALLER,
         "2001:db8::7",
         "203.0.113.9",
         {"2001:db8::7", "203.0.113.9", "ask over IPv4"},
         "IPv6"},
        {TARGETS_CALLER,
         CALLER,
         "203.0.113.9",
         "2001:db8::7",
         {"2001:db8::7", "203.0.113.9", "ask over IPv6"},
         "IPv4"},
        {TARGETS_CALLER,
         CALLER,
         "203.0.113.9",
         "203.0.113.10",
         {"its own address", "203.0.113.9", "203.0.113.10"},
         "ask over"},
        {TARGETS_CALLER,
         OPERATOR,
         "127.0.0.1",
         "203.0.113.9",
         {"PORT_CHECKER_TARGETS=auto", "203.0.113.9", "127.0.0.1"},
         "PORT_CHECKER_TRUSTED_PROXIES"},
        {TARGETS_PUBLIC,
         CALLER,
         "203.0.113.9",
         "192.168.1.1",
         {"203.0.113.9", "192.168.1.1", "PORT_CHECKER_TARGETS=any"},
         "PORT_CHECKER_TARGETS=public"},
        {TARGETS_PUBLIC,
         CALLER,
         "203.0.113.9",
         OUR_IPV4,
         {"203.0.113.9", OUR_IPV4, "PORT_CHECKER_TARGETS=any"},
         "IANA"},
        {TARGETS_ANY,
         OPERATOR,
         "127.0.0.1",
         "224.0.0.1",
         {"127.0.0.1", "224.0.0.1", "no setting allows them"},
         "PORT_CHECKER_"},
        {TARGETS_AUTO,
         UNKNOWN,
         "10.0.0.1",
         "203.0.113.9",
         {"PORT_CHECKER_TRUSTED_PROXIES", "X-Forwarded-For", "http://localhost"},
         "PORT_CHECKER_TARGETS"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[ACCESS_EXPLANATION_SIZE];
        explain(rows[i].targets, rows[i].who, rows[i].caller, rows[i].target, text);
        for (size_t j = 0; j < COUNT(rows[i].said); j++) {
            if (!strstr(text, rows[i].said[j]))
                fail_msg("\"%s\" must say \"%s\"", text, rows[i].said[j]);
        }
        if (strstr(text, rows[i].not_said))
            fail_msg("\"%s\" must not say \"%s\"", text, rows[i].not_said);
    }
}

static void the_longest_refusals_are_whole(void **state)
{
    (void)state;
    static const struct {
        enum targets targets;
        enum who who;
        const char *caller, *target;
    } rows[] = {
        {TARGETS_AUTO, CALLER, "2a0f:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
         "2a0f:ffff:ffff:ffff:ffff:ffff:ffff:fffe"},
        {TARGETS_CALLER, OPERATOR, "127.255.255.255",
         "2a0f:ffff:ffff:ffff:ffff:ffff:ffff:fffe"},
        {TARGETS_AUTO, UNKNOWN, "2a0f:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
         "2a0f:ffff:ffff:ffff:ffff:ffff:ffff:fffe"},
        {TARGETS_PUBLIC, CALLER, "2a0f:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
         "fd0f:ffff:ffff:ffff:ffff:ffff:ffff:fffe"},
        {TARGETS_ANY, CALLER, "2a0f:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
         "ff0f:ffff:ffff:ffff:ffff:ffff:ffff:fffe"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[ACCESS_EXPLANATION_SIZE];
        explain(rows[i].targets, rows[i].who, rows[i].caller, rows[i].target, text);
        assert_int_equal(text[strlen(text) - 1], '.');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_caller_is_the_peer_or_what_a_trusted_proxy_says),
        cmocka_unit_test(a_caller_that_is_not_known_is_named_by_its_proxy),
        cmocka_unit_test(the_operator_is_known_by_every_clause),
        cmocka_unit_test(the_operators_host_is_a_loopback_one),
        cmocka_unit_test(an_origin_is_the_operators_when_it_equals_host),
        cmocka_unit_test(nobody_becomes_the_operator_through_a_proxy),
        cmocka_unit_test(addresses_that_are_nobodys_are_not_probeable),
        cmocka_unit_test(who_may_name_what),
        cmocka_unit_test(what_is_nobodys_is_refused_to_everybody_under_any_setting),
        cmocka_unit_test(an_unknown_caller_is_refused_before_anything_else),
        cmocka_unit_test(reasons_have_codes),
        cmocka_unit_test(a_broadcast_address_of_an_own_network_is_never_probed),
        cmocka_unit_test(only_a_named_caller_can_be_a_broadcast_address),
        cmocka_unit_test(a_refusal_names_both_addresses_and_the_way_out),
        cmocka_unit_test(the_longest_refusals_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
