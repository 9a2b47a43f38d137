/* SPDX-License-Identifier: MIT */
#include "net/port_set.h"

#include "base/err.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct port_set set_of(size_t max)
{
    struct port_set set;
    assert_true(port_set_init(&set, max, NULL));
    return set;
}

/* The bits must agree with the list. */
static bool has(const struct port_set *set, uint16_t port)
{
    return (set->member[port / 64] >> (port % 64)) & 1;
}

static void assert_holds(const struct port_set *set, const uint16_t *ports, size_t count)
{
    assert_int_equal(set->count, count);
    assert_memory_equal(set->ports, ports, count * sizeof *ports);
    for (size_t i = 0; i < count; i++)
        assert_true(has(set, ports[i]));
}

static void ports_stay_in_the_order_in_which_they_first_came(void **state)
{
    (void)state;
    struct port_set set = set_of(100);
    assert_true(port_set_add(&set, 50801, 50801));
    assert_true(port_set_add(&set, 7466, 7466));
    assert_true(port_set_add(&set, 50801, 50801));
    assert_true(port_set_add(&set, 50799, 50803));
    assert_true(port_set_add(&set, 65535, 65535));
    assert_true(port_set_add(&set, 1, 1));
    assert_holds(&set, (uint16_t[]){50801, 7466, 50799, 50800, 50802, 50803, 65535, 1}, 8);
    assert_false(has(&set, 50798));
    assert_false(has(&set, 50804));
    assert_false(has(&set, 0));
    port_set_done(&set);
}

static void ranges_across_words_are_added_whole(void **state)
{
    (void)state;
    static const struct {
        uint16_t first, last;
    } rows[] = {
        {1, 1},     {1, 63},        {63, 64},       {64, 64},    {64, 127}, {64, 128},
        {1, 65535}, {65472, 65535}, {65535, 65535}, {127, 1025}, {60, 200}, {63, 63},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct port_set set = set_of(65535);
        assert_true(port_set_add(&set, rows[i].first, rows[i].last));
        assert_int_equal(set.count, rows[i].last - rows[i].first + 1);
        for (unsigned port = 0; port <= 65535; port++) {
            bool is_in = port >= rows[i].first && port <= rows[i].last;
            assert_int_equal(has(&set, (uint16_t)port), is_in);
            if (is_in)
                assert_int_equal(set.ports[port - rows[i].first], port);
        }
        port_set_done(&set);
    }
}

static void one_port_too_many_leaves_the_set_as_it_was(void **state)
{
    (void)state;
    struct port_set set = set_of(4);
    assert_true(port_set_add(&set, 10, 12));
    assert_false(port_set_add(&set, 11, 14));
    assert_false(port_set_add(&set, 1, 65535));
    assert_holds(&set, (uint16_t[]){10, 11, 12}, 3);
    assert_false(has(&set, 13));
    assert_false(has(&set, 14));

    /* what is there already is free */
    assert_true(port_set_add(&set, 10, 13));
    assert_true(port_set_add(&set, 10, 13));
    assert_true(port_set_add(&set, 12, 12));
    assert_false(port_set_add(&set, 14, 14));
    assert_holds(&set, (uint16_t[]){10, 11, 12, 13}, 4);
    port_set_done(&set);
}

static void a_set_without_room_takes_nothing(void **state)
{
    (void)state;
    struct port_set set = set_of(0);
    assert_false(port_set_add(&set, 80, 80));
    assert_int_equal(set.count, 0);
    port_set_done(&set);
}

static void a_limit_beyond_all_ports_means_all_ports(void **state)
{
    (void)state;
    struct port_set set = set_of(SIZE_MAX);
    assert_true(port_set_add(&set, 1, 65535));
    assert_int_equal(set.count, 65535);
    assert_true(port_set_add(&set, 1, 65535));
    assert_int_equal(set.count, 65535);
    port_set_done(&set);
}

static void a_cleared_set_is_a_new_one(void **state)
{
    (void)state;
    struct port_set set = set_of(2);
    assert_true(port_set_add(&set, 1, 2));
    port_set_clear(&set);
    assert_int_equal(set.count, 0);
    assert_false(has(&set, 1));
    assert_true(port_set_add(&set, 2, 3));
    assert_holds(&set, (uint16_t[]){2, 3}, 2);
    port_set_done(&set);
    port_set_done(&set);
}

static void ranges_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint16_t first, last;
    } rows[] = {
        {"50800-50900", 50800, 50900}, {"1-65535", 1, 65535},    {"80-80", 80, 80},
        {"65535-65535", 65535, 65535}, {"00080-00443", 80, 443}, {"1-2", 1, 2},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint16_t first;
        uint16_t last;
        assert_true(
            port_range_parse(rows[i].text, strlen(rows[i].text), &first, &last, NULL));
        assert_int_equal(first, rows[i].first);
        assert_int_equal(last, rows[i].last);
    }
}

static void what_is_no_range_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "-",
        "--",
        "80",
        "80-",
        "-80",
        "80--90",
        "80-90-",
        "-80-90",
        "80-90-100",
        "0-1",
        "0-0",
        "1-0",
        "0-65535",
        "1-65536",
        "65536-65537",
        "90-80",
        "65535-1",
        "1-99999",
        "000080-90",
        "80-000090",
        "1-4294967297",
        "1-18446744073709551617",
        " 80-90",
        "80-90 ",
        "80 -90",
        "80- 90",
        "80 - 90",
        "+80-90",
        "80-+90",
        "80--1",
        "0x50-90",
        "80-0x5a",
        "80.0-90",
        "8e1-90",
        "80:90",
        "80,90",
        "80..90",
        "80\342\200\22390",
        "a-b",
        "80-90\n",
        "\t80-90",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct err err = {.message = ""};
        uint16_t first = 11;
        uint16_t last = 22;
        if (port_range_parse(texts[i], strlen(texts[i]), &first, &last, &err))
            fail_msg("\"%s\" must not be a range", texts[i]);
        assert_int_equal(err.kind, ERR_INVALID);
        assert_true(strlen(err.message) > 0);
        assert_int_equal(first, 11);
        assert_int_equal(last, 22);
    }
    uint16_t first;
    uint16_t last;
    assert_false(port_range_parse("80-90\0", 6, &first, &last, NULL));
    assert_false(port_range_parse("80\0-90", 6, &first, &last, NULL));
    assert_true(port_range_parse("80-9000", 5, &first, &last, NULL));
    assert_int_equal(last, 90);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ports_stay_in_the_order_in_which_they_first_came),
        cmocka_unit_test(ranges_across_words_are_added_whole),
        cmocka_unit_test(one_port_too_many_leaves_the_set_as_it_was),
        cmocka_unit_test(a_set_without_room_takes_nothing),
        cmocka_unit_test(a_limit_beyond_all_ports_means_all_ports),
        cmocka_unit_test(a_cleared_set_is_a_new_one),
        cmocka_unit_test(ranges_are_read),
        cmocka_unit_test(what_is_no_range_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
