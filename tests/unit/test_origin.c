/* SPDX-License-Identifier: MIT */
#include "verifier/origin.h"

#include "addresses.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void only_the_internet_says_something_about_the_internet(void **state)
{
    (void)state;
    static const struct {
        const char *peer;
        bool is_own;
        const char *vantage;
    } rows[] = {
        {"8.8.8.8", false, "internet"},
        {"203.0.113.1", false, "internet"},
        {"203.0.113.1", true, "this machine"},
        {"127.0.0.1", false, "this machine"},
        {"127.3.2.1", true, "this machine"},
        {"::1", false, "this machine"},
        {"192.168.1.9", false, "this network"},
        {"192.168.1.9", true, "this machine"},
        {"172.17.0.1", false, "this network"},
        {"100.64.0.9", false, "this network"},
        {"169.254.3.4", false, "this network"},
        {"fd00::1", false, "this network"},
        {"2a00:1450::1", false, "internet"},
        {"2001:db8::1", false, "internet"},
        {"64:ff9b::808:808", false, "internet"},
        {"64:ff9b::c0a8:101", false, "this network"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address peer = address_of(rows[i].peer);
        assert_string_equal(vantage_text(vantage_of(&peer, rows[i].is_own)),
                            rows[i].vantage);
    }
}

static void who_sees_an_inner_address_is_inside(void **state)
{
    (void)state;
    static const struct {
        enum vantage vantage;
        const char *told;
        enum vantage result;
    } rows[] = {
        {VANTAGE_INTERNET, "203.0.113.7", VANTAGE_INTERNET},
        {VANTAGE_INTERNET, "192.168.1.5", VANTAGE_NETWORK}, /* the router's hairpin */
        {VANTAGE_INTERNET, "100.64.3.4", VANTAGE_NETWORK},
        {VANTAGE_NETWORK, "203.0.113.7", VANTAGE_NETWORK},
        {VANTAGE_MACHINE, "127.0.0.1", VANTAGE_MACHINE},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address told = address_of(rows[i].told);
        assert_int_equal(vantage_told(rows[i].vantage, &told), rows[i].result);
    }
}

static void an_address_follows_from_both_ends(void **state)
{
    (void)state;
    static const struct {
        const char *what, *local, *peer, *told;
        bool is_plausible;
    } rows[] = {
        {"no translation", "203.0.113.9", "203.0.113.1", "203.0.113.9", true},
        {"a router", "192.168.1.5", "203.0.113.1", "203.0.113.7", true},
        {"a carrier's checker", "192.168.1.5", "203.0.113.1", "100.64.3.4", true},
        {"a checker in a network", "192.168.1.5", "10.0.0.9", "192.168.1.5", true},
        {"and a router before it", "192.168.1.5", "10.0.0.9", "10.0.0.2", true},
        {"a checker here", "127.0.0.1", "127.0.0.1", "127.0.0.1", true},
        {"at another loopback address", "127.0.0.1", "127.0.0.2", "127.0.0.1", true},
        {"two public addresses", "203.0.113.9", "203.0.113.1", "203.0.113.10", true},
        {"a container's gateway", "203.0.113.9", "203.0.113.1", "172.17.0.1", false},
        {"the same behind a router", "192.168.1.5", "203.0.113.1", "172.17.0.1", false},
        {"a proxy on the same host", "203.0.113.9", "203.0.113.1", "127.0.0.1", false},
        {"the same in a network", "192.168.1.5", "192.168.1.9", "127.0.0.1", false},
        {"the checker's own", "203.0.113.9", "203.0.113.1", "203.0.113.1", false},
        {"the same behind a router", "192.168.1.5", "203.0.113.1", "203.0.113.1", false},
        {"a carrier's, needlessly", "203.0.113.9", "203.0.113.1", "100.64.3.4", false},
        {"no caller", "203.0.113.9", "203.0.113.1", "0.0.0.0", false},
        {"IPv6, no translation", "2001:db8::9", "2001:db8::1", "2001:db8::9", true},
        {"IPv6 and a proxy", "2001:db8::9", "2001:db8::1", "127.0.0.1", false},
        {"IPv6 and a container", "2001:db8::9", "2001:db8::1", "fd00::1", false},
        {"NAT64", "2001:db8::9", "2001:db8::1", "203.0.113.7", true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address local = address_of(rows[i].local);
        struct address peer = address_of(rows[i].peer);
        struct address told = address_of(rows[i].told);
        if (origin_is_plausible(&local, &peer, &told) != rows[i].is_plausible)
            print_error("%s\n", rows[i].what);
        assert_int_equal(origin_is_plausible(&local, &peer, &told), rows[i].is_plausible);
    }
}

static void a_public_end_needs_no_translation(void **state)
{
    (void)state;
    static const struct {
        const char *local, *told;
        bool is_doubtful;
    } rows[] = {
        {"203.0.113.9", "203.0.113.9", false},  {"203.0.113.9", "198.51.100.7", true},
        {"192.168.1.5", "198.51.100.7", false}, {"100.64.3.4", "198.51.100.7", false},
        {"192.0.0.4", "198.51.100.7", false}, /* 464XLAT */
        {"2001:db8::9", "2001:db8::7", true},   {"fd00::9", "2001:db8::7", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address local = address_of(rows[i].local);
        struct address told = address_of(rows[i].told);
        assert_int_equal(origin_is_doubtful(&local, &told), rows[i].is_doubtful);
    }
}

static void without_a_translator_our_end_is_seen(void **state)
{
    (void)state;
    static const struct {
        const char *local, *peer;
        bool is_seen;
    } rows[] = {
        {"8.8.8.8", "9.9.9.9", true},          {"203.0.113.9", "203.0.113.1", true},
        {"192.168.1.5", "192.168.1.9", true},  {"127.0.0.1", "127.0.0.1", true},
        {"100.64.3.4", "100.64.0.1", true},    {"192.168.1.5", "9.9.9.9", false},
        {"192.168.1.5", "203.0.113.1", false}, {"100.64.3.4", "203.0.113.1", false},
        {"192.0.0.4", "203.0.113.1", false},   {"2001:db8::9", "2001:db8::1", true},
        {"fd00::9", "2001:db8::1", false},     {"fd00::9", "fd00::1", true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address local = address_of(rows[i].local);
        struct address peer = address_of(rows[i].peer);
        assert_int_equal(origin_is_seen(&local, &peer), rows[i].is_seen);
    }
}

static void own_addresses_are_known(void **state)
{
    (void)state;
    struct address own = address_of("127.0.0.1");
    struct address foreign = address_of("203.0.113.200");
    assert_true(origin_is_own(&own));
    assert_false(origin_is_own(&foreign));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_internet_says_something_about_the_internet),
        cmocka_unit_test(who_sees_an_inner_address_is_inside),
        cmocka_unit_test(an_address_follows_from_both_ends),
        cmocka_unit_test(a_public_end_needs_no_translation),
        cmocka_unit_test(without_a_translator_our_end_is_seen),
        cmocka_unit_test(own_addresses_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
