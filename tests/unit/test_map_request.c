/* SPDX-License-Identifier: MIT */
#include "router/map_request.h"

#include "addresses.h"

static struct map_request request_of(enum router_protocol protocol)
{
    return (struct map_request){
        .protocol = protocol,
        .client = address_of("192.168.50.2"),
        .nonce = {"abcdefghijkl"},
        .inner = 7466,
        .outer = 8000,
        .lifetime = 3600,
    };
}

static void each_protocol_has_its_own_datagram(void **state)
{
    (void)state;
    struct map_request request = request_of(ROUTER_NATPMP);
    uint8_t bytes[PCP_REQUEST_MAX];
    assert_int_equal(map_request_write(&request, bytes), 12);
    assert_memory_equal(bytes, "\0\2\0\0\x1d\x2a\x1f\x40\0\0\x0e\x10", 12);
    request.protocol = ROUTER_PCP;
    assert_int_equal(map_request_write(&request, bytes), 60);
    assert_memory_equal(bytes, "\2\1\0\0\0\0\x0e\x10", 8);
    assert_memory_equal(bytes + 24, "abcdefghijkl\6\0\0\0\x1d\x2a\x1f\x40", 20);
}

static void a_reply_of_nat_pmp_tells_no_address(void **state)
{
    (void)state;
    const struct map_request request = request_of(ROUTER_NATPMP);
    const uint8_t bytes[] = {0, 130, 0, 0, 0, 0, 0, 9, 0x1d, 0x2a, 0x1f, 0x40, 0, 0, 0, 60};
    struct map_reply reply;
    assert_true(map_reply_read(bytes, sizeof bytes, &request, &reply));
    assert_int_equal(reply.outer, 8000);
    assert_int_equal(reply.lifetime, 60);
    assert_true(reply.has_epoch);
    assert_int_equal(reply.epoch, 9);
    assert_false(reply.has_outer_address);
    assert_false(map_reply_read(bytes, sizeof bytes - 1, &request, &reply));
}

static void a_reply_of_pcp_tells_it(void **state)
{
    (void)state;
    const struct map_request request = request_of(ROUTER_PCP);
    uint8_t bytes[60] = {2, 129, 0, 0, 0, 0, 0, 60, 0, 0, 0, 9};
    memcpy(bytes + 24, "abcdefghijkl\6\0\0\0\x1d\x2a\x1f\x40", 20);
    memcpy(bytes + 54, "\xff\xff\x2d\x0c\7\1", 6);
    struct map_reply reply;
    char text[ADDRESS_TEXT_SIZE];
    assert_true(map_reply_read(bytes, sizeof bytes, &request, &reply));
    assert_int_equal(reply.outer, 8000);
    assert_int_equal(reply.lifetime, 60);
    assert_int_equal(reply.epoch, 9);
    assert_true(reply.has_outer_address);
    assert_string_equal(address_format(&reply.outer_address, text), "45.12.7.1");

    bytes[3] = 2;
    assert_true(map_reply_read(bytes, sizeof bytes, &request, &reply));
    assert_int_equal(reply.result, 2);
    assert_int_equal(reply.lifetime, 60);
    assert_false(reply.has_outer_address);
}

static void another_version_is_a_refusal_without_an_epoch(void **state)
{
    (void)state;
    const struct map_request request = request_of(ROUTER_PCP);
    const uint8_t bytes[] = {0, 129, 0, 1, 0, 0, 0, 9};
    struct map_reply reply;
    assert_true(map_reply_read(bytes, sizeof bytes, &request, &reply));
    assert_int_equal(reply.result, 1);
    assert_false(reply.has_epoch);
    assert_int_equal(router_result_of(ROUTER_PCP, reply.result).meaning, ROUTER_LACKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_protocol_has_its_own_datagram),
        cmocka_unit_test(a_reply_of_nat_pmp_tells_no_address),
        cmocka_unit_test(a_reply_of_pcp_tells_it),
        cmocka_unit_test(another_version_is_a_refusal_without_an_epoch),
    };
    return cmocka_run_group_tests_name("map_request", tests, NULL, NULL);
}
