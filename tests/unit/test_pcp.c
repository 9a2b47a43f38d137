/* SPDX-License-Identifier: MIT */
#include "router/pcp.h"

#include "addresses.h"
#include "router/protocol.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define NONCE        "abcdefghijkl"
#define ZEROS_12     "\0\0\0\0\0\0\0\0\0\0\0\0"
#define MAPPED       "\0\0\0\0\0\0\0\0\0\0\xff\xff"
#define HERE4        MAPPED "\xc0\xa8\x32\x02" /* 192.168.50.2 */
#define HERE6        "\x20\x01\x0d\xb8" ZEROS_12
#define OUTER4       MAPPED "\x2d\x0c\x07\x01" /* 45.12.7.1 */

/* Of a reply: lifetime 120, epoch 9. */
#define REST         "\0\0\0\x78\0\0\0\x09" ZEROS_12
#define PORTS        "\x06\0\0\0\x1d\x2a\x1f\x40"
#define MAP_REPLY    "\2\x81\0\0" REST NONCE PORTS OUTER4

/* Bytes and their number: the literal's end is not among them. */
#define BYTES(text)  (const uint8_t *)(text), sizeof(text) - 1

static struct pcp_request request_of(enum pcp_opcode opcode, const char *client)
{
    struct pcp_request request = {
        .opcode = opcode,
        .client = address_of(client),
        .inner = 7466,
        .outer = 8000,
        .lifetime = 3600,
    };
    memcpy(request.nonce.bytes, NONCE, PCP_NONCE_SIZE);
    return request;
}

static void requests_have_the_form_of_the_rfc(void **state)
{
    (void)state;
    static const struct {
        enum pcp_opcode opcode;
        const char *client;
        const uint8_t *bytes;
        size_t len;
    } rows[] = {
        {PCP_ANNOUNCE, "192.168.50.2", BYTES("\2\0\0\0\0\0\0\0" HERE4)},
        {PCP_ANNOUNCE, "2001:db8::", BYTES("\2\0\0\0\0\0\0\0" HERE6)},
        {PCP_MAP, "192.168.50.2",
         BYTES("\2\1\0\0\0\0\x0e\x10" HERE4 NONCE PORTS MAPPED "\0\0\0\0")},
        {PCP_MAP,
         "2001:db8::", BYTES("\2\1\0\0\0\0\x0e\x10" HERE6 NONCE PORTS ZEROS_12 "\0\0\0\0")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct pcp_request request = request_of(rows[i].opcode, rows[i].client);
        uint8_t bytes[PCP_REQUEST_MAX];
        assert_int_equal(pcp_write(&request, bytes), rows[i].len);
        assert_memory_equal(bytes, rows[i].bytes, rows[i].len);
    }
}

static void a_mapping_is_read(void **state)
{
    (void)state;
    struct pcp_request asked = request_of(PCP_MAP, "192.168.50.2");
    struct pcp_reply reply;
    char text[ADDRESS_TEXT_SIZE];
    assert_int_equal(pcp_read(BYTES(MAP_REPLY), &asked, &reply), PCP_FORM_REPLY);
    assert_int_equal(reply.result, 0);
    assert_int_equal(reply.lifetime, 120);
    assert_int_equal(reply.epoch, 9);
    assert_int_equal(reply.outer, 8000);
    assert_string_equal(address_format(&reply.outer_address, text), "45.12.7.1");
}

static void a_pinhole_is_read(void **state)
{
    (void)state;
    struct pcp_request asked = request_of(PCP_MAP, "2001:db8::");
    struct pcp_reply reply;
    char text[ADDRESS_TEXT_SIZE];
    assert_int_equal(pcp_read(BYTES("\2\x81\0\0" REST NONCE PORTS HERE6), &asked, &reply),
                     PCP_FORM_REPLY);
    assert_string_equal(address_format(&reply.outer_address, text), "2001:db8::");
}

static void a_removed_mapping_may_have_neither_port_nor_address(void **state)
{
    (void)state;
    struct pcp_request asked = request_of(PCP_MAP, "192.168.50.2");
    struct pcp_reply reply;
    asked.outer = 0;
    asked.lifetime = 0;
    assert_int_equal(pcp_read(BYTES("\2\x81\0\0\0\0\0\0\0\0\0\x09" ZEROS_12 NONCE
                                    "\6\0\0\0\x1d\x2a\0\0" ZEROS_12 "\0\0\0\0"),
                              &asked, &reply),
                     PCP_FORM_REPLY);
    assert_int_equal(reply.lifetime, 0);
}

static void options_are_skipped(void **state)
{
    (void)state;
    struct pcp_request asked = request_of(PCP_MAP, "192.168.50.2");
    struct pcp_reply reply;
    assert_int_equal(
        pcp_read(BYTES(MAP_REPLY "\2\0\0\0\x80\0\0\5hello\0\0\0"), &asked, &reply),
        PCP_FORM_REPLY);
}

static void an_announcement_is_read(void **state)
{
    (void)state;
    struct pcp_request asked = request_of(PCP_ANNOUNCE, "192.168.50.2");
    struct pcp_reply reply;
    assert_int_equal(pcp_read(BYTES("\2\x80\0\0" REST), &asked, &reply), PCP_FORM_REPLY);
    assert_int_equal(reply.epoch, 9);
}

static void refusals_are_read_whole_and_as_a_header(void **state)
{
    (void)state;
    static const struct {
        const uint8_t *bytes;
        size_t len;
        enum pcp_opcode opcode;
        enum router_meaning meaning;
    } rows[] = {
        {BYTES("\2\x81\0\2" REST NONCE PORTS HERE4), PCP_MAP, ROUTER_REFUSES},
        {BYTES("\2\x81\0\x08" REST NONCE PORTS HERE4), PCP_MAP, ROUTER_FULL},
        {BYTES("\2\x81\0\x0a" REST NONCE PORTS HERE4), PCP_MAP, ROUTER_FULL},
        {BYTES("\2\x81\0\x0b" REST NONCE PORTS HERE4), PCP_MAP, ROUTER_TAKEN},
        {BYTES("\2\x81\0\x0c" REST NONCE PORTS HERE4), PCP_MAP, ROUTER_FAR},
        {BYTES("\2\x81\0\x04" REST), PCP_MAP, ROUTER_LACKS},
        {BYTES("\2\x81\0\x03" REST), PCP_MAP, ROUTER_MISUNDERSTOOD},
        {BYTES("\2\x80\0\xff" REST), PCP_ANNOUNCE, ROUTER_MISUNDERSTOOD},
        /* the outer port that we wished for is repeated, or not */
        {BYTES("\2\x81\0\x0b" REST NONCE "\6\0\0\0\x1d\x2a\0\0" MAPPED "\0\0\0\0"), PCP_MAP,
         ROUTER_TAKEN},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct pcp_request asked = request_of(rows[i].opcode, "192.168.50.2");
        struct pcp_reply reply;
        assert_int_equal(pcp_read(rows[i].bytes, rows[i].len, &asked, &reply),
                         PCP_FORM_REPLY);
        assert_int_equal(reply.lifetime, 120);
        assert_int_equal(router_result_of(ROUTER_PCP, reply.result).meaning,
                         rows[i].meaning);
    }
}

static void a_router_of_another_version_says_so(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const uint8_t *bytes;
        size_t len;
    } rows[] = {
        {"NAT-PMP", BYTES("\0\x80\0\1\0\0\0\7")},
        {"NAT-PMP, with an address", BYTES("\0\x80\0\1\0\0\0\7\0\0\0\0")},
        {"an older PCP", BYTES("\1\x80\0\1" REST)},
        {"a newer PCP", BYTES("\3\x80\0\1" REST)},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct pcp_request asked = request_of(PCP_ANNOUNCE, "192.168.50.2");
        struct pcp_reply reply;
        if (pcp_read(rows[i].bytes, rows[i].len, &asked, &reply) != PCP_FORM_OTHER_VERSION)
            fail_msg("%s", rows[i].what);
    }
}

static void anything_else_is_not_a_reply(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const uint8_t *bytes;
        size_t len;
        enum pcp_opcode opcode;
    } rows[] = {
        {"nothing", BYTES(""), PCP_ANNOUNCE},
        {"a request", BYTES("\2\0\0\0\0\0\0\0" HERE4), PCP_ANNOUNCE},
        {"another opcode", BYTES("\2\x81\0\0" REST), PCP_ANNOUNCE},
        {"another opcode of NAT-PMP", BYTES("\0\x82\0\1\0\0\0\7"), PCP_MAP},
        {"an address of NAT-PMP", BYTES("\0\x80\0\0\0\0\0\7\x2d\x0c\7\1"), PCP_ANNOUNCE},
        {"NAT-PMP, result 256 + 1", BYTES("\0\x80\1\1\0\0\0\7"), PCP_ANNOUNCE},
        {"NAT-PMP, too long", BYTES("\0\x80\0\1\0\0\0\7" ZEROS_12), PCP_ANNOUNCE},
        {"another version, cut", BYTES("\3\x80\0\1\0\0\0\x78"), PCP_ANNOUNCE},
        {"another version that grants", BYTES("\3\x80\0\0" REST), PCP_ANNOUNCE},
        {"cut", BYTES("\2\x80\0\0\0\0\0\x78\0\0\0\x09\0\0\0\0\0\0\0\0"), PCP_ANNOUNCE},
        {"one byte more", BYTES("\2\x80\0\0" REST "\0"), PCP_ANNOUNCE},
        {"a mapping that is a header", BYTES("\2\x81\0\0" REST), PCP_MAP},
        {"a refusal cut in MAP", BYTES("\2\x81\0\2" REST NONCE), PCP_MAP},
        {"another nonce", BYTES("\2\x81\0\0" REST "abcdefghijkm" PORTS OUTER4), PCP_MAP},
        {"another nonce refused", BYTES("\2\x81\0\2" REST "Abcdefghijkl" PORTS OUTER4),
         PCP_MAP},
        {"UDP", BYTES("\2\x81\0\0" REST NONCE "\x11\0\0\0\x1d\x2a\x1f\x40" OUTER4),
         PCP_MAP},
        {"another inner port",
         BYTES("\2\x81\0\0" REST NONCE "\6\0\0\0\x1d\x2b\x1f\x40" OUTER4), PCP_MAP},
        {"outer port 0", BYTES("\2\x81\0\0" REST NONCE "\6\0\0\0\x1d\x2a\0\0" OUTER4),
         PCP_MAP},
        {"no time", BYTES("\2\x81\0\0\0\0\0\0\0\0\0\x09" ZEROS_12 NONCE PORTS OUTER4),
         PCP_MAP},
        {"outer address 0.0.0.0", BYTES("\2\x81\0\0" REST NONCE PORTS MAPPED "\0\0\0\0"),
         PCP_MAP},
        {"the other family", BYTES("\2\x81\0\0" REST NONCE PORTS HERE6), PCP_MAP},
        {"an option that is too long", BYTES(MAP_REPLY "\2\0\0\1"), PCP_MAP},
        {"a huge option", BYTES(MAP_REPLY "\2\0\xff\xff"), PCP_MAP},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct pcp_request asked = request_of(rows[i].opcode, "192.168.50.2");
        struct pcp_reply reply = {.epoch = 77};
        if (pcp_read(rows[i].bytes, rows[i].len, &asked, &reply) != PCP_FORM_INVALID)
            fail_msg("%s", rows[i].what);
        assert_int_equal(reply.epoch, 77);
    }
}

static void a_reply_beyond_the_limit_is_not_read(void **state)
{
    (void)state;
    static uint8_t bytes[PCP_REPLY_MAX + 4] = "\2\x80\0\0" REST;
    struct pcp_request asked = request_of(PCP_ANNOUNCE, "192.168.50.2");
    struct pcp_reply reply;
    assert_int_equal(pcp_read(bytes, PCP_REPLY_MAX, &asked, &reply), PCP_FORM_REPLY);
    assert_int_equal(pcp_read(bytes, PCP_REPLY_MAX + 4, &asked, &reply), PCP_FORM_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_have_the_form_of_the_rfc),
        cmocka_unit_test(a_mapping_is_read),
        cmocka_unit_test(a_pinhole_is_read),
        cmocka_unit_test(a_removed_mapping_may_have_neither_port_nor_address),
        cmocka_unit_test(options_are_skipped),
        cmocka_unit_test(an_announcement_is_read),
        cmocka_unit_test(refusals_are_read_whole_and_as_a_header),
        cmocka_unit_test(a_router_of_another_version_says_so),
        cmocka_unit_test(anything_else_is_not_a_reply),
        cmocka_unit_test(a_reply_beyond_the_limit_is_not_read),
    };
    return cmocka_run_group_tests_name("pcp", tests, NULL, NULL);
}
