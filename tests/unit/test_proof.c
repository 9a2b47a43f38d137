/* SPDX-License-Identifier: MIT */
#include "probe/proof.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define TOKEN        "00112233445566778899aabbccddeeff"
#define HMAC_50800                                                                         \
    "dad20424dc35ea6c8acb280ca9a7e7fd5bc4b84b47192b77c80c027ad3d773f0" /* the contract's   \
                                                                        */
#define LINE_50800 "golem-port-verifier 1 50800 " HMAC_50800 "\n"

static struct proof_token token_of(const char *text)
{
    struct proof_token token;
    assert_true(proof_token_parse(text, strlen(text), &token));
    return token;
}

static void the_contracts_example_is_what_we_write(void **state)
{
    (void)state;
    struct proof_token token = token_of(TOKEN);
    char line[PROOF_LINE_SIZE];
    size_t len;
    assert_true(proof_line_make(&token, 50800, line, &len));
    assert_string_equal(line, LINE_50800);
    assert_int_equal(len, strlen(LINE_50800));
}

static void every_port_proves_itself_and_no_other(void **state)
{
    (void)state;
    static const uint16_t ports[] = {1, 9, 10, 80, 443, 7466, 9999, 10000, 50800, 65535};
    struct proof_token token = token_of(TOKEN);
    for (size_t i = 0; i < COUNT(ports); i++) {
        char line[PROOF_LINE_SIZE];
        size_t len;
        assert_true(proof_line_make(&token, ports[i], line, &len));
        for (size_t j = 0; j < COUNT(ports); j++) {
            uint16_t port = 0;
            enum proof proof =
                proof_judge(line, len, PROOF_REST_MAY_COME, &token, ports[j], &port);
            assert_int_equal(proof, i == j ? PROOF_MATCH : PROOF_OTHER_PORT);
            assert_int_equal(port, i == j ? 0 : ports[i]);
        }
    }
}

static void another_token_proves_nothing(void **state)
{
    (void)state;
    struct proof_token ours = token_of(TOKEN);
    struct proof_token theirs = token_of("00112233445566778899aabbccddeefe");
    char line[PROOF_LINE_SIZE];
    size_t len;
    uint16_t port = 0;
    assert_true(proof_line_make(&theirs, 50800, line, &len));
    assert_int_equal(proof_judge(line, len, PROOF_REST_MAY_COME, &ours, 50800, &port),
                     PROOF_MISMATCH);
    assert_int_equal(port, 0);
}

static void a_line_may_come_in_pieces(void **state)
{
    (void)state;
    static const char line[] = LINE_50800 "and more";
    struct proof_token token = token_of(TOKEN);
    uint16_t port;
    for (size_t len = 0; len < sizeof line; len++) {
        bool is_whole = len >= strlen(LINE_50800);
        enum proof so_far =
            proof_judge(line, len, PROOF_REST_MAY_COME, &token, 50800, &port);
        enum proof late = proof_judge(line, len, PROOF_REST_TOO_LATE, &token, 50800, &port);
        enum proof cut = proof_judge(line, len, PROOF_REST_CUT_OFF, &token, 50800, &port);
        assert_int_equal(so_far, is_whole ? PROOF_MATCH : PROOF_NONE);
        assert_int_equal(late, is_whole ? PROOF_MATCH : PROOF_SILENT);
        assert_int_equal(cut, is_whole ? PROOF_MATCH : PROOF_RESET);
    }
    assert_int_equal(proof_judge(NULL, 0, PROOF_REST_TOO_LATE, &token, 50800, &port),
                     PROOF_SILENT);
    assert_int_equal(proof_judge(NULL, 0, PROOF_REST_CUT_OFF, &token, 50800, &port),
                     PROOF_RESET);
}

static void anything_but_exactly_our_line_is_a_mismatch(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "\n",
        "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
        "golem-port-verifier 1 \n",
        "golem-port-verifier 1 50800\n",
        "golem-port-verifier 1 50800 \n",
        "golem-port-verifier 1 50800 " HMAC_50800 "\r\n",
        "golem-port-verifier 1 50800 " HMAC_50800 " \n",
        "golem-port-verifier 1 50800  " HMAC_50800 "\n",
        " golem-port-verifier 1 50800 " HMAC_50800 "\n",
        "golem-port-verifier 2 50800 " HMAC_50800 "\n",
        "golem-port-verifier 1 050800 " HMAC_50800 "\n",
        "golem-port-verifier 1 +50800 " HMAC_50800 "\n",
        "golem-port-verifier 1 50801 " HMAC_50800 "\n",
        "golem-port-verifier 1 0 " HMAC_50800 "\n",
        "golem-port-verifier 1 65536 " HMAC_50800 "\n",
        "golem-port-verifier 1 116336 " HMAC_50800 "\n",
        "golem-port-verifier 1 -1 " HMAC_50800 "\n",
        "GOLEM-PORT-VERIFIER 1 50800 " HMAC_50800 "\n",
        /* upper case, a digit less, another last digit */
        "golem-port-verifier 1 50800 "
        "DAD20424DC35EA6C8ACB280CA9A7E7FD5BC4B84B47192B77C80C027AD3D773F0\n",
        "golem-port-verifier 1 50800 "
        "dad20424dc35ea6c8acb280ca9a7e7fd5bc4b84b47192b77c80c027ad3d773f\n",
        "golem-port-verifier 1 50800 "
        "dad20424dc35ea6c8acb280ca9a7e7fd5bc4b84b47192b77c80c027ad3d773f1\n",
    };
    struct proof_token token = token_of(TOKEN);
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint16_t port = 0;
        enum proof proof =
            proof_judge(rows[i], strlen(rows[i]), PROOF_REST_CUT_OFF, &token, 50800, &port);
        if (proof != PROOF_MISMATCH)
            print_error("row %zu: %s", i, rows[i]);
        assert_int_equal(proof, PROOF_MISMATCH);
        assert_int_equal(port, 0);
    }
}

static void a_target_is_read_no_further_than_the_limit(void **state)
{
    (void)state;
    struct proof_token token = token_of(TOKEN);
    char bytes[PROOF_READ_MAX + sizeof LINE_50800];
    uint16_t port;
    memset(bytes, 'x', sizeof bytes);
    static const struct {
        size_t len;
        enum proof_rest rest;
        enum proof proof;
    } rows[] = {
        {PROOF_READ_MAX - 1, PROOF_REST_MAY_COME, PROOF_NONE},
        {PROOF_READ_MAX - 1, PROOF_REST_TOO_LATE, PROOF_SILENT},
        {PROOF_READ_MAX - 1, PROOF_REST_CUT_OFF, PROOF_RESET},
        {PROOF_READ_MAX, PROOF_REST_MAY_COME, PROOF_MISMATCH},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(
            proof_judge(bytes, rows[i].len, rows[i].rest, &token, 50800, &port),
            rows[i].proof);

    /* a newline beyond it is not seen */
    bytes[PROOF_READ_MAX] = '\n';
    memcpy(bytes + PROOF_READ_MAX + 1, LINE_50800, strlen(LINE_50800));
    assert_int_equal(
        proof_judge(bytes, sizeof bytes, PROOF_REST_CUT_OFF, &token, 50800, &port),
        PROOF_MISMATCH);
}

static void a_zero_byte_is_a_byte_like_any(void **state)
{
    (void)state;
    static const char bytes[] = "\0" LINE_50800;
    struct proof_token token = token_of(TOKEN);
    uint16_t port;
    assert_int_equal(
        proof_judge(bytes, sizeof bytes - 1, PROOF_REST_CUT_OFF, &token, 50800, &port),
        PROOF_MISMATCH);
}

static void a_token_is_32_lower_case_hex_digits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_token;
    } rows[] = {
        {TOKEN, true},
        {"ffffffffffffffffffffffffffffffff", true},
        {"", false},
        {"00112233445566778899aabbccddeef", false},
        {"00112233445566778899aabbccddeeff0", false},
        {"00112233445566778899AABBCCDDEEFF", false},
        {"0x112233445566778899aabbccddeeff", false},
        {"00112233445566778899aabbccddeefg", false},
        {" 0112233445566778899aabbccddeeff", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct proof_token token = {.hex = "untouched"};
        bool is_token = proof_token_parse(rows[i].text, strlen(rows[i].text), &token);
        assert_int_equal(is_token, rows[i].is_token);
        assert_string_equal(token.hex, is_token ? rows[i].text : "untouched");
    }

    struct proof_token token;
    assert_false(proof_token_parse("00112233445566778899aabbccddee\0f", 32, &token));
}

static void proofs_have_the_contracts_names(void **state)
{
    (void)state;
    assert_null(proof_text(PROOF_NONE));
    assert_string_equal(proof_text(PROOF_MATCH), "match");
    assert_string_equal(proof_text(PROOF_OTHER_PORT), "other_port");
    assert_string_equal(proof_text(PROOF_MISMATCH), "mismatch");
    assert_string_equal(proof_text(PROOF_SILENT), "silent");
    assert_string_equal(proof_text(PROOF_RESET), "reset");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contracts_example_is_what_we_write),
        cmocka_unit_test(every_port_proves_itself_and_no_other),
        cmocka_unit_test(another_token_proves_nothing),
        cmocka_unit_test(a_line_may_come_in_pieces),
        cmocka_unit_test(anything_but_exactly_our_line_is_a_mismatch),
        cmocka_unit_test(a_target_is_read_no_further_than_the_limit),
        cmocka_unit_test(a_zero_byte_is_a_byte_like_any),
        cmocka_unit_test(a_token_is_32_lower_case_hex_digits),
        cmocka_unit_test(proofs_have_the_contracts_names),
    };
    return cmocka_run_group_tests_name("proof", tests, NULL, NULL);
}
