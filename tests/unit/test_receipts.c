/* SPDX-License-Identifier: MIT */
#include "receipt/receipts.h"

#include "base/base64url.h"
#include "base/err.h"
#include "base/text.h"
#include "receipt/receipt_key.h"
#include "receipt_keys.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define ISSUER       "https://checker.example"

static struct receipt_key key_of(const char *pem)
{
    struct receipt_key key;
    assert_true(receipt_key_read(pem, &key, NULL));
    return key;
}

static struct receipts *make(const char *other)
{
    struct receipt_key key = key_of(RFC_PRIVATE);
    struct receipt_key second = {0};
    struct receipts *receipts;
    if (other)
        second = key_of(other);
    assert_true(receipts_new(ISSUER, &key, &second, &receipts, NULL));
    return receipts;
}

/* RFC 8037 appendices A.1 to A.3. */
static void a_key_has_the_thumbprint_of_the_rfc(void **state)
{
    (void)state;
    static const char *const pems[] = {RFC_PRIVATE, RFC_PUBLIC};
    for (size_t i = 0; i < COUNT(pems); i++) {
        struct receipt_key key = key_of(pems[i]);
        assert_string_equal(key.x, RFC_X);
        assert_string_equal(key.id, RFC_ID);
        assert_int_equal(key.private != NULL, i == 0);
        receipt_key_done(&key);
    }
}

/* Appendices A.4 and A.5. */
static void a_signature_is_that_of_the_rfc(void **state)
{
    (void)state;
    struct receipt_key key = key_of(RFC_PRIVATE), public;
    uint8_t bytes[RECEIPT_KEY_BYTES], signature[RECEIPT_SIGNATURE_BYTES];
    AUTO_TEXT text = text_up_to(100);
    assert_true(receipt_key_sign(&key, RFC_SIGNED, strlen(RFC_SIGNED), signature, NULL));
    base64url_append(&text, signature, sizeof signature);
    assert_string_equal(text.data, RFC_SIGNATURE);

    assert_true(base64url_decode(RFC_X, strlen(RFC_X), bytes));
    assert_true(receipt_key_from_public(bytes, &public, NULL));
    assert_true(receipt_key_verify(&public, RFC_SIGNED, strlen(RFC_SIGNED), signature));
    assert_false(
        receipt_key_verify(&public, RFC_SIGNED "A", strlen(RFC_SIGNED) + 1, signature));
    signature[10] ^= 1;
    assert_false(receipt_key_verify(&public, RFC_SIGNED, strlen(RFC_SIGNED), signature));
    receipt_key_done(&public);
    receipt_key_done(&key);
}

static void other_texts_are_no_keys(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "nonsense",
        "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n",
        /* on the curve P-256 */
        "-----BEGIN PUBLIC KEY-----\n"
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt"
        "6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n"
        "-----END PUBLIC KEY-----\n",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct receipt_key key;
        struct err err;
        assert_false(receipt_key_read(texts[i], &key, &err));
        assert_int_equal(err.kind, ERR_INVALID);
        assert_true(strlen(err.message) > 0);
    }
}

static void a_new_key_is_new_and_can_be_read(void **state)
{
    (void)state;
    char ids[2][RECEIPT_KEY_TEXT_SIZE];
    for (size_t i = 0; i < 2; i++) {
        char *pem;
        assert_true(receipt_key_generate(&pem, ids[i], NULL));
        struct receipt_key key = key_of(pem);
        assert_non_null(key.private);
        assert_string_equal(key.id, ids[i]);
        receipt_key_done(&key);
        free(pem);
    }
    assert_string_not_equal(ids[0], ids[1]);
}

#define JWK(x, id)                                                                         \
    "{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"" x "\", \"kid\": \"" id            \
    "\", \"use\": \"sig\", \"alg\": \"EdDSA\"}"

static void the_key_set_has_the_public_keys(void **state)
{
    (void)state;
    struct receipts *receipts = make(NULL);
    assert_string_equal(receipts_keys(receipts), "{\"keys\": [" JWK(RFC_X, RFC_ID) "]}");
    receipts_free(receipts);

    char *pem, id[RECEIPT_KEY_TEXT_SIZE];
    assert_true(receipt_key_generate(&pem, id, NULL));
    receipts = make(pem);
    assert_non_null(strstr(receipts_keys(receipts), JWK(RFC_X, RFC_ID) ", {"));
    assert_non_null(strstr(receipts_keys(receipts), id));
    assert_null(strstr(receipts_keys(receipts), "\"d\""));
    receipts_free(receipts);
    free(pem);
}

/* Writes a receipt, and returns its claims. */
static void claims_of(struct receipt_facts facts, char *ret, size_t size)
{
    struct receipts *receipts = make(NULL);
    AUTO_TEXT text = text_up_to(RECEIPT_LEN_MAX(facts.port_count));
    struct err err = {.message = ""};
    bool is_written = receipts_write(receipts, &facts, &text, &err);
    assert_string_equal(err.message, "");
    assert_true(is_written);

    char *payload = strchr(text.data, '.') + 1;
    size_t len = (size_t)(strchr(payload, '.') - payload);
    assert_true(BASE64URL_BYTES(len) < size);
    assert_true(base64url_decode(payload, len, (uint8_t *)ret));
    ret[BASE64URL_BYTES(len)] = '\0';
    receipts_free(receipts);
}

static struct address address_of(const char *text)
{
    struct address address;
    assert_true(address_parse(text, strlen(text), &address, NULL));
    return address;
}

static void the_claims_say_what_was_found(void **state)
{
    (void)state;
    static const char *const vantages[] = {"eu-1", "us-1"};
    struct receipt_port ports[] = {
        {50802, PORT_STATE_OPEN, false},     {7466, PORT_STATE_OPEN, true},
        {50800, PORT_STATE_OPEN, true},      {50801, PORT_STATE_OPEN, true},
        {50804, PORT_STATE_CLOSED, false},   {80, PORT_STATE_FILTERED, false},
        {81, PORT_STATE_UNREACHABLE, false}, {65535, PORT_STATE_LIMITED, false},
        {65534, PORT_STATE_LIMITED, false},  {1, PORT_STATE_FILTERED, false},
    };
    char claims[1024];
    claims_of((struct receipt_facts){.now = 1795707807,
                                     .target = address_of("2001:db8::7"),
                                     .for_text = "a \"b\" \\c",
                                     .vantages = vantages,
                                     .vantage_count = 2,
                                     .ports = ports,
                                     .port_count = COUNT(ports)},
              claims, sizeof claims);
    assert_string_equal(
        claims,
        "{\"iss\":\"https://checker.example\",\"iat\":1795707807,\"exp\":1795711407,"
        "\"sub\":\"2001:db8::7\",\"for\":\"a \\\"b\\\" \\\\c\","
        "\"open\":\"7466,50800-50802\",\"closed\":\"50804\",\"filtered\":\"1,80\","
        "\"unreachable\":\"81\",\"limited\":\"65534-65535\","
        "\"proved\":\"7466,50800-50801\",\"vantages\":[\"eu-1\",\"us-1\"]}");
}

static void without_for_the_claim_is_not_there(void **state)
{
    (void)state;
    struct receipt_port port = {7466, PORT_STATE_CLOSED, false};
    char claims[1024];
    claims_of((struct receipt_facts){.target = address_of("203.0.113.7"),
                                     .for_text = "",
                                     .ports = &port,
                                     .port_count = 1},
              claims, sizeof claims);
    assert_null(strstr(claims, "\"for\""));
    assert_non_null(strstr(claims, "\"sub\":\"203.0.113.7\",\"open\":\"\","
                                   "\"closed\":\"7466\""));
}

/* The longest lists: no two adjacent ports are alike. */
static void the_longest_receipt_has_room(void **state)
{
    (void)state;
    static struct receipt_port ports[65535];
    static char claims[1 << 20];
    char for_text[RECEIPT_FOR_MAX + 1];
    memset(for_text, '"', RECEIPT_FOR_MAX);
    for_text[RECEIPT_FOR_MAX] = '\0';
    for (size_t i = 0; i < COUNT(ports); i++)
        ports[i] = (struct receipt_port){(uint16_t)(65535 - i),
                                         i % 2 ? PORT_STATE_OPEN : PORT_STATE_CLOSED, true};
    claims_of((struct receipt_facts){.target = address_of("203.0.113.7"),
                                     .for_text = for_text,
                                     .ports = ports,
                                     .port_count = COUNT(ports)},
              claims, sizeof claims);
    assert_non_null(strstr(claims, "\"open\":\"2,4,6,8,"));
    assert_non_null(strstr(claims, ",65533,65535\","));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_the_thumbprint_of_the_rfc),
        cmocka_unit_test(a_signature_is_that_of_the_rfc),
        cmocka_unit_test(other_texts_are_no_keys),
        cmocka_unit_test(a_new_key_is_new_and_can_be_read),
        cmocka_unit_test(the_key_set_has_the_public_keys),
        cmocka_unit_test(the_claims_say_what_was_found),
        cmocka_unit_test(without_for_the_claim_is_not_there),
        cmocka_unit_test(the_longest_receipt_has_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
