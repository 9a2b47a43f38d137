/* SPDX-License-Identifier: MIT */
#include "net/route.h"

#include "base/err.h"
#include "network_lab.h"

#include <net/if.h>

static bool has_lab;

static void need_lab(void)
{
    if (!has_lab)
        skip();
}

static void a_gateway_is_one_only_where_there_is_one(void **state)
{
    (void)state;
    need_lab();
    static const struct {
        const char *to;
        bool has_gateway;
    } rows[] = {
        {"127.0.0.1", false},  {"::1", false},      {HERE, false},
        {"fd77::1", false},    {THERE, false},      {THERE6, false},
        {"10.77.0.50", false}, {"10.88.1.2", true}, {"fd88::2", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct address to = address_and_port(rows[i].to, 80);
        struct err err = {0};
        bool has_gateway = !rows[i].has_gateway;
        if (!route_has_gateway(&to, &has_gateway, &err) ||
            has_gateway != rows[i].has_gateway)
            fail_msg("%s: %s", rows[i].to, err.message);
    }
}

static void where_there_is_no_route_that_is_an_error(void **state)
{
    (void)state;
    need_lab();
    static const char *const texts[] = {"10.1.2.3", "2001:db8::1"};
    for (size_t i = 0; i < 2; i++) {
        struct address to = address_of(texts[i]);
        struct err err;
        bool has_gateway = true;
        assert_false(route_has_gateway(&to, &has_gateway, &err));
        assert_int_equal(err.kind, ERR_SYSTEM);
        assert_int_equal(err.errnum, ENETUNREACH);
        assert_true(has_gateway);
        assert_false(route_has_source(&to));
    }
}

static void own_addresses_are_those_of_the_interfaces_and_loopback(void **state)
{
    (void)state;
    need_lab();
    static const struct {
        const char *text;
        bool is_ours;
    } rows[] = {
        {"127.0.0.1", true},  {"127.9.8.7", true},    {"::1", true},
        {HERE, true},         {"fd77::1", true},      {THERE, false},
        {THERE6, false},      {"10.77.0.50", false},  {"10.88.1.2", false},
        {"192.0.2.1", false}, {"2001:db8::1", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct address address = address_and_port(rows[i].text, 7466);
        if (route_is_ours(&address) != rows[i].is_ours)
            fail_msg("%s", rows[i].text);
    }
}

static void a_broadcast_address_is_that_of_an_own_network(void **state)
{
    (void)state;
    need_lab();
    static const struct {
        const char *text;
        bool is_broadcast;
    } rows[] = {
        {"10.77.0.255", true},  {"127.255.255.255", true}, {HERE, false},
        {THERE, false},         {"10.77.0.254", false},    {"10.88.1.255", false},
        {"192.0.2.255", false}, {THERE6, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct address address = address_and_port(rows[i].text, 7466);
        if (route_is_broadcast(&address) != rows[i].is_broadcast)
            fail_msg("%s", rows[i].text);
    }
}

static void there_is_a_source_for_what_has_a_route(void **state)
{
    (void)state;
    need_lab();
    static const char *const texts[] = {"127.0.0.1", "::1", THERE, THERE6, "10.88.1.2"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct address to = address_and_port(texts[i], 80);
        assert_true(route_has_source(&to));
    }
}

static void a_default_gateway_is_that_of_the_default_route(void **state)
{
    (void)state;
    need_lab();
    static const struct {
        const char *command, *gateway, *gateway6;
        bool has_zone;
    } rows[] = {
        {"true", NULL, NULL, false},
        {"ip route add default via 10.77.0.2 metric 100", "10.77.0.2", NULL, false},
        {"ip route add default via 10.77.0.3 metric 50", "10.77.0.3", NULL, false},
        {"ip -6 route add default via fd77::2", "10.77.0.3", "fd77::2", false},
        {"ip -6 route replace default via fe80::77 dev here", "10.77.0.3", "fe80::77",
         true},
        {"ip route flush exact 0/0; ip -6 route del default; "
         "ip route add 0/1 via 10.77.0.4; ip route add 128/1 via 10.77.0.4",
         "10.77.0.4", NULL, false},
        {"ip route flush exact 0/1; ip route flush exact 128/1; "
         "ip route add default dev here",
         NULL, NULL, false},
        {"ip -4 route replace default via inet6 fe80::77 dev here", NULL, NULL, false},
        {"ip route del default", NULL, NULL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[ADDRESS_TEXT_SIZE];
        struct address gateway, source;
        assert_true(shell(rows[i].command));
        if (route_default_gateway(4, NULL, NULL, &gateway, &source) !=
            (rows[i].gateway != NULL))
            fail_msg("IPv4 after: %s", rows[i].command);
        if (rows[i].gateway)
            assert_string_equal(address_format(&gateway, text), rows[i].gateway);
        if (route_default_gateway(6, NULL, NULL, &gateway, &source) !=
            (rows[i].gateway6 != NULL))
            fail_msg("IPv6 after: %s", rows[i].command);
        if (rows[i].gateway6) {
            assert_string_equal(address_format(&gateway, text), rows[i].gateway6);
            assert_int_equal(gateway.in6.sin6_scope_id,
                             rows[i].has_zone ? if_nametoindex("here") : 0);
        }
    }
}

/* Two uplinks, as on a machine with rules for the second one. */
static void the_gateway_depends_on_where_packets_leave(void **state)
{
    (void)state;
    need_lab();
    assert_true(shell("ip link add second type bridge && ip link set second up &&"
                      "ip addr add 10.99.0.1/24 dev second &&"
                      "ip addr add fd99::1/64 dev second nodad &&"
                      "ip route add default via 10.77.0.2 &&"
                      "ip route add default via 10.99.0.2 metric 500 &&"
                      "ip -6 route add default via fd77::2 metric 100 &&"
                      "ip -6 route add default via fd99::2 metric 500 &&"
                      "ip route add default via 10.99.0.3 table 9 &&"
                      "ip rule add from 10.99.0.1 table 9"));
    static const struct {
        int family;
        const char *source, *interface;
        const char *gateway, *leaves_from;
    } rows[] = {
        {4, NULL, NULL, "10.77.0.2", HERE},
        {6, NULL, NULL, "fd77::2", "fd77::1"},
        {4, HERE, NULL, "10.77.0.2", HERE},
        {4, "10.99.0.1", NULL, "10.99.0.3", "10.99.0.1"},
        {4, NULL, "second", "10.99.0.2", "10.99.0.1"},
        {6, NULL, "second", "fd99::2", "fd99::1"},
        {4, NULL, "lo", NULL, NULL},
        {4, NULL, "nothing", NULL, NULL},
        {4, "192.0.2.1", NULL, NULL, NULL}, /* is not an address of this machine */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[ADDRESS_TEXT_SIZE];
        struct address gateway, leaves_from,
            source = address_of(rows[i].source ? rows[i].source : HERE);
        bool has_gateway =
            route_default_gateway(rows[i].family, rows[i].source ? &source : NULL,
                                  rows[i].interface, &gateway, &leaves_from);
        if (has_gateway != (rows[i].gateway != NULL))
            fail_msg("row %zu", i);
        if (!has_gateway)
            continue;
        assert_string_equal(address_format(&gateway, text), rows[i].gateway);
        assert_string_equal(address_format(&leaves_from, text), rows[i].leaves_from);
    }
    assert_true(shell("ip rule del table 9; ip link del second; ip route del default;"
                      "ip -6 route del default"));
}

static void without_ipv6_there_is_none(void **state)
{
    (void)state;
    need_lab();
    struct address loopback = address_and_port("::1", 80),
                   four = address_and_port(THERE, 80);
    assert_true(write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"));
    bool has_source = route_has_source(&loopback);
    assert_true(write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0"));
    assert_false(has_source);
    assert_true(route_has_source(&four));
}

int main(void)
{
    has_lab = lab_enter();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gateway_is_one_only_where_there_is_one),
        cmocka_unit_test(where_there_is_no_route_that_is_an_error),
        cmocka_unit_test(own_addresses_are_those_of_the_interfaces_and_loopback),
        cmocka_unit_test(a_broadcast_address_is_that_of_an_own_network),
        cmocka_unit_test(there_is_a_source_for_what_has_a_route),
        cmocka_unit_test(a_default_gateway_is_that_of_the_default_route),
        cmocka_unit_test(the_gateway_depends_on_where_packets_leave),
        cmocka_unit_test(without_ipv6_there_is_none),
    };
    return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
