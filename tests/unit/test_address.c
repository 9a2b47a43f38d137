/* SPDX-License-Identifier: MIT */
#include "net/address.h"
#include "net/cidr.h"

#include "addresses.h"
#include "base/err.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct cidr parse_cidr(const char *text)
{
    struct cidr cidr;
    if (!cidr_parse(text, strlen(text), &cidr, NULL))
        fail_msg("\"%s\" must be a network", text);
    return cidr;
}

static void assert_formats_as(const struct address *address, const char *expected)
{
    char text[ADDRESS_TEXT_SIZE];
    assert_string_equal(address_format(address, text), expected);
}

/* ---- literals ----------------------------------------------------------------------- */

static void literals_are_read_and_written_in_their_shortest_form(void **state)
{
    (void)state;
    static const struct {
        const char *text, *canonical;
        int family;
    } rows[] = {
        {"0.0.0.0", "0.0.0.0", 4},
        {"127.0.0.1", "127.0.0.1", 4},
        {"255.255.255.255", "255.255.255.255", 4},
        {"::", "::", 6},
        {"::1", "::1", 6},
        {"1::", "1::", 6},
        {"0:0:0:0:0:0:0:1", "::1", 6},
        {"0000:0000:0000:0000:0000:0000:0000:0001", "::1", 6},
        {"2001:DB8::A", "2001:db8::a", 6},
        {"2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1", 6},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1", 6},
        {"1:0:0:2:0:0:0:3", "1:0:0:2::3", 6},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1", 6},
        {"::ffff:c000:201", "::ffff:192.0.2.1", 6},
        {"64:ff9b::192.0.2.1", "64:ff9b::c000:201", 6},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 6},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address address = address_of(rows[i].text);
        assert_formats_as(&address, rows[i].canonical);
        assert_int_equal(address_family_number(&address), rows[i].family);
        assert_int_equal(address.len, rows[i].family == 4 ? sizeof(struct sockaddr_in)
                                                          : sizeof(struct sockaddr_in6));
        assert_int_equal(address_port(&address), 0);
    }
}

static void what_is_no_plain_literal_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "localhost",
        "example.com",
        "any",
        "*",
        /* short, octal, hexadecimal and decimal forms that inet_aton() takes */
        "1",
        "127",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f.0.0.1",
        "0x7f000001",
        "0177.0.0.1",
        "01.2.3.4",
        "1.2.3.04",
        "00.0.0.0",
        "192.168.010.1",
        /* damaged */
        "1.2.3",
        "1.2.3.",
        ".1.2.3.4",
        "1.2.3.4.",
        "1..3.4",
        "1.2.3.4.5",
        "256.0.0.1",
        "1.2.3.1000",
        "1.2.3.-4",
        "1.2.3.+4",
        "1.2.3.a",
        "1,2,3,4",
        /* characters around it */
        " 1.2.3.4",
        "1.2.3.4 ",
        "\t1.2.3.4",
        "1.2.3.4\n",
        "1.2.3.4:80",
        "1.2.3.4/32",
        "http://1.2.3.4",
        "1.2.3.4, 5.6.7.8",
        "[1.2.3.4]",
        "[::1]",
        "[::1]:80",
        "::1/128",
        " ::1",
        "::1 ",
        "::1\r",
        /* zones */
        "fe80::1%eth0",
        "fe80::1%1",
        "::1%lo",
        "fe80::1%",
        "1.2.3.4%1",
        /* damaged IPv6 */
        ":",
        ":::",
        "::1::",
        "1::2::3",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8",
        "12345::",
        "00001::",
        "::g",
        "1:",
        ":1",
        ":1::",
        "::1:",
        "2001:db8",
        "::ffff:1.2.3",
        "::ffff:1.2.3.4.5",
        "::ffff:01.2.3.4",
        "::ffff:256.1.1.1",
        "::1.2.3.4:5",
        "1.2.3.4::",
        "::0x1",
        /* one byte longer than the longest literal */
        "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555",
        "0000000000000000000000000000000000000000000000000000000000000000000000000001",
        /* digits that are not ASCII */
        "\xd9\xa1.2.3.4",
        "1.2.3.4\xc2\xa0",
        "\357\273\2771.2.3.4",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct err err = {.message = ""};
        struct address address;
        memset(&address, 0x5a, sizeof address);
        struct address before = address;
        if (address_parse(texts[i], strlen(texts[i]), &address, &err))
            fail_msg("\"%s\" must not be an address", texts[i]);
        assert_int_equal(err.kind, ERR_INVALID);
        assert_true(strlen(err.message) > 0);
        assert_memory_equal(&address, &before, sizeof address);
    }
}

static void a_literal_ends_where_its_length_says(void **state)
{
    (void)state;
    struct address address;
    assert_true(address_parse("10.0.0.123", 8, &address, NULL));
    assert_formats_as(&address, "10.0.0.1");
    assert_false(address_parse("10.0.0.1\0", 9, &address, NULL));
    assert_false(address_parse("10.0.0.1\0"
                               "9",
                               10, &address, NULL));
    assert_false(address_parse("::1\0", 4, &address, NULL));
    assert_false(address_parse("\0", 1, &address, NULL));

    /* On the heap and without a terminator, so that a sanitizer reports a read past the
     * end. */
    char *exact = malloc(3);
    assert_non_null(exact);
    memcpy(exact, "::1", 3);
    assert_true(address_parse(exact, 3, &address, NULL));
    free(exact);
}

/* ---- sockets ------------------------------------------------------------------------ */

static void socket_addresses_are_copied_with_their_port(void **state)
{
    (void)state;
    struct sockaddr_storage storage = {0};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(7466)};
    in.sin_addr.s_addr = htonl(0xc0000201);
    memcpy(&storage, &in, sizeof in);

    struct address address;
    const struct sockaddr *sa = (const struct sockaddr *)&storage;
    assert_true(address_from_sockaddr(sa, sizeof in, &address));
    assert_formats_as(&address, "192.0.2.1");
    assert_int_equal(address_port(&address), 7466);
    assert_int_equal(address.len, sizeof in);
    assert_true(address_from_sockaddr(sa, sizeof storage, &address));
    assert_int_equal(address.len, sizeof in);

    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(80), .sin6_scope_id = 3};
    in6.sin6_addr.s6_addr[0] = 0xfe;
    in6.sin6_addr.s6_addr[1] = 0x80;
    memcpy(&storage, &in6, sizeof in6);
    assert_true(address_from_sockaddr(sa, sizeof in6, &address));
    assert_formats_as(&address, "fe80::");
    assert_int_equal(address_port(&address), 80);
    assert_int_equal(address.in6.sin6_scope_id, 3);
}

static void other_families_and_cut_off_socket_addresses_are_refused(void **state)
{
    (void)state;
    struct sockaddr_storage storage = {.ss_family = AF_UNIX};
    const struct sockaddr *sa = (const struct sockaddr *)&storage;
    struct address address;
    assert_false(address_from_sockaddr(sa, sizeof storage, &address));
    storage.ss_family = AF_UNSPEC;
    assert_false(address_from_sockaddr(sa, sizeof storage, &address));
    storage.ss_family = AF_INET;
    assert_false(address_from_sockaddr(sa, sizeof(struct sockaddr_in) - 1, &address));
    storage.ss_family = AF_INET6;
    assert_false(address_from_sockaddr(sa, sizeof(struct sockaddr_in6) - 1, &address));
    assert_false(address_from_sockaddr(sa, sizeof(struct sockaddr_in), &address));
    assert_false(address_from_sockaddr(sa, 1, &address));
    assert_false(address_from_sockaddr(sa, 0, &address));
}

static void ports_are_set_in_both_families(void **state)
{
    (void)state;
    static const char *const texts[] = {"192.0.2.1", "2001:db8::1"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct address address = address_of(texts[i]);
        address_set_port(&address, 65535);
        assert_int_equal(address_port(&address), 65535);
        address_set_port(&address, 1);
        assert_int_equal(address_port(&address), 1);
        assert_formats_as(&address, texts[i]);
    }
    struct address address = address_of("192.0.2.1");
    address_set_port(&address, 0x1234);
    assert_int_equal(address.in.sin_port, htons(0x1234));
}

/* ---- IPv4 inside IPv6 --------------------------------------------------------------- */

static void only_mapped_addresses_are_unmapped(void **state)
{
    (void)state;
    static const struct {
        const char *text, *unmapped;
    } rows[] = {
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::ffff:0:0", "0.0.0.0"},
        {"::ffff:ffff:ffff", "255.255.255.255"},
        {"192.0.2.1", "192.0.2.1"},
        {"::fffe:ffff:ffff", "::fffe:ffff:ffff"},
        {"::1:0:0:0", "::1:0:0:0"},
        {"0:0:0:0:1:ffff:c000:201", "::1:ffff:c000:201"},
        {"1::ffff:c000:201", "1::ffff:c000:201"},
        {"::ffff:0:192.0.2.1", "::ffff:0:c000:201"}, /* IPv4-translated, RFC 2765 */
        {"::192.0.2.1", "::192.0.2.1"},
        {"64:ff9b::c000:201", "64:ff9b::c000:201"},
        {"2002:c000:201::", "2002:c000:201::"},
        {"::1", "::1"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address address = address_of(rows[i].text);
        address_set_port(&address, 50800);
        struct address unmapped = address_unmap(&address);
        assert_formats_as(&unmapped, rows[i].unmapped);
        assert_int_equal(address_port(&unmapped), 50800);
    }
}

static void mapped_translated_and_6to4_addresses_embed_ipv4(void **state)
{
    (void)state;
    static const struct {
        const char *text, *embedded;
    } rows[] = {
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"64:ff9b::192.0.2.1", "192.0.2.1"},
        {"64:ff9b::", "0.0.0.0"},
        {"64:ff9b::ffff:ffff", "255.255.255.255"},
        {"64:ff9b:0:0:0:1::", "64:ff9b::1:0:0"},
        {"64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"64:ff9b:1::192.0.2.1", "64:ff9b:1::c000:201"},
        {"2002::", "0.0.0.0"},
        {"2002:c000:201::", "192.0.2.1"},
        {"2002:c000:201:ffff:1:2:3:4", "192.0.2.1"},
        {"2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "255.255.255.255"},
        {"2003::", "2003::"},
        {"2001:ffff:ffff::", "2001:ffff:ffff::"},
        {"2001:0:c000:201::",
         "2001:0:c000:201::"}, /* Teredo: not judged by the IPv4 address */
        {"::192.0.2.1", "::192.0.2.1"},
        {"192.0.2.1", "192.0.2.1"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address address = address_of(rows[i].text);
        address_set_port(&address, 50800);
        struct address embedded = address_unembed(&address);
        assert_formats_as(&embedded, rows[i].embedded);
        assert_int_equal(address_port(&embedded), 50800);
    }
}

/* ---- comparing ---------------------------------------------------------------------- */

static void equality_is_of_family_and_address_alone(void **state)
{
    (void)state;
    struct address a = address_of("192.0.2.1");
    struct address b = address_of("192.0.2.1");
    address_set_port(&b, 80);
    assert_true(address_equals(&a, &b));

    struct address other = address_of("192.0.2.2");
    assert_false(address_equals(&a, &other));

    struct address mapped = address_of("::ffff:192.0.2.1");
    assert_false(address_equals(&a, &mapped));
    assert_false(address_equals(&mapped, &a));

    struct address long_form = address_of("0:0:0:0:0:0:0:1");
    struct address short_form = address_of("::1");
    long_form.in6.sin6_scope_id = 7;
    assert_true(address_equals(&long_form, &short_form));
    struct address last_bit = address_of("::");
    assert_false(address_equals(&last_bit, &short_form));
}

static void the_address_that_stands_for_all_is_zero_in_both_families(void **state)
{
    static const struct {
        const char *text;
        bool is_any;
    } rows[] = {{"0.0.0.0", true}, {"::", true},         {"0.0.0.1", false},
                {"::1", false},    {"128.0.0.0", false}, {"::ffff:0.0.0.0", false}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct address address = address_of(rows[i].text);
        address_set_port(&address, 80);
        assert_int_equal(address_is_any(&address), rows[i].is_any);
    }
}

static void loopback_is_127_slash_8_and_one_ipv6_address(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_loopback;
    } rows[] = {
        {"127.0.0.0", true},
        {"127.0.0.1", true},
        {"127.255.255.255", true},
        {"126.255.255.255", false},
        {"128.0.0.0", false},
        {"::1", true},
        {"::", false},
        {"::2", false},
        {"::ffff:127.0.0.1", true},
        {"::ffff:127.255.255.255", true},
        {"::ffff:128.0.0.1", false},
        {"::127.0.0.1", false},
        {"64:ff9b::7f00:1", false},
        {"2002:7f00:1::", false},
        {"0.0.0.0", false},
        {"1::1", false},
        {"8000::1", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address address = address_of(rows[i].text);
        if (address_is_loopback(&address) != rows[i].is_loopback)
            fail_msg("%s: loopback must be %d", rows[i].text, rows[i].is_loopback);
    }
}

static void a_prefix_is_compared_bit_by_bit(void **state)
{
    (void)state;
    static const uint8_t bits[4] = {0xff, 0xff, 0xff, 0xff};
    for (unsigned prefix = 0; prefix <= 32; prefix++) {
        /* all bits set except the last one of the prefix, and except the one after it */
        uint32_t inside = prefix == 32 ? UINT32_MAX : UINT32_MAX ^ (0x80000000u >> prefix);
        struct address address = address_of("0.0.0.0");
        address.in.sin_addr.s_addr = htonl(inside);
        assert_true(address_has_prefix(&address, AF_INET, bits, prefix));
        assert_false(address_has_prefix(&address, AF_INET6, bits, prefix));
        if (prefix == 0)
            continue;
        address.in.sin_addr.s_addr = htonl(UINT32_MAX ^ (0x80000000u >> (prefix - 1)));
        assert_false(address_has_prefix(&address, AF_INET, bits, prefix));
    }
}

/* ---- networks ----------------------------------------------------------------------- */

static void networks_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *base;
        unsigned prefix;
    } rows[] = {
        {"192.0.2.0/24", "192.0.2.0", 24},
        {"192.0.2.1", "192.0.2.1", 32},
        {"192.0.2.1/32", "192.0.2.1", 32},
        {"0.0.0.0/0", "0.0.0.0", 0},
        {"128.0.0.0/1", "128.0.0.0", 1},
        {"10.32.0.0/11", "10.32.0.0", 11},
        {"2001:db8::/32", "2001:db8::", 32},
        {"::/0", "::", 0},
        {"::1", "::1", 128},
        {"::1/128", "::1", 128},
        {"fe80::/10", "fe80::", 10},
        /* a mapped network counts as IPv4, unless it is wider than all of IPv4 */
        {"::ffff:0:0/96", "0.0.0.0", 0},
        {"::ffff:10.0.0.0/104", "10.0.0.0", 8},
        {"::ffff:10.0.0.1", "10.0.0.1", 32},
        {"::fffe:0:0/95", "::fffe:0:0", 95},
        {"::/96", "::", 96},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct cidr cidr = parse_cidr(rows[i].text);
        assert_formats_as(&cidr.base, rows[i].base);
        assert_int_equal(cidr.prefix, rows[i].prefix);
    }
}

static void what_is_no_network_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "/",
        "/24",
        "192.0.2.0/",
        "192.0.2.0/33",
        "192.0.2.0/-1",
        "192.0.2.0/+24",
        "192.0.2.0/ 24",
        "192.0.2.0/24 ",
        " 192.0.2.0/24",
        "192.0.2.0/024",
        "192.0.2.0/00",
        "192.0.2.0/0x18",
        "192.0.2.0/24/24",
        "192.0.2.0/255.255.255.0",
        "192.0.2.0/4294967320",
        "192.0.2.0/18446744073709551640",
        "192.0.2/24",
        "192.0.2.1/24",
        "192.0.2.128/24",
        "0.0.0.1/0",
        "128.0.0.0/0",
        "::/129",
        "2001:db8::1/32",
        "::1/127",
        "8000::/0",
        "[::1]/128",
        "fe80::%eth0/10",
        "::ffff:0:0/95",
        "localhost",
        "localhost/8",
        "any",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct err err = {.message = ""};
        struct cidr cidr;
        if (cidr_parse(texts[i], strlen(texts[i]), &cidr, &err))
            fail_msg("\"%s\" must not be a network", texts[i]);
        assert_int_equal(err.kind, ERR_INVALID);
        assert_true(strlen(err.message) > 0);
    }
    struct cidr cidr;
    assert_false(cidr_parse("10.0.0.0/8\0", 11, &cidr, NULL));
    assert_true(cidr_parse("10.0.0.0/88", 10, &cidr, NULL));
    assert_int_equal(cidr.prefix, 8);
}

static void a_network_holds_its_first_and_last_address_and_no_neighbour(void **state)
{
    (void)state;
    static const struct {
        const char *network, *address;
        bool is_inside;
    } rows[] = {
        {"192.0.2.0/24", "192.0.2.0", true},
        {"192.0.2.0/24", "192.0.2.255", true},
        {"192.0.2.0/24", "192.0.1.255", false},
        {"192.0.2.0/24", "192.0.3.0", false},
        {"172.16.0.0/12", "172.16.0.0", true},
        {"172.16.0.0/12", "172.31.255.255", true},
        {"172.16.0.0/12", "172.15.255.255", false},
        {"172.16.0.0/12", "172.32.0.0", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.0", false},
        {"0.0.0.0/0", "255.255.255.255", true},
        {"0.0.0.0/0", "::", false},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "ffff::", true},
        {"::/0", "1.2.3.4", false},
        {"::/0", "::ffff:1.2.3.4", false},
        {"fe80::/10", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
        {"fe80::/10", "fec0::", false},
        {"fe80::/10", "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"10.0.0.0/8", "::ffff:11.1.2.3", false},
        {"10.0.0.0/8", "64:ff9b::a01:203", false},
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
        {"::ffff:10.0.0.0/104", "::ffff:10.1.2.3", true},
        {"::ffff:10.0.0.0/104", "11.0.0.0", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct cidr cidr = parse_cidr(rows[i].network);
        struct address address = address_of(rows[i].address);
        address_set_port(&address, 80);
        if (cidr_contains(&cidr, &address) != rows[i].is_inside)
            fail_msg("%s in %s must be %d", rows[i].address, rows[i].network,
                     rows[i].is_inside);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_are_read_and_written_in_their_shortest_form),
        cmocka_unit_test(what_is_no_plain_literal_is_refused),
        cmocka_unit_test(a_literal_ends_where_its_length_says),
        cmocka_unit_test(socket_addresses_are_copied_with_their_port),
        cmocka_unit_test(other_families_and_cut_off_socket_addresses_are_refused),
        cmocka_unit_test(ports_are_set_in_both_families),
        cmocka_unit_test(only_mapped_addresses_are_unmapped),
        cmocka_unit_test(mapped_translated_and_6to4_addresses_embed_ipv4),
        cmocka_unit_test(equality_is_of_family_and_address_alone),
        cmocka_unit_test(the_address_that_stands_for_all_is_zero_in_both_families),
        cmocka_unit_test(loopback_is_127_slash_8_and_one_ipv6_address),
        cmocka_unit_test(a_prefix_is_compared_bit_by_bit),
        cmocka_unit_test(networks_are_read),
        cmocka_unit_test(what_is_no_network_is_refused),
        cmocka_unit_test(a_network_holds_its_first_and_last_address_and_no_neighbour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
