/* SPDX-License-Identifier: MIT */
#include "router/natpmp.h"

#include "addresses.h"
#include "router/protocol.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Bytes and their number: the literal's end is not among them. */
#define BYTES(text)  (const uint8_t *)(text), sizeof(text) - 1

static const struct natpmp_request address_request = {.opcode = NATPMP_ADDRESS};
static const struct natpmp_request map_request = {
    .opcode = NATPMP_MAP_TCP,
    .inner = 7466,
    .outer = 8000,
    .lifetime = 3600,
};

static void requests_have_the_form_of_the_rfc(void **state)
{
    (void)state;
    uint8_t bytes[NATPMP_REQUEST_MAX];
    assert_int_equal(natpmp_write(&address_request, bytes), 2);
    assert_memory_equal(bytes, "\0\0", 2);
    assert_int_equal(natpmp_write(&map_request, bytes), 12);
    assert_memory_equal(bytes, "\0\2\0\0\x1d\x2a\x1f\x40\0\0\x0e\x10", 12);
}

static void a_removal_wishes_for_neither_port_nor_time(void **state)
{
    (void)state;
    const struct natpmp_request removal = {.opcode = NATPMP_MAP_TCP, .inner = 7466};
    uint8_t bytes[NATPMP_REQUEST_MAX];
    assert_int_equal(natpmp_write(&removal, bytes), 12);
    assert_memory_equal(bytes, "\0\2\0\0\x1d\x2a\0\0\0\0\0\0", 12);
}

static void an_outer_address_is_read(void **state)
{
    (void)state;
    struct natpmp_reply reply;
    char text[ADDRESS_TEXT_SIZE];
    assert_true(natpmp_read(BYTES("\0\x80\0\0\x00\x01\x00\x02\x2d\x0c\x07\x01"),
                            &address_request, &reply));
    assert_int_equal(reply.result, 0);
    assert_int_equal(reply.epoch, 65538);
    assert_string_equal(address_format(&reply.outer_address, text), "45.12.7.1");
    assert_int_equal(address_port(&reply.outer_address), 0);
}

static void a_mapping_is_read(void **state)
{
    (void)state;
    struct natpmp_reply reply;
    assert_true(natpmp_read(BYTES("\0\x82\0\0\0\0\0\x09\x1d\x2a\x1f\x41\xff\xff\xff\xff"),
                            &map_request, &reply));
    assert_int_equal(reply.result, 0);
    assert_int_equal(reply.epoch, 9);
    assert_int_equal(reply.outer, 8001);
    assert_int_equal(reply.lifetime, UINT32_MAX);
}

static void a_removed_mapping_may_have_no_outer_port(void **state)
{
    (void)state;
    const struct natpmp_request removal = {.opcode = NATPMP_MAP_TCP, .inner = 7466};
    struct natpmp_reply reply;
    assert_true(
        natpmp_read(BYTES("\0\x82\0\0\0\0\0\x09\x1d\x2a\0\0\0\0\0\0"), &removal, &reply));
    assert_int_equal(reply.lifetime, 0);
}

static void refusals_are_read_in_both_lengths(void **state)
{
    (void)state;
    static const struct {
        const uint8_t *bytes;
        size_t len;
        const struct natpmp_request *asked;
        uint16_t result;
        enum router_meaning meaning;
    } rows[] = {
        {BYTES("\0\x80\0\1\0\0\0\0"), &address_request, 1, ROUTER_LACKS},
        {BYTES("\0\x80\0\3\0\0\0\0\0\0\0\0"), &address_request, 3, ROUTER_OFFLINE},
        {BYTES("\0\x82\0\2\0\0\0\0\x1d\x2a\0\0\0\0\0\0"), &map_request, 2, ROUTER_REFUSES},
        {BYTES("\0\x82\0\4\0\0\0\0\0\0\0\0\0\0\0\0"), &map_request, 4, ROUTER_FULL},
        {BYTES("\0\x82\0\5\0\0\0\0"), &map_request, 5, ROUTER_LACKS},
        {BYTES("\0\x82\1\0\0\0\0\0"), &map_request, 256, ROUTER_MISUNDERSTOOD},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct natpmp_reply reply;
        assert_true(natpmp_read(rows[i].bytes, rows[i].len, rows[i].asked, &reply));
        assert_int_equal(reply.result, rows[i].result);
        assert_int_equal(router_result_of(ROUTER_NATPMP, reply.result).meaning,
                         rows[i].meaning);
    }
}

static void anything_else_is_not_a_reply(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const uint8_t *bytes;
        size_t len;
        const struct natpmp_request *asked;
    } rows[] = {
        {"nothing", BYTES(""), &address_request},
        {"one byte", BYTES("\0"), &address_request},
        {"our own request", BYTES("\0\0"), &address_request},
        {"our own request", BYTES("\0\2\0\0\x1d\x2a\x1f\x40\0\0\x0e\x10"), &map_request},
        {"version 1", BYTES("\1\x80\0\0\0\0\0\1\x2d\x0c\7\1"), &address_request},
        {"another opcode", BYTES("\0\x82\0\0\0\0\0\1\x2d\x0c\7\1"), &address_request},
        {"that of UDP", BYTES("\0\x81\0\0\0\0\0\1\x1d\x2a\x1f\x40\0\0\0\1"), &map_request},
        {"cut", BYTES("\0\x80\0\0\0\0\0\1\x2d\x0c\7"), &address_request},
        {"too long", BYTES("\0\x80\0\0\0\0\0\1\x2d\x0c\7\1\0"), &address_request},
        {"success without an address", BYTES("\0\x80\0\0\0\0\0\1"), &address_request},
        {"address 0.0.0.0", BYTES("\0\x80\0\0\0\0\0\1\0\0\0\0"), &address_request},
        {"success without a mapping", BYTES("\0\x82\0\0\0\0\0\1"), &map_request},
        {"a length between", BYTES("\0\x82\0\2\0\0\0\1\0\0\0\0"), &map_request},
        {"another inner port", BYTES("\0\x82\0\0\0\0\0\1\x1d\x2b\x1f\x40\0\0\0\1"),
         &map_request},
        {"no time", BYTES("\0\x82\0\0\0\0\0\1\x1d\x2a\x1f\x40\0\0\0\0"), &map_request},
        {"outer port 0", BYTES("\0\x82\0\0\0\0\0\1\x1d\x2a\0\0\0\0\0\1"), &map_request},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct natpmp_reply reply = {.epoch = 77};
        if (natpmp_read(rows[i].bytes, rows[i].len, rows[i].asked, &reply))
            fail_msg("%s", rows[i].what);
        assert_int_equal(reply.epoch, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_have_the_form_of_the_rfc),
        cmocka_unit_test(a_removal_wishes_for_neither_port_nor_time),
        cmocka_unit_test(an_outer_address_is_read),
        cmocka_unit_test(a_mapping_is_read),
        cmocka_unit_test(a_removed_mapping_may_have_no_outer_port),
        cmocka_unit_test(refusals_are_read_in_both_lengths),
        cmocka_unit_test(anything_else_is_not_a_reply),
    };
    return cmocka_run_group_tests_name("natpmp", tests, NULL, NULL);
}
