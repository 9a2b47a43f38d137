/* SPDX-License-Identifier: MIT
 *
 * Which rows of the kernel's table explain that a port cannot be bound; and what names and
 * addresses tell of interfaces.
 */
#include "verifier/owners.h"

#include "verifier/link.h"
#include "verifier/signs.h"
#include "verifier/tcp_table.h"

#include "addresses.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <net/if_arp.h>
#include <sys/socket.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define CONNECTED    1 /* ESTABLISHED */

static struct tcp_row row_of(const char *ip, uint16_t port, unsigned state)
{
    struct tcp_row row = {.local = address_of(ip), .state = state, .inode = 1};
    address_set_port(&row.local, port);
    return row;
}

static void sockets_that_hold_a_port(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        int family;
        struct {
            const char *ip;
            unsigned state;
        } rows[3];
        enum owner_use use;
        bool is_on_all, is_loopback_only, is_elsewhere; /* than 203.0.113.9, 2001:db8::9 */
    } rows[] = {
        {"nothing in the table", AF_INET, {{0}}, OWNER_USE_UNKNOWN, false, false, false},
        {"a listener",
         AF_INET,
         {{"0.0.0.0", TCP_STATE_LISTEN}},
         OWNER_USE_LISTENER,
         true,
         false,
         false},
        {"a listener for both families",
         AF_INET,
         {{"::", TCP_STATE_LISTEN}},
         OWNER_USE_LISTENER,
         true,
         false,
         false},
        {"an IPv6 listener elsewhere holds no IPv4 port",
         AF_INET,
         {{"2001:db8::9", TCP_STATE_LISTEN}},
         OWNER_USE_UNKNOWN,
         false,
         false,
         false},
        {"a mapped listener",
         AF_INET,
         {{"::ffff:203.0.113.9", TCP_STATE_LISTEN}},
         OWNER_USE_LISTENER,
         false,
         false,
         false},
        {"a mapped listener holds no IPv6 port",
         AF_INET6,
         {{"::ffff:203.0.113.9", TCP_STATE_LISTEN}},
         OWNER_USE_UNKNOWN,
         false,
         false,
         false},
        {"a mapped connection",
         AF_INET,
         {{"::ffff:203.0.113.9", CONNECTED}},
         OWNER_USE_CONNECTION,
         false,
         false,
         false},
        {"loopback",
         AF_INET,
         {{"127.0.0.1", TCP_STATE_LISTEN}},
         OWNER_USE_LISTENER,
         false,
         true,
         true},
        {"mapped loopback",
         AF_INET,
         {{"::ffff:127.0.0.1", TCP_STATE_LISTEN}},
         OWNER_USE_LISTENER,
         false,
         true,
         true},
        {"an inner address",
         AF_INET,
         {{"172.17.0.1", TCP_STATE_LISTEN}},
         OWNER_USE_LISTENER,
         false,
         false,
         true},
        {"inner addresses and loopback",
         AF_INET,
         {{"172.17.0.1", TCP_STATE_LISTEN}, {"127.0.0.1", TCP_STATE_LISTEN}},
         OWNER_USE_LISTENER,
         false,
         false,
         true},
        {"also the right one",
         AF_INET,
         {{"172.17.0.1", TCP_STATE_LISTEN}, {"203.0.113.9", TCP_STATE_LISTEN}},
         OWNER_USE_LISTENER,
         false,
         false,
         false},
        {"also all of them",
         AF_INET,
         {{"172.17.0.1", TCP_STATE_LISTEN}, {"0.0.0.0", TCP_STATE_LISTEN}},
         OWNER_USE_LISTENER,
         true,
         false,
         false},
        {"a listener counts before connections",
         AF_INET,
         {{"203.0.113.9", CONNECTED},
          {"0.0.0.0", TCP_STATE_LISTEN},
          {"203.0.113.9", CONNECTED}},
         OWNER_USE_LISTENER,
         true,
         false,
         false},
        {"an unfinished handshake is nobody's",
         AF_INET,
         {{"203.0.113.9", TCP_STATE_SYN_RECV}},
         OWNER_USE_UNKNOWN,
         false,
         false,
         false},
        {"IPv6",
         AF_INET6,
         {{"::", TCP_STATE_LISTEN}},
         OWNER_USE_LISTENER,
         true,
         false,
         false},
        {"an IPv4 listener holds no IPv6 port",
         AF_INET6,
         {{"0.0.0.0", TCP_STATE_LISTEN}},
         OWNER_USE_UNKNOWN,
         false,
         false,
         false},
        {"one IPv6 address",
         AF_INET6,
         {{"fd00::1", TCP_STATE_LISTEN}},
         OWNER_USE_LISTENER,
         false,
         false,
         true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct owner owner = {.port = 50800, .family = rows[i].family};
        struct address here =
            address_of(rows[i].family == AF_INET ? "203.0.113.9" : "2001:db8::9");
        struct tcp_row other = row_of("0.0.0.0", 50801, TCP_STATE_LISTEN);
        assert_false(owner_take_row(&owner, &other));
        for (size_t j = 0; j < 3 && rows[i].rows[j].ip; j++) {
            struct tcp_row row = row_of(rows[i].rows[j].ip, 50800, rows[i].rows[j].state);
            owner_take_row(&owner, &row);
        }
        if (owner.use != rows[i].use || owner.is_on_all != rows[i].is_on_all ||
            owner_is_loopback_only(&owner) != rows[i].is_loopback_only ||
            owner_listens_elsewhere(&owner, &here) != rows[i].is_elsewhere)
            fail_msg("%s", rows[i].what);
    }
}

static void more_addresses_than_fit_count_as_all(void **state)
{
    (void)state;
    static const char *const ips[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4",
                                      "10.0.0.5"};
    struct owner owner = {.port = 50800, .family = AF_INET};
    for (size_t i = 0; i < COUNT(ips); i++) {
        assert_false(owner.is_on_all);
        struct tcp_row row = row_of(ips[i], 50800, TCP_STATE_LISTEN);
        owner_take_row(&owner, &row);
    }
    assert_true(owner.is_on_all);
}

static void kinds_of_interfaces(void **state)
{
    (void)state;
    static const struct {
        const char *name, *driver;
        unsigned hardware;
        enum link_kind kind;
    } rows[] = {
        {"eth0", "e1000e", ARPHRD_ETHER, LINK_PLAIN},
        {"enp3s0", "", ARPHRD_ETHER, LINK_PLAIN},
        {"wlan0", "iwlwifi", ARPHRD_ETHER, LINK_PLAIN},
        {"br0", "bridge", ARPHRD_ETHER, LINK_PLAIN},
        {"br-lan", "bridge", ARPHRD_ETHER, LINK_PLAIN},
        {"br-0123456789ab", "bridge", ARPHRD_ETHER, LINK_CONTAINER},
        {"docker0", "bridge", ARPHRD_ETHER, LINK_CONTAINER},
        {"virbr0", "bridge", ARPHRD_ETHER, LINK_CONTAINER},
        {"tun0", "tun", ARPHRD_NONE, LINK_TUNNEL},
        {"tun0", "veth", ARPHRD_ETHER, LINK_TUNNEL},
        {"wg0", "", ARPHRD_NONE, LINK_TUNNEL},
        {"office", "wireguard", ARPHRD_NONE, LINK_TUNNEL},
        {"office", "tun", ARPHRD_ETHER, LINK_TUNNEL},
        {"tailscale0", "tun", ARPHRD_NONE, LINK_TUNNEL},
        {"ppp0", "", ARPHRD_PPP, LINK_DIALED},
        {"wwan0", "qmi_wwan", ARPHRD_NONE, LINK_CELLULAR},
        {"wwp0s20u4", "cdc_mbim", ARPHRD_ETHER, LINK_CELLULAR},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        if (link_kind_of(rows[i].name, rows[i].driver, rows[i].hardware) != rows[i].kind)
            fail_msg("%s, %s", rows[i].name, rows[i].driver);
}

#define SIGN(name) (1u << SIGN_##name)

static void a_table_that_is_read_again_says_the_same(void **state)
{
    (void)state;
    static const char *const ips[OWNER_ADDRESSES_MAX] = {"127.0.0.1", "127.0.0.2",
                                                         "127.0.0.3", "127.0.0.4"};
    struct owner owner = {.port = 50800, .family = AF_INET};
    for (size_t i = 0; i < 2ul * OWNER_ADDRESSES_MAX; i++) {
        struct tcp_row row = row_of(ips[i % OWNER_ADDRESSES_MAX], 50800, TCP_STATE_LISTEN);
        owner_take_row(&owner, &row);
    }
    assert_int_equal(owner.address_count, OWNER_ADDRESSES_MAX);
    assert_true(owner_is_loopback_only(&owner));
}

static void signs_of_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *local, *seen;
        enum link_kind kind;
        unsigned signs;
    } rows[] = {
        {"203.0.113.9", "203.0.113.9", LINK_PLAIN, 0},
        {"192.168.1.5", "203.0.113.9", LINK_PLAIN,
         SIGN(ADDRESS_DIFFERS) | SIGN(PRIVATE_ADDRESS)},
        {"100.64.0.5", "203.0.113.9", LINK_PLAIN,
         SIGN(ADDRESS_DIFFERS) | SIGN(CARRIER_ADDRESS)},
        {"192.0.0.2", "203.0.113.9", LINK_PLAIN,
         SIGN(ADDRESS_DIFFERS) | SIGN(CLAT_ADDRESS)},
        {"192.0.0.7", "203.0.113.9", LINK_PLAIN,
         SIGN(ADDRESS_DIFFERS) | SIGN(CLAT_ADDRESS)},
        {"192.0.0.8", "203.0.113.9", LINK_PLAIN, SIGN(ADDRESS_DIFFERS)},
        {"172.17.0.2", "203.0.113.9", LINK_PLAIN,
         SIGN(ADDRESS_DIFFERS) | SIGN(PRIVATE_ADDRESS) | SIGN(CONTAINER)},
        {"172.20.0.2", "203.0.113.9", LINK_PLAIN,
         SIGN(ADDRESS_DIFFERS) | SIGN(PRIVATE_ADDRESS)},
        {"10.1.2.3", "203.0.113.9", LINK_CONTAINER,
         SIGN(ADDRESS_DIFFERS) | SIGN(PRIVATE_ADDRESS) | SIGN(CONTAINER)},
        {"172.17.0.2", "203.0.113.9", LINK_TUNNEL,
         SIGN(ADDRESS_DIFFERS) | SIGN(PRIVATE_ADDRESS) | SIGN(TUNNEL)},
        {"10.1.2.3", "203.0.113.9", LINK_DIALED, /* PPTP or L2TP */
         SIGN(ADDRESS_DIFFERS) | SIGN(PRIVATE_ADDRESS) | SIGN(DIALED)},
        {"100.64.0.5", "203.0.113.9", LINK_DIALED, /* PPPoE */
         SIGN(ADDRESS_DIFFERS) | SIGN(CARRIER_ADDRESS)},
        {"100.64.0.5", "203.0.113.9", LINK_TUNNEL, /* as of Tailscale */
         SIGN(ADDRESS_DIFFERS) | SIGN(CARRIER_ADDRESS) | SIGN(TUNNEL)},
        {"10.1.2.3", "203.0.113.9", LINK_CELLULAR,
         SIGN(ADDRESS_DIFFERS) | SIGN(PRIVATE_ADDRESS) | SIGN(CELLULAR)},
        {"2001:db8::9", "2001:db8::9", LINK_PLAIN, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address local = address_of(rows[i].local);
        struct address seen = address_of(rows[i].seen);
        if (signs_read(&local, rows[i].kind, &seen).bits != rows[i].signs)
            fail_msg("%s, %s", rows[i].local, rows[i].seen);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_that_hold_a_port),
        cmocka_unit_test(more_addresses_than_fit_count_as_all),
        cmocka_unit_test(kinds_of_interfaces),
        cmocka_unit_test(a_table_that_is_read_again_says_the_same),
        cmocka_unit_test(signs_of_addresses),
    };
    return cmocka_run_group_tests_name("owners", tests, NULL, NULL);
}
