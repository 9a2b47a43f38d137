/* SPDX-License-Identifier: MIT
 *
 * Every row of the special-purpose registries at its edges. The expectations are written by
 * hand from the registries' text, not made from src/net/special_ranges.txt: a row that is
 * added or changed there must be added or changed here.
 */
#include "net/scope.h"

#include "addresses.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define F5           "ffff:ffff:ffff:ffff:ffff"
#define F6           "ffff:ffff:ffff:ffff:ffff:ffff"
#define F7           "ffff:ffff:ffff:ffff:ffff:ffff:ffff"

struct edge {
    const char *address; /* NULL: no such address */
    bool is_global;
};

struct row {
    const char *base; /* the block, and its first address */
    unsigned prefix;
    bool is_global; /* at both ends */
    const char *last;
    struct edge before, after;
};

/* clang-format off */
static const struct row rows[] = {
    /* --- IPv4 --- */
    {"0.0.0.0", 0, false, "255.255.255.255", {NULL, false}, {NULL, false}},
    {"0.0.0.0", 8, false, "0.255.255.255", {NULL, false}, {"1.0.0.0", true}},
    {"0.0.0.0", 32, false, "0.0.0.0", {NULL, false}, {"0.0.0.1", false}},
    {"10.0.0.0", 8, false, "10.255.255.255", {"9.255.255.255", true}, {"11.0.0.0", true}},
    {"100.64.0.0", 10, false, "100.127.255.255",
     {"100.63.255.255", true}, {"100.128.0.0", true}},
    {"127.0.0.0", 8, false, "127.255.255.255",
     {"126.255.255.255", true}, {"128.0.0.0", true}},
    {"169.254.0.0", 16, false, "169.254.255.255",
     {"169.253.255.255", true}, {"169.255.0.0", true}},
    {"172.16.0.0", 12, false, "172.31.255.255",
     {"172.15.255.255", true}, {"172.32.0.0", true}},
    {"192.0.0.0", 24, false, "192.0.0.255",
     {"191.255.255.255", true}, {"192.0.1.0", true}},
    {"192.0.0.0", 29, false, "192.0.0.7", {"191.255.255.255", true}, {"192.0.0.8", false}},
    {"192.0.0.8", 32, false, "192.0.0.8", {"192.0.0.7", false}, {"192.0.0.9", true}},
    {"192.0.0.9", 32, true, "192.0.0.9", {"192.0.0.8", false}, {"192.0.0.10", true}},
    {"192.0.0.10", 32, true, "192.0.0.10", {"192.0.0.9", true}, {"192.0.0.11", false}},
    {"192.0.0.170", 32, false, "192.0.0.170",
     {"192.0.0.169", false}, {"192.0.0.171", false}},
    {"192.0.0.171", 32, false, "192.0.0.171",
     {"192.0.0.170", false}, {"192.0.0.172", false}},
    {"192.0.2.0", 24, false, "192.0.2.255", {"192.0.1.255", true}, {"192.0.3.0", true}},
    {"192.31.196.0", 24, true, "192.31.196.255",
     {"192.31.195.255", true}, {"192.31.197.0", true}},
    {"192.52.193.0", 24, true, "192.52.193.255",
     {"192.52.192.255", true}, {"192.52.194.0", true}},
    {"192.88.99.0", 24, false, "192.88.99.255",
     {"192.88.98.255", true}, {"192.88.100.0", true}},
    {"192.88.99.2", 32, false, "192.88.99.2",
     {"192.88.99.1", false}, {"192.88.99.3", false}},
    {"192.168.0.0", 16, false, "192.168.255.255",
     {"192.167.255.255", true}, {"192.169.0.0", true}},
    {"192.175.48.0", 24, true, "192.175.48.255",
     {"192.175.47.255", true}, {"192.175.49.0", true}},
    {"198.18.0.0", 15, false, "198.19.255.255",
     {"198.17.255.255", true}, {"198.20.0.0", true}},
    {"198.51.100.0", 24, false, "198.51.100.255",
     {"198.51.99.255", true}, {"198.51.101.0", true}},
    {"203.0.113.0", 24, false, "203.0.113.255",
     {"203.0.112.255", true}, {"203.0.114.0", true}},
    {"224.0.0.0", 4, false, "239.255.255.255",
     {"223.255.255.255", true}, {"240.0.0.0", false}},
    {"240.0.0.0", 4, false, "255.255.255.255",
     {"239.255.255.255", false}, {NULL, false}},
    {"255.255.255.255", 32, false, "255.255.255.255",
     {"255.255.255.254", false}, {NULL, false}},

    /* --- IPv6; in the three blocks that embed IPv4, the ends are 0.0.0.0 and
     *     255.255.255.255 --- */
    {"::", 0, false, "ffff:" F7, {NULL, false}, {NULL, false}},
    {"::", 128, false, "::", {NULL, false}, {"::1", false}},
    {"::1", 128, false, "::1", {"::", false}, {"::2", false}},
    {"::", 96, false, "::ffff:ffff", {NULL, false}, {"::1:0:0", false}},
    {"::ffff:0:0", 96, false, "::ffff:ffff:ffff",
     {"::fffe:ffff:ffff", false}, {"::1:0:0:0", false}},
    {"64:ff9b::", 96, false, "64:ff9b::ffff:ffff",
     {"64:ff9a:" F6, false}, {"64:ff9b::1:0:0", false}},
    {"64:ff9b:1::", 48, false, "64:ff9b:1:" F5,
     {"64:ff9b:0:" F5, false}, {"64:ff9b:2::", false}},
    {"100::", 64, false, "100::ffff:ffff:ffff:ffff",
     {"ff:" F7, false}, {"100:0:0:1::", false}},
    {"100:0:0:1::", 64, false, "100:0:0:1:ffff:ffff:ffff:ffff",
     {"100::ffff:ffff:ffff:ffff", false}, {"100:0:0:2::", false}},
    {"2000::", 3, true, "3fff:" F7, {"1fff:" F7, false}, {"4000::", false}},
    {"2001::", 23, false, "2001:1ff:" F6, {"2000:" F7, true}, {"2001:200::", true}},
    {"2001::", 32, false, "2001:0:" F6, {"2000:" F7, true}, {"2001:1::", false}},
    {"2001:1::1", 128, true, "2001:1::1", {"2001:1::", false}, {"2001:1::2", true}},
    {"2001:1::2", 128, true, "2001:1::2", {"2001:1::1", true}, {"2001:1::3", true}},
    {"2001:1::3", 128, true, "2001:1::3", {"2001:1::2", true}, {"2001:1::4", false}},
    {"2001:2::", 48, false, "2001:2:0:" F5,
     {"2001:1:" F6, false}, {"2001:2:1::", false}},
    {"2001:3::", 32, true, "2001:3:" F6, {"2001:2:" F6, false}, {"2001:4::", false}},
    {"2001:4:112::", 48, true, "2001:4:112:" F5,
     {"2001:4:111:" F5, false}, {"2001:4:113::", false}},
    {"2001:10::", 28, false, "2001:1f:" F6, {"2001:f:" F6, false}, {"2001:20::", true}},
    {"2001:20::", 28, true, "2001:2f:" F6, {"2001:1f:" F6, false}, {"2001:30::", true}},
    {"2001:30::", 28, true, "2001:3f:" F6, {"2001:2f:" F6, true}, {"2001:40::", false}},
    {"2001:db8::", 32, false, "2001:db8:" F6,
     {"2001:db7:" F6, true}, {"2001:db9::", true}},
    {"2002::", 16, false, "2002:" F7, {"2001:" F7, true}, {"2003::", true}},
    {"2620:4f:8000::", 48, true, "2620:4f:8000:" F5,
     {"2620:4f:7fff:" F5, true}, {"2620:4f:8001::", true}},
    {"3fff::", 20, false, "3fff:fff:" F6, {"3ffe:" F7, true}, {"3fff:1000::", true}},
    {"5f00::", 16, false, "5f00:" F7, {"5eff:" F7, false}, {"5f01::", false}},
    {"fc00::", 7, false, "fdff:" F7, {"fbff:" F7, false}, {"fe00::", false}},
    {"fe80::", 10, false, "febf:" F7, {"fe7f:" F7, false}, {"fec0::", false}},
    {"fec0::", 10, false, "feff:" F7, {"febf:" F7, false}, {"ff00::", false}},
    {"ff00::", 8, false, "ffff:" F7, {"feff:" F7, false}, {NULL, false}},
};
/* clang-format on */

static void assert_global(const char *text, bool is_global)
{
    struct address address = address_of(text);
    if ((address_scope(&address) == SCOPE_GLOBAL) != is_global)
        fail_msg("%s: globally reachable must be %d", text, is_global);
}

/* An IPv4 address alone and in every IPv6 form that embeds it. */
static void assert_global_in_all_forms(const char *text, bool is_global)
{
    assert_global(text, is_global);

    struct address address = address_of(text);
    if (address_family_number(&address) != 4)
        return;

    size_t len;
    const uint8_t *b = address_bytes(&address, &len);
    char form[ADDRESS_TEXT_SIZE];
    snprintf(form, sizeof form, "::ffff:%s", text);
    assert_global(form, is_global);
    snprintf(form, sizeof form, "64:ff9b::%s", text);
    assert_global(form, is_global);
    snprintf(form, sizeof form, "2002:%02x%02x:%02x%02x::", b[0], b[1], b[2], b[3]);
    assert_global(form, is_global);
    snprintf(form, sizeof form, "2002:%02x%02x:%02x%02x:1:2:3:4:5", b[0], b[1], b[2], b[3]);
    assert_global(form, is_global);

    /* but not in forms that do not lead to it */
    snprintf(form, sizeof form, "::%s", text);
    assert_global(form, false);
    snprintf(form, sizeof form, "64:ff9b:1::%s", text);
    assert_global(form, false);
    snprintf(form, sizeof form, "::ffff:0:%s", text);
    assert_global(form, false);
}

static void every_block_is_judged_at_its_first_and_last_address(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_global_in_all_forms(rows[i].base, rows[i].is_global);
        assert_global_in_all_forms(rows[i].last, rows[i].is_global);
    }
}

static void every_block_ends_where_it_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (rows[i].before.address)
            assert_global_in_all_forms(rows[i].before.address, rows[i].before.is_global);
        if (rows[i].after.address)
            assert_global_in_all_forms(rows[i].after.address, rows[i].after.is_global);
    }
}

static void ordinary_addresses_are_global(void **state)
{
    (void)state;
    static const char *const addresses[] = {
        "1.1.1.1",    "8.8.8.8",    "100.0.0.1", "128.66.0.1", "172.217.0.1",
        "192.0.66.1", "192.88.0.1", "203.0.0.1", "223.1.2.3",
    };
    for (size_t i = 0; i < COUNT(addresses); i++)
        assert_global_in_all_forms(addresses[i], true);

    assert_global("2001:4860:4860::8888", true);
    assert_global("2606:4700:4700::1111", true);
    assert_global("2a00:1450:4001:800::200e", true);
    assert_global("200:1234::1", false); /* an overlay network */
}

/* The scopes other than global are told apart, also inside IPv6 forms that embed them. */
static void an_address_has_the_scope_of_its_block(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        enum address_scope scope;
    } of[] = {
        {"9.255.255.255", SCOPE_GLOBAL},
        {"10.0.0.0", SCOPE_PRIVATE},
        {"172.16.0.1", SCOPE_PRIVATE},
        {"172.32.0.0", SCOPE_GLOBAL},
        {"192.168.255.255", SCOPE_PRIVATE},
        {"fd00::1", SCOPE_PRIVATE},
        {"::ffff:192.168.1.1", SCOPE_PRIVATE},
        {"64:ff9b::10.0.0.1", SCOPE_PRIVATE},
        {"2002:a00:1::1", SCOPE_PRIVATE},
        {"100.64.0.0", SCOPE_CARRIER},
        {"100.127.255.255", SCOPE_CARRIER},
        {"100.128.0.0", SCOPE_GLOBAL},
        {"169.254.1.1", SCOPE_LINK},
        {"::ffff:169.254.1.1", SCOPE_LINK},
        {"fe80::1", SCOPE_ZONE},
        {"febf::1", SCOPE_ZONE},
        {"127.1.2.3", SCOPE_LOOPBACK},
        {"::1", SCOPE_LOOPBACK},
        {"224.0.0.1", SCOPE_MULTICAST},
        {"239.255.255.255", SCOPE_MULTICAST},
        {"ff02::1", SCOPE_MULTICAST},
        {"0.0.0.0", SCOPE_RESERVED},
        {"0.1.2.3", SCOPE_RESERVED},
        {"240.0.0.1", SCOPE_RESERVED},
        {"255.255.255.255", SCOPE_RESERVED},
        {"::", SCOPE_RESERVED},
        {"::2", SCOPE_RESERVED},
        {"::9.9.9.9", SCOPE_RESERVED},
        {"192.0.2.1", SCOPE_SPECIAL},
        {"198.18.0.1", SCOPE_SPECIAL},
        {"198.51.100.1", SCOPE_SPECIAL},
        {"203.0.113.1", SCOPE_SPECIAL},
        {"2001:db8::1", SCOPE_SPECIAL},
        {"fec0::1", SCOPE_SPECIAL},
        {"192.0.0.9", SCOPE_GLOBAL},
        {"2001:20::1", SCOPE_GLOBAL},
    };
    for (size_t i = 0; i < COUNT(of); i++) {
        struct address address = address_of(of[i].address);
        if (address_scope(&address) != of[i].scope)
            fail_msg("%s: the scope must be %d", of[i].address, (int)of[i].scope);
    }
}

/* The rows above and the rows of the table describe the same blocks. */
static void the_table_has_no_block_that_is_not_tested(void **state)
{
    (void)state;
    const struct {
        int family;
        unsigned prefix;
        uint64_t bits[2];
    } table[] = {
#define SPECIAL_RANGE(family, scope, high, low, high_mask, low_mask)                       \
    {family,                                                                               \
     (unsigned)(__builtin_popcountll(high_mask) + __builtin_popcountll(low_mask)),         \
     {htobe64(high), htobe64(low)}},
#include "net/special_ranges.def"
#undef SPECIAL_RANGE
    };
    assert_int_equal(COUNT(table), COUNT(rows));

    for (size_t i = 0; i < COUNT(table); i++) {
        bool is_tested = false;
        for (size_t j = 0; j < COUNT(rows) && !is_tested; j++) {
            struct address base = address_of(rows[j].base);
            is_tested =
                table[i].prefix == rows[j].prefix &&
                address_has_prefix(&base, table[i].family, (const uint8_t *)table[i].bits,
                                   address_family_number(&base) == 4 ? 32 : 128);
        }
        if (!is_tested)
            fail_msg("row %zu of the table is not tested", i);
    }
}

/* Whether `after` follows `address` immediately. */
static bool is_next(const struct address *address, const struct address *after)
{
    size_t len;
    const uint8_t *first = address_bytes(address, &len);
    uint8_t bytes[16];
    memcpy(bytes, first, len);
    for (size_t i = len; i-- > 0 && ++bytes[i] == 0;)
        ;
    return memcmp(bytes, address_bytes(after, &len), len) == 0;
}

/* Guards against slips in this file: `last` must be inside, the neighbours outside and
 * adjacent. */
static void the_edges_are_edges(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t len;
        struct address base = address_of(rows[i].base);
        struct address last = address_of(rows[i].last);
        const uint8_t *bits = address_bytes(&base, &len);
        int family = len == 4 ? AF_INET : AF_INET6;
        assert_true(address_has_prefix(&last, family, bits, rows[i].prefix));

        if (rows[i].before.address) {
            struct address before = address_of(rows[i].before.address);
            assert_false(address_has_prefix(&before, family, bits, rows[i].prefix));
            assert_true(is_next(&before, &base));
        }
        if (rows[i].after.address) {
            struct address after = address_of(rows[i].after.address);
            assert_false(address_has_prefix(&after, family, bits, rows[i].prefix));
            assert_true(is_next(&last, &after));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_block_is_judged_at_its_first_and_last_address),
        cmocka_unit_test(every_block_ends_where_it_ends),
        cmocka_unit_test(ordinary_addresses_are_global),
        cmocka_unit_test(an_address_has_the_scope_of_its_block),
        cmocka_unit_test(the_table_has_no_block_that_is_not_tested),
        cmocka_unit_test(the_edges_are_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
