/* SPDX-License-Identifier: MIT
 *
 * Receipts and key sets, which come from strangers: the first byte chooses between a whole
 * receipt, the JSON of its header, the JSON of its claims, and a key set. What is accepted
 * is printable, and its lists are consistent.
 */
#include "receipt/receipt_read.h"

#include "base/base64url.h"
#include "base/err.h"
#include "base/text.h"
#include "verifier/receipt_print.h"

#include <assert.h>
#include <string.h>

#define HEADER "{\"alg\":\"EdDSA\",\"typ\":\"port-receipt+jwt\",\"kid\":\"k\"}"
#define CLAIMS                                                                             \
    "{\"iss\":\"https://"                                                                  \
    "a\",\"iat\":1,\"exp\":2,\"sub\":\"::1\",\"open\":\"\",\"closed\":\"\","               \
    "\"filtered\":\"\",\"unreachable\":\"\",\"limited\":\"\",\"proved\":\"\","             \
    "\"vantages\":[]}"
#define SIGNATURE                                                                          \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" \
    "AA"

/* An Ed25519 key, RFC 8037 appendix A.2, and one of another kind. */
#define KEYS                                                                               \
    "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k\",\"x\":"                 \
    "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},{\"kid\":\"o\"}]}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_printable(const char *text, const char *more)
{
    for (; *text; text++)
        assert((*text >= ' ' && *text <= '~') || strchr(more, *text));
}

static void check_print(struct receipt_result *result)
{
    AUTO_TEXT text = text_up_to(16u << 20), json = text_up_to(16u << 20);
    receipt_print_text(result, &text);
    receipt_print_json(result, 1, &json);
    assert(!text.failed && !json.failed);
    check_printable(text.data, "\n");
    check_printable(json.data, "\n");
}

static void check_receipt(const char *text, size_t len, const struct receipt_key_set *keys)
{
    struct receipt_result result = {0};
    result.fault = receipt_read(text, len, keys, &result.receipt);
    result.has_claims = result.fault == RECEIPT_FAULT_NONE;
    result.status = result.has_claims ? RECEIPT_UNVERIFIED : RECEIPT_REFUSED;
    assert(keys == NULL || !result.has_claims); /* nothing here is signed */
    if (result.has_claims) {
        assert(result.receipt.expires > result.receipt.issued);
        for (size_t i = 0; i < RECEIPT_LIST_COUNT; i++)
            assert(strspn(result.receipt.lists[i], "0123456789,-") ==
                   strlen(result.receipt.lists[i]));
        receipt_judge(&result.receipt, 1, "https://a", "x");
    }
    check_print(&result);
    receipt_done(&result.receipt);
}

static void check_parts(const char *header, size_t header_len, const char *claims,
                        size_t claims_len, const struct receipt_key_set *keys)
{
    AUTO_TEXT text = text_up_to(RECEIPT_TEXT_MAX + 1);
    base64url_append(&text, header, header_len);
    text_append_str(&text, ".");
    base64url_append(&text, claims, claims_len);
    text_append_str(&text, "." SIGNATURE);
    if (text.failed)
        return;
    check_receipt(text.data, text.len, NULL);
    check_receipt(text.data, text.len, keys);
}

static void check_keys(const char *json, size_t len)
{
    struct receipt_key_set set;
    struct err err = {0};
    if (!receipt_key_set_parse(json, len, &set, &err)) {
        assert(err.message[0] != '\0');
        check_printable(err.message, "");
        return;
    }
    assert(set.count <= RECEIPT_KEYS_MAX);
    for (size_t i = 0; i < set.count; i++) {
        check_printable(set.keys[i].id, "");
        assert(set.keys[i].is_usable == (set.keys[i].key.public != NULL));
    }
    check_receipt(json, len, &set);
    receipt_key_set_done(&set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct receipt_key_set keys;
    if (keys.count == 0 && !receipt_key_set_parse(KEYS, strlen(KEYS), &keys, NULL))
        return 0;
    if (size == 0)
        return 0;

    const char *text = (const char *)data + 1;
    switch (data[0] % 4) {
    case 0:
        check_receipt(text, size - 1, NULL);
        check_receipt(text, size - 1, &keys);
        break;
    case 1:
        check_parts(text, size - 1, CLAIMS, strlen(CLAIMS), &keys);
        break;
    case 2:
        check_parts(HEADER, strlen(HEADER), text, size - 1, &keys);
        break;
    default:
        check_keys(text, size - 1);
        break;
    }
    return 0;
}
