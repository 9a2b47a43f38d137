/* SPDX-License-Identifier: MIT */
#include "receipt/receipt_read.h"

#include "base/base64url.h"
#include "base/err.h"
#include "base/text.h"
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
#define NOW          1795707807
#define HEADER       "{\"alg\":\"EdDSA\",\"typ\":\"port-receipt+jwt\",\"kid\":\"" RFC_ID "\"}"
#define ISS          "\"iss\":\"https://checker.example\","
#define TIMES        "\"iat\":1795707807,\"exp\":1795711407,"
#define SUB          "\"sub\":\"203.0.113.7\","
#define LISTS                                                                              \
    "\"open\":\"7466,50800-50801\",\"closed\":\"\",\"filtered\":\"1\",\"unreachable\":"    \
    "\"\","                                                                                \
    "\"limited\":\"2-3\",\"proved\":\"7466\","
#define VANTAGES "\"vantages\":[]"
#define CLAIMS   "{" ISS TIMES SUB LISTS VANTAGES "}"

#define JWK(kty, crv, x, kid)                                                              \
    "{\"kty\":\"" kty "\",\"crv\":\"" crv "\",\"x\":\"" x "\",\"kid\":\"" kid "\"}"
#define SET(keys) "{\"keys\":[" keys "]}"
#define RFC_SET   SET(JWK("OKP", "Ed25519", RFC_X, RFC_ID))

static struct receipt_key_set set_of(const char *json)
{
    struct receipt_key_set set;
    struct err err = {.message = ""};
    bool is_read = receipt_key_set_parse(json, strlen(json), &set, &err);
    assert_string_equal(err.message, "");
    assert_true(is_read);
    return set;
}

/* HEADER.PAYLOAD.SIGNATURE, signed with the key of the RFC. */
static struct text signed_text(const char *header, const char *claims)
{
    struct receipt_key key;
    uint8_t signature[RECEIPT_SIGNATURE_BYTES];
    struct text text = text_up_to(8192);
    base64url_append(&text, header, strlen(header));
    text_append_str(&text, ".");
    base64url_append(&text, claims, strlen(claims));
    assert_true(receipt_key_read(RFC_PRIVATE, &key, NULL));
    assert_true(receipt_key_sign(&key, text.data, text.len, signature, NULL));
    receipt_key_done(&key);
    text_append_str(&text, ".");
    base64url_append(&text, signature, sizeof signature);
    return text;
}

static enum receipt_fault read_with(const char *text, size_t len, const char *keys)
{
    struct receipt receipt;
    struct receipt_key_set set = set_of(keys);
    enum receipt_fault fault = receipt_read(text, len, &set, &receipt);
    receipt_done(&receipt);
    receipt_key_set_done(&set);
    return fault;
}

static void a_receipt_says_who_about_whom_until_when(void **state)
{
    (void)state;
    static const char *const lists[] = {"7466,50800-50801", "", "1", "", "2-3", "7466"};
    struct receipt_key_set set = set_of(RFC_SET);
    for (int has_keys = 0; has_keys < 2; has_keys++) {
        AUTO_TEXT text = signed_text(
            HEADER,
            "{" ISS TIMES SUB LISTS
            "\"for\":\"node \\\"1\\\"\",\"vantages\":[\"eu-1\",\"us-1\"],\"new\":{}}");
        struct receipt receipt;
        char address[ADDRESS_TEXT_SIZE];
        assert_int_equal(
            receipt_read(text.data, text.len, has_keys ? &set : NULL, &receipt),
            RECEIPT_FAULT_NONE);
        assert_string_equal(receipt.issuer, "https://checker.example");
        assert_string_equal(receipt.key_id, RFC_ID);
        assert_string_equal(receipt.for_text, "node \"1\"");
        assert_string_equal(receipt.vantages, "eu-1,us-1");
        assert_string_equal(address_format(&receipt.target, address), "203.0.113.7");
        assert_int_equal(receipt.issued, NOW);
        assert_int_equal(receipt.expires, NOW + 3600);
        for (size_t i = 0; i < COUNT(lists); i++)
            assert_string_equal(receipt.lists[i], lists[i]);
        receipt_done(&receipt);
    }
    receipt_key_set_done(&set);
}

static void other_headers_are_refused_with_their_reason(void **state)
{
    (void)state;
#define KID ",\"kid\":\"" RFC_ID "\"}"
    static const struct {
        const char *header;
        enum receipt_fault fault;
    } rows[] = {
        {HEADER, RECEIPT_FAULT_NONE},
        {"{\"alg\":\"none\",\"typ\":\"port-receipt+jwt\"" KID, RECEIPT_FAULT_ALGORITHM},
        {"{\"alg\":\"HS256\",\"typ\":\"port-receipt+jwt\"" KID, RECEIPT_FAULT_ALGORITHM},
        {"{\"alg\":\"eddsa\",\"typ\":\"port-receipt+jwt\"" KID, RECEIPT_FAULT_ALGORITHM},
        {"{\"alg\":[\"EdDSA\"],\"typ\":\"port-receipt+jwt\"" KID, RECEIPT_FAULT_ALGORITHM},
        {"{\"typ\":\"port-receipt+jwt\"" KID, RECEIPT_FAULT_ALGORITHM},
        {"{\"alg\":\"EdDSA\",\"typ\":\"JWT\"" KID, RECEIPT_FAULT_TYPE},
        {"{\"alg\":\"EdDSA\"" KID, RECEIPT_FAULT_TYPE},
        {"{\"alg\":\"EdDSA\",\"typ\":\"port-receipt+jwt\",\"crit\":[\"b64\"],\"b64\":"
         "false" KID,
         RECEIPT_FAULT_CRITICAL},
        {"{\"alg\":\"EdDSA\",\"typ\":\"port-receipt+jwt\"}", RECEIPT_FAULT_KEY_ID},
        {"{\"alg\":\"EdDSA\",\"typ\":\"port-receipt+jwt\",\"kid\":7}",
         RECEIPT_FAULT_KEY_ID},
        {"{\"alg\":\"EdDSA\",\"typ\":\"port-receipt+jwt\",\"kid\":\"a\\u0000b\"}",
         RECEIPT_FAULT_HEADER},
        {"{\"alg\":\"EdDSA\",\"typ\":\"port-receipt+jwt\",\"kid\":\"other\"}",
         RECEIPT_FAULT_KEY_UNKNOWN},
        {"{\"alg\":\"none\",\"alg\":\"EdDSA\",\"typ\":\"port-receipt+jwt\"" KID,
         RECEIPT_FAULT_HEADER},
        {"[]", RECEIPT_FAULT_HEADER},
        {"{\"alg\":", RECEIPT_FAULT_HEADER},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO_TEXT text = signed_text(rows[i].header, CLAIMS);
        assert_int_equal(read_with(text.data, text.len, RFC_SET), rows[i].fault);
    }
}

static void other_claims_are_refused_with_their_name(void **state)
{
    (void)state;
#define WITH(lists) "{" ISS TIMES SUB lists VANTAGES "}"
#define OPEN(open, proved)                                                                 \
    WITH("\"open\":\"" open "\",\"closed\":\"\",\"filtered\":\"9\",\"unreachable\":\"\","  \
         "\"limited\":\"\",\"proved\":\"" proved "\",")
    static const struct {
        const char *claims;
        const char *claim; /* NULL: fine */
    } rows[] = {
        {CLAIMS, NULL},
        {"{" TIMES SUB LISTS VANTAGES "}", "iss"},
        {"{\"iss\":\"\"," TIMES SUB LISTS VANTAGES "}", "iss"},
        {"{\"iss\":\"a\\u001b[2J\"," TIMES SUB LISTS VANTAGES "}", "iss"},
        {"{" ISS "\"iat\":1.5,\"exp\":2," SUB LISTS VANTAGES "}", "iat"},
        {"{" ISS "\"iat\":-1,\"exp\":2," SUB LISTS VANTAGES "}", "iat"},
        {"{" ISS "\"iat\":\"1\",\"exp\":2," SUB LISTS VANTAGES "}", "iat"},
        {"{" ISS "\"iat\":1,\"exp\":1," SUB LISTS VANTAGES "}", "exp"},
        {"{" ISS "\"iat\":1," SUB LISTS VANTAGES "}", "exp"},
        {"{" ISS "\"iat\":1,\"exp\":9223372036854775807," SUB LISTS VANTAGES "}", "exp"},
        {"{" ISS TIMES "\"sub\":\"checker.example\"," LISTS VANTAGES "}", "sub"},
        {"{" ISS TIMES "\"sub\":[]," LISTS VANTAGES "}", "sub"},
        {"{" ISS TIMES SUB LISTS VANTAGES ",\"for\":7}", "for"},
        {"{" ISS TIMES SUB LISTS VANTAGES ",\"for\":\"\"}", "for"},
        {"{" ISS TIMES SUB LISTS "\"vantages\":{}}", "vantages"},
        {"{" ISS TIMES SUB LISTS "\"vantages\":[1]}", "vantages"},
        {"{" ISS TIMES SUB LISTS "\"vantages\":[\"a,b\"]}", "vantages"},
        {WITH(""), "open"},
        {WITH("\"open\":\"\",\"closed\":\"\",\"filtered\":\"\",\"unreachable\":\"\","
              "\"limited\":\"\","),
         "proved"},
        {OPEN("", ""), NULL},
        {OPEN("1-65535", ""), "filtered"}, /* a port in two lists */
        {OPEN("1-8,10-65535", "65535"), NULL},
        {OPEN("80", "81"), "proved"}, /* proved, but not open */
        {OPEN("80", "80,80"), "proved"},
        {OPEN("0", ""), "open"},
        {OPEN("65536", ""), "open"},
        {OPEN("81,80", ""), "open"},
        {OPEN("80,80", ""), "open"},
        {OPEN("80-82,82", ""), "open"},
        {OPEN("82-80", ""), "open"},
        {OPEN("80,", ""), "open"},
        {OPEN(",80", ""), "open"},
        {OPEN("80 ", ""), "open"},
        {OPEN("80-", ""), "open"},
        {OPEN("000080", ""), "open"},
    };
    struct receipt_key_set set = set_of(RFC_SET);
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO_TEXT text = signed_text(HEADER, rows[i].claims);
        struct receipt receipt;
        enum receipt_fault fault = receipt_read(text.data, text.len, &set, &receipt);
        assert_int_equal(fault, rows[i].claim ? RECEIPT_FAULT_CLAIM : RECEIPT_FAULT_NONE);
        assert_true(!rows[i].claim || strcmp(rows[i].claim, receipt.claim) == 0);
        receipt_done(&receipt);
    }
    receipt_key_set_done(&set);
}

static void a_payload_is_an_object_without_doubles(void **state)
{
    (void)state;
    static const char *const payloads[] = {
        "[]", "{", "null", "{" ISS ISS TIMES SUB LISTS VANTAGES "}", CLAIMS "x",
    };
    for (size_t i = 0; i < COUNT(payloads); i++) {
        AUTO_TEXT text = signed_text(HEADER, payloads[i]);
        assert_int_equal(read_with(text.data, text.len, RFC_SET), RECEIPT_FAULT_PAYLOAD);
    }
}

/* Whichever character is changed. */
static void a_changed_receipt_is_refused(void **state)
{
    (void)state;
    AUTO_TEXT text = signed_text(HEADER, CLAIMS);
    struct receipt_key_set set = set_of(RFC_SET);
    for (size_t i = 0; i < text.len; i++) {
        struct receipt receipt;
        char kept = text.data[i];
        text.data[i] = kept == 'A' ? 'B' : 'A';
        enum receipt_fault fault = receipt_read(text.data, text.len, &set, &receipt);
        assert_int_not_equal(fault, RECEIPT_FAULT_NONE);
        assert_int_not_equal(fault, RECEIPT_FAULT_CLAIM);
        receipt_done(&receipt);
        text.data[i] = kept;
    }
    receipt_key_set_done(&set);
}

static void other_forms_are_refused(void **state)
{
    (void)state;
    AUTO_TEXT good = signed_text(HEADER, CLAIMS);
    size_t payload = (size_t)(strchr(good.data, '.') - good.data) + 1;
    size_t signature = (size_t)(strrchr(good.data, '.') - good.data) + 1;
    const struct {
        const char *before; /* `good` up to `cut`, between these */
        size_t cut;
        const char *after;
        enum receipt_fault fault;
    } rows[] = {
        {"", good.len, "", RECEIPT_FAULT_NONE},
        {"", 0, "", RECEIPT_FAULT_FORM},
        {"", payload - 1, "", RECEIPT_FAULT_FORM},
        {"", signature - 1, "", RECEIPT_FAULT_FORM},
        {"", signature, "", RECEIPT_FAULT_SIGNATURE}, /* as with alg none */
        {"", payload, ".", RECEIPT_FAULT_FORM},
        {"", good.len, "==", RECEIPT_FAULT_FORM},
        {"", good.len, ".", RECEIPT_FAULT_FORM},
        {"", good.len, ".AAAA", RECEIPT_FAULT_FORM},
        {"", good.len - 1, "", RECEIPT_FAULT_FORM},
        {"", good.len - 2, "", RECEIPT_FAULT_SIGNATURE},
        {"", good.len, "AA", RECEIPT_FAULT_SIGNATURE},
        {" ", good.len, "", RECEIPT_FAULT_FORM},
        {"\xef\xbb\xbf", good.len, "", RECEIPT_FAULT_FORM},
        {"{\"payload\": \"", good.len, "\"}", RECEIPT_FAULT_FORM},
        {".", good.len, "", RECEIPT_FAULT_FORM},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO_TEXT text = text_up_to(8192);
        text_append_str(&text, rows[i].before);
        text_append(&text, good.data, rows[i].cut);
        text_append_str(&text, rows[i].after);
        assert_int_equal(read_with(text.data, text.len, RFC_SET), rows[i].fault);
    }
}

static void a_huge_text_is_not_read(void **state)
{
    (void)state;
    char *text = malloc(RECEIPT_TEXT_MAX + 1);
    assert_non_null(text);
    memset(text, 'A', RECEIPT_TEXT_MAX + 1);
    assert_int_equal(read_with(text, RECEIPT_TEXT_MAX + 1, RFC_SET),
                     RECEIPT_FAULT_TOO_LONG);
    assert_int_equal(read_with(text, RECEIPT_TEXT_MAX, RFC_SET), RECEIPT_FAULT_FORM);
    free(text);
}

/* Another key of the same kind; its id is that of the first key. */
#define OTHER_X "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik"

static void the_key_decides(void **state)
{
    (void)state;
    static const struct {
        const char *keys;
        enum receipt_fault fault;
    } rows[] = {
        {RFC_SET, RECEIPT_FAULT_NONE},
        {SET(""), RECEIPT_FAULT_KEY_UNKNOWN},
        {SET(JWK("OKP", "Ed25519", RFC_X, "other")), RECEIPT_FAULT_KEY_UNKNOWN},
        {SET("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" RFC_X "\"}"),
         RECEIPT_FAULT_NONE}, /* its id is its thumbprint */
        {SET(JWK("OKP", "Ed25519", OTHER_X, RFC_ID)), RECEIPT_FAULT_SIGNATURE},
        {SET(JWK("OKP", "X25519", RFC_X, RFC_ID)), RECEIPT_FAULT_KEY_KIND},
        {SET(JWK("OKP", "Ed448", RFC_X, RFC_ID)), RECEIPT_FAULT_KEY_KIND},
        {SET(JWK("EC", "Ed25519", RFC_X, RFC_ID)), RECEIPT_FAULT_KEY_KIND},
        {SET(JWK("OKP", "Ed25519", RFC_X "=", RFC_ID)), RECEIPT_FAULT_KEY_KIND},
        {SET(JWK("OKP", "Ed25519", "AAAA", RFC_ID)), RECEIPT_FAULT_KEY_KIND},
        {SET("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" RFC_X
             "\",\"use\":\"enc\",\"kid\":\"" RFC_ID "\"}"),
         RECEIPT_FAULT_KEY_KIND},
        {SET("7, \"x\", {\"kty\":\"RSA\",\"kid\":\"r\"}, " JWK("OKP", "Ed25519", RFC_X,
                                                               RFC_ID)),
         RECEIPT_FAULT_NONE},
    };
    AUTO_TEXT text = signed_text(HEADER, CLAIMS);
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(read_with(text.data, text.len, rows[i].keys), rows[i].fault);
}

static void other_key_sets_are_refused(void **state)
{
    (void)state;
    static const char *const sets[] = {
        "",
        "[]",
        "{}",
        "{\"keys\":{}}",
        "{\"keys\":[]",
        "{\"keys\":[],\"keys\":[]}",
        SET(JWK("OKP", "Ed25519", RFC_X, RFC_ID) "," JWK("OKP", "Ed25519", OTHER_X,
                                                         RFC_ID)),
    };
    struct receipt_key_set set;
    struct err err;
    for (size_t i = 0; i < COUNT(sets); i++) {
        assert_false(receipt_key_set_parse(sets[i], strlen(sets[i]), &set, &err));
        assert_int_equal(err.kind, ERR_INVALID);
    }

    AUTO_TEXT many = text_up_to(4096);
    text_append_str(&many, "{\"keys\":[");
    for (int i = 0; i <= RECEIPT_KEYS_MAX; i++)
        text_printf(&many, "%s{\"kid\":\"%d\"}", i > 0 ? "," : "", i);
    text_append_str(&many, "]}");
    assert_false(receipt_key_set_parse(many.data, many.len, &set, &err));
}

static void a_receipt_counts_for_its_time_and_for_its_reader(void **state)
{
    (void)state;
    static const struct {
        int64_t now;
        const char *issuer, *for_text;
        enum receipt_fault fault;
    } rows[] = {
        {NOW, NULL, NULL, RECEIPT_FAULT_NONE},
        {NOW, "https://checker.example", "node-1", RECEIPT_FAULT_NONE},
        {NOW, "https://checker.example/", "node-1", RECEIPT_FAULT_ISSUER},
        {NOW, "http://checker.example", "node-1", RECEIPT_FAULT_ISSUER},
        {NOW, NULL, "node-10", RECEIPT_FAULT_FOR},
        {NOW, NULL, "", RECEIPT_FAULT_FOR},
        {NOW + 3599, NULL, NULL, RECEIPT_FAULT_NONE},
        {NOW + 3600, NULL, NULL, RECEIPT_FAULT_EXPIRED},
        {NOW - 60, NULL, NULL, RECEIPT_FAULT_NONE},
        {NOW - 61, NULL, NULL, RECEIPT_FAULT_EARLY},
    };
    const struct receipt receipt = {.issuer = "https://checker.example",
                                    .issued = NOW,
                                    .expires = NOW + 3600,
                                    .for_text = "node-1"};
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(
            receipt_judge(&receipt, rows[i].now, rows[i].issuer, rows[i].for_text),
            rows[i].fault);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_receipt_says_who_about_whom_until_when),
        cmocka_unit_test(other_headers_are_refused_with_their_reason),
        cmocka_unit_test(other_claims_are_refused_with_their_name),
        cmocka_unit_test(a_payload_is_an_object_without_doubles),
        cmocka_unit_test(a_changed_receipt_is_refused),
        cmocka_unit_test(other_forms_are_refused),
        cmocka_unit_test(a_huge_text_is_not_read),
        cmocka_unit_test(the_key_decides),
        cmocka_unit_test(other_key_sets_are_refused),
        cmocka_unit_test(a_receipt_counts_for_its_time_and_for_its_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
