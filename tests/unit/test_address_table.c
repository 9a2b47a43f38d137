/* SPDX-License-Identifier: MIT */
#include "net/address_table.h"

#include "addresses.h"
#include "base/container.h"
#include "base/err.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct thing {
    int number;
    struct address_entry entry;
};

static struct address_table table_of(size_t max)
{
    struct address_table table;
    assert_true(address_table_init(&table, max, NULL));
    return table;
}

/* 10.0.0.0 and up. */
static struct address_key key_of(uint32_t number)
{
    struct address address = address_of("10.0.0.0");
    address.in.sin_addr.s_addr = htonl(ntohl(address.in.sin_addr.s_addr) + number);
    return address_key_exact(&address);
}

static struct thing *find(const struct address_table *table, uint32_t number)
{
    struct address_key key = key_of(number);
    struct address_entry *entry = address_table_find(table, &key);
    return entry ? CONTAINER_OF(entry, struct thing, entry) : NULL;
}

static bool add(struct address_table *table, struct thing *things, uint32_t number)
{
    struct address_key key = key_of(number);
    things[number].number = (int)number;
    return address_table_add(table, &key, &things[number].entry);
}

/* ---- keys --------------------------------------------------------------------------- */

static void addresses_of_one_caller_have_one_key(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool is_same;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.1", "193.0.2.1", false},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"192.0.2.1", "64:ff9b::192.0.2.1", true},
        {"192.0.2.1", "2002:c000:201::1", true},
        {"2002:c000:201::1", "2002:c000:201:ffff::2", true},
        {"64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2", false},
        {"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
        {"2001:db8:1:2::1", "2001:db9:1:2::1", false},
        {"1.2.3.4", "102:304::", false}, /* the same bits, of the other family */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address a = address_of(rows[i].a);
        struct address b = address_of(rows[i].b);
        address_set_port(&a, 80);
        struct address_key key_a = address_key_caller(&a);
        struct address_key key_b = address_key_caller(&b);
        if ((memcmp(&key_a, &key_b, sizeof key_a) == 0) != rows[i].is_same)
            fail_msg("%s and %s: one caller must be %d", rows[i].a, rows[i].b,
                     rows[i].is_same);
    }
}

static void an_exact_key_takes_the_whole_address_but_no_port(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool is_same;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", true},        {"192.0.2.1", "::ffff:192.0.2.1", false},
        {"2001:db8::1", "2001:db8::2", false},   {"2001:db8::1", "2001:db8::1:0:1", false},
        {"2001:db8::1", "2101:db8::1", false},   {"1.2.3.4", "102:304::", false},
        {"2001:db8::", "2001:db8:0:1::", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct address a = address_of(rows[i].a);
        struct address b = address_of(rows[i].b);
        address_set_port(&a, 80);
        struct address_key key_a = address_key_exact(&a);
        struct address_key key_b = address_key_exact(&b);
        if ((memcmp(&key_a, &key_b, sizeof key_a) == 0) != rows[i].is_same)
            fail_msg("%s and %s: one key must be %d", rows[i].a, rows[i].b,
                     rows[i].is_same);
    }
}

/* ---- the table ---------------------------------------------------------------------- */

static void it_holds_as_many_as_it_may_and_no_more(void **state)
{
    (void)state;
    struct thing things[101];
    struct address_table table = table_of(100);
    for (uint32_t i = 0; i < 100; i++)
        assert_true(add(&table, things, i));
    assert_false(add(&table, things, 100));
    assert_null(find(&table, 100));

    address_table_remove(&table, &things[7].entry);
    assert_null(find(&table, 7));
    assert_true(add(&table, things, 100));
    assert_int_equal(find(&table, 100)->number, 100);
    assert_int_equal(table.count, 100);
    address_table_done(&table);
}

/* Compared with an array that records the members, while the table grows. */
static void what_was_added_is_found_until_it_is_removed(void **state)
{
    (void)state;
    enum { NUMBERS = 3000, STEPS = 60000 };
    static struct thing things[NUMBERS];
    static bool is_in[NUMBERS];
    struct address_table table = table_of(NUMBERS);
    size_t count = 0;
    uint32_t random = 20240607;
    for (int step = 0; step < STEPS; step++) {
        random = random * 1664525 + 1013904223;
        uint32_t number = (random >> 8) % NUMBERS;
        struct thing *found = find(&table, number);
        assert_ptr_equal(found, is_in[number] ? &things[number] : NULL);
        if (found)
            address_table_remove(&table, &found->entry);
        else
            assert_true(add(&table, things, number));
        is_in[number] = !is_in[number];
        count += is_in[number] ? 1 : (size_t)-1;
        assert_int_equal(table.count, count);
    }
    for (uint32_t i = 0; i < NUMBERS; i++)
        assert_ptr_equal(find(&table, i), is_in[i] ? &things[i] : NULL);
    address_table_done(&table);
}

static void a_walk_meets_each_entry_once(void **state)
{
    (void)state;
    enum { NUMBERS = 500 };
    struct thing things[NUMBERS];
    int met[NUMBERS] = {0};
    struct address_table table = table_of(NUMBERS);
    size_t at = 0;
    assert_null(address_table_next(&table, &at));
    for (uint32_t i = 0; i < NUMBERS; i++)
        assert_true(add(&table, things, i));

    struct address_entry *entry;
    for (at = 0; (entry = address_table_next(&table, &at));)
        met[CONTAINER_OF(entry, struct thing, entry)->number]++;
    for (size_t i = 0; i < NUMBERS; i++)
        assert_int_equal(met[i], 1);
    address_table_done(&table);
}

/* A table that is half full of neighbouring addresses: random slots give rows of at most
 * about 40, neighbouring slots would give one of 2048. */
static void neighbours_do_not_land_in_a_row(void **state)
{
    (void)state;
    enum { NUMBERS = 2048, ROW_MAX = 256 };
    static struct thing things[NUMBERS];
    struct address_table table = table_of(NUMBERS);
    for (uint32_t i = 0; i < NUMBERS; i++)
        assert_true(add(&table, things, i));
    assert_int_equal(table.mask + 1, 2 * NUMBERS);

    size_t row = 0;
    for (size_t i = 0; i <= table.mask; i++) {
        row = table.slots[i].entry ? row + 1 : 0;
        assert_true(row <= ROW_MAX);
    }
    address_table_done(&table);
}

/* If two tables had the same entries in the same order, an attacker could predict slots. */
static void two_tables_do_not_hash_alike(void **state)
{
    (void)state;
    enum { NUMBERS = 16 };
    struct thing of_a[NUMBERS], of_b[NUMBERS];
    struct address_table a = table_of(NUMBERS);
    struct address_table b = table_of(NUMBERS);
    for (uint32_t i = 0; i < NUMBERS; i++) {
        assert_true(add(&a, of_a, i));
        assert_true(add(&b, of_b, i));
    }
    size_t differ = 0;
    for (size_t i = 0; i <= a.mask; i++)
        differ += a.slots[i].hash != b.slots[i].hash;
    assert_true(differ > 0);
    address_table_done(&a);
    address_table_done(&b);
}

static void a_table_of_zeros_can_be_walked_and_done(void **state)
{
    (void)state;
    struct address_table table = {0};
    size_t at = 0;
    assert_null(address_table_next(&table, &at));
    address_table_done(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_one_caller_have_one_key),
        cmocka_unit_test(an_exact_key_takes_the_whole_address_but_no_port),
        cmocka_unit_test(it_holds_as_many_as_it_may_and_no_more),
        cmocka_unit_test(what_was_added_is_found_until_it_is_removed),
        cmocka_unit_test(a_walk_meets_each_entry_once),
        cmocka_unit_test(neighbours_do_not_land_in_a_row),
        cmocka_unit_test(two_tables_do_not_hash_alike),
        cmocka_unit_test(a_table_of_zeros_can_be_walked_and_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
