/* SPDX-License-Identifier: MIT */
#include "receipt/receipt_read.h"

#include "base/base64url.h"
#include "base/err.h"
#include "base/text.h"
#include "net/port_set.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define PORT_DIGITS_MAX 5
#define PORT_COUNT      65536
#define WORD_BITS       64
#define TIME_MAX        253402300799 /* the last second of the year 9999 */

const char *receipt_fault_code(enum receipt_fault fault)
{
    static const char *const codes[] = {
#define X(NAME, code, sentence) code,
        RECEIPT_FAULT_MAP(X)
#undef X
    };
    return codes[fault];
}

const char *receipt_fault_sentence(enum receipt_fault fault)
{
    static const char *const sentences[] = {
#define X(NAME, code, sentence) sentence,
        RECEIPT_FAULT_MAP(X)
#undef X
    };
    return sentences[fault];
}

const char *receipt_list_name(enum receipt_list list)
{
    static const char *const names[] = {
#define X(NAME, name) name,
        RECEIPT_LIST_MAP(X)
#undef X
    };
    return names[list];
}

void receipt_done(struct receipt *receipt)
{
    for (size_t i = 0; i < RECEIPT_LIST_COUNT; i++)
        free(receipt->lists[i]);
    free(receipt->vantages);
    *receipt = (struct receipt){0};
}

/* --- JSON ----------------------------------------------------------------------------- */

/* The object in this text; NULL for anything else. */
static json_t *object_load(const char *text, size_t len)
{
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

/* The same for base64url. */
static json_t *part_load(const char *text, size_t len)
{
    uint8_t *bytes = malloc(BASE64URL_BYTES(len) + 1);
    bool is_read = bytes && base64url_decode(text, len, bytes);
    json_t *json = is_read ? object_load((const char *)bytes, BASE64URL_BYTES(len)) : NULL;
    free(bytes);
    return json;
}

/* A text of 1 to `max` printable ASCII characters. */
static bool string_read(const json_t *json, size_t max, char *ret)
{
    const char *text = json_string_value(json);
    size_t len = json_string_length(json);
    if (!text || len == 0 || len > max)
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    memcpy(ret, text, len + 1);
    return true;
}

static bool is_text(const json_t *json, const char *wanted)
{
    return json_is_string(json) && strcmp(json_string_value(json), wanted) == 0;
}

/* --- keys ----------------------------------------------------------------------------- */

static bool jwk_key(const json_t *jwk, struct receipt_key *ret)
{
    uint8_t bytes[RECEIPT_KEY_BYTES];
    const json_t *x = json_object_get(jwk, "x");
    const json_t *use = json_object_get(jwk, "use");
    size_t len = json_string_length(x);
    return is_text(json_object_get(jwk, "kty"), "OKP") &&
           is_text(json_object_get(jwk, "crv"), "Ed25519") &&
           (!use || is_text(use, "sig")) && len == BASE64URL_LEN(RECEIPT_KEY_BYTES) &&
           base64url_decode(json_string_value(x), len, bytes) &&
           receipt_key_from_public(bytes, ret, NULL);
}

static bool has_id(const struct receipt_key_set *set, const char *id)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->keys[i].id, id) == 0)
            return true;
    return false;
}

/* Keys that no receipt can name are left out. */
static bool jwk_add(struct receipt_key_set *set, const json_t *jwk, struct err *err)
{
    struct receipt_key key = {0};
    char id[RECEIPT_NAME_MAX + 1];
    const json_t *kid = json_object_get(jwk, "kid");
    bool is_usable = jwk_key(jwk, &key);
    bool has_name = kid ? string_read(kid, RECEIPT_NAME_MAX, id) : is_usable;
    if (has_name && !kid)
        memcpy(id, key.id, sizeof key.id);
    bool is_double = has_name && has_id(set, id);
    if (!has_name || is_double || set->count == RECEIPT_KEYS_MAX) {
        receipt_key_done(&key);
        if (!has_name)
            return true;
        return is_double ? err_set(err, ERR_INVALID, "two keys have the kid %s", id)
                         : err_set(err, ERR_INVALID, "it has more than %d keys",
                                   RECEIPT_KEYS_MAX);
    }
    memcpy(set->keys[set->count].id, id, sizeof id);
    set->keys[set->count].is_usable = is_usable;
    set->keys[set->count++].key = key;
    return true;
}

bool receipt_key_set_parse(const char *json, size_t len, struct receipt_key_set *ret,
                           struct err *err)
{
    struct receipt_key_set set = {0};
    json_t *root = len <= RECEIPT_KEY_SET_MAX ? object_load(json, len) : NULL;
    const json_t *keys = json_object_get(root, "keys");
    bool is_fine =
        json_is_array(keys) ||
        err_set(err, ERR_INVALID, "it is not a JSON object with a list \"keys\"");
    for (size_t i = 0; is_fine && i < json_array_size(keys); i++)
        is_fine = jwk_add(&set, json_array_get(keys, i), err);
    json_decref(root);
    if (is_fine)
        *ret = set;
    else
        receipt_key_set_done(&set);
    return is_fine;
}

void receipt_key_set_done(struct receipt_key_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        receipt_key_done(&set->keys[i].key);
    set->count = 0;
}

/* --- header and signature ------------------------------------------------------------- */

/* A compact JWS: where its three parts are. */
struct parts {
    const char *text;
    size_t header_len;
    const char *payload;
    size_t payload_len;
    const char *signature;
    size_t signature_len;
};

static bool parts_find(const char *text, size_t len, struct parts *ret)
{
    const char *end = text + len;
    const char *first = memchr(text, '.', len);
    const char *second = first ? memchr(first + 1, '.', (size_t)(end - first) - 1) : NULL;
    if (!second)
        return false;
    *ret = (struct parts){
        .text = text,
        .header_len = (size_t)(first - text),
        .payload = first + 1,
        .payload_len = (size_t)(second - first) - 1,
        .signature = second + 1,
        .signature_len = (size_t)(end - second) - 1,
    };
    return true;
}

static bool is_base64url(const char *text, size_t len)
{
    uint8_t *bytes = malloc(BASE64URL_BYTES(len) + 1);
    bool is_fine = bytes && len > 0 && base64url_decode(text, len, bytes);
    free(bytes);
    return is_fine;
}

static bool signature_read(const struct parts *parts, uint8_t ret[RECEIPT_SIGNATURE_BYTES])
{
    return parts->signature_len == BASE64URL_LEN(RECEIPT_SIGNATURE_BYTES) &&
           base64url_decode(parts->signature, parts->signature_len, ret);
}

static enum receipt_fault header_read(const json_t *header, struct receipt *receipt)
{
    if (!is_text(json_object_get(header, "alg"), "EdDSA"))
        return RECEIPT_FAULT_ALGORITHM;
    if (!is_text(json_object_get(header, "typ"), RECEIPT_TYPE))
        return RECEIPT_FAULT_TYPE;
    if (json_object_get(header, "crit"))
        return RECEIPT_FAULT_CRITICAL;
    return string_read(json_object_get(header, "kid"), RECEIPT_NAME_MAX, receipt->key_id)
               ? RECEIPT_FAULT_NONE
               : RECEIPT_FAULT_KEY_ID;
}

static enum receipt_fault signature_judge(const struct parts *parts, const char *key_id,
                                          const struct receipt_key_set *keys,
                                          const uint8_t signature[RECEIPT_SIGNATURE_BYTES])
{
    size_t at = 0;
    while (at < keys->count && strcmp(keys->keys[at].id, key_id) != 0)
        at++;
    if (at == keys->count)
        return RECEIPT_FAULT_KEY_UNKNOWN;
    if (!keys->keys[at].is_usable)
        return RECEIPT_FAULT_KEY_KIND;
    return receipt_key_verify(&keys->keys[at].key, parts->text,
                              parts->header_len + 1 + parts->payload_len, signature)
               ? RECEIPT_FAULT_NONE
               : RECEIPT_FAULT_SIGNATURE;
}

/* --- claims --------------------------------------------------------------------------- */

/* A set of ports. */
struct ports {
    uint64_t words[PORT_COUNT / WORD_BITS];
};

static bool ports_has(const struct ports *ports, unsigned port)
{
    return ports->words[port / WORD_BITS] >> port % WORD_BITS & 1;
}

static void ports_add(struct ports *ports, unsigned port)
{
    ports->words[port / WORD_BITS] |= (uint64_t)1 << port % WORD_BITS;
}

static bool range_read(const char *text, size_t len, uint16_t *ret_first,
                       uint16_t *ret_last)
{
    uint64_t port;
    if (port_range_parse(text, len, ret_first, ret_last, NULL))
        return true;
    if (len > PORT_DIGITS_MAX || !text_parse_u64(text, len, PORT_COUNT - 1, &port) ||
        port == 0)
        return false;
    *ret_first = *ret_last = (uint16_t)port;
    return true;
}

/* Reads range text whose ports ascend. Each port must be in `inside`, if that is given, and
 * not in `outside`; it is added to both of the others. */
static bool list_read(const char *text, const struct ports *inside, struct ports *outside,
                      struct ports *added)
{
    unsigned least = 1;
    while (*text) {
        size_t len = strcspn(text, ",");
        uint16_t first, last;
        if (!range_read(text, len, &first, &last) || first < least ||
            (text[len] == ',' && text[len + 1] == '\0'))
            return false;
        for (unsigned port = first; port <= last; port++) {
            if (ports_has(outside, port) || (inside && !ports_has(inside, port)))
                return false;
            ports_add(outside, port);
            ports_add(added, port);
        }
        least = (unsigned)last + 1;
        text += len + (text[len] == ',');
    }
    return true;
}

static const char *lists_read(const json_t *claims, struct receipt *receipt)
{
    struct ports judged = {0}, proved = {0}, open = {0}, ignored = {0};
    for (enum receipt_list list = 0; list < RECEIPT_LIST_COUNT; list++) {
        const char *name = receipt_list_name(list);
        const char *text = json_string_value(json_object_get(claims, name));
        bool is_proved = list == RECEIPT_LIST_PROVED;
        if (!text ||
            !list_read(text, is_proved ? &open : NULL, is_proved ? &proved : &judged,
                       list == RECEIPT_LIST_OPEN ? &open : &ignored))
            return name;
        receipt->lists[list] = strdup(text);
        if (!receipt->lists[list])
            return name;
    }
    return NULL;
}

static bool vantages_read(const json_t *list, struct receipt *receipt)
{
    AUTO_TEXT names = text_up_to(RECEIPT_VANTAGES_MAX * (RECEIPT_NAME_MAX + 1));
    char name[RECEIPT_NAME_MAX + 1];
    size_t len;
    size_t count = json_array_size(list);
    if (!json_is_array(list) || count > RECEIPT_VANTAGES_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!string_read(json_array_get(list, i), RECEIPT_NAME_MAX, name) ||
            name[strspn(name, RECEIPT_CHARACTERS)])
            return false;
        text_printf(&names, "%s%s", i > 0 ? "," : "", name);
    }
    receipt->vantages = text_take(&names, &len);
    return receipt->vantages != NULL;
}

static bool time_read(const json_t *json, int64_t *ret)
{
    *ret = json_integer_value(json);
    return json_is_integer(json) && *ret >= 0 && *ret <= TIME_MAX;
}

/* Returns the name of the claim that is missing or wrong, or NULL. */
static const char *claims_read(const json_t *claims, struct receipt *receipt)
{
    const json_t *target = json_object_get(claims, "sub");
    const json_t *for_text = json_object_get(claims, "for");
    if (!string_read(json_object_get(claims, "iss"), RECEIPT_ISSUER_MAX, receipt->issuer))
        return "iss";
    if (!time_read(json_object_get(claims, "iat"), &receipt->issued))
        return "iat";
    if (!time_read(json_object_get(claims, "exp"), &receipt->expires) ||
        receipt->expires <= receipt->issued)
        return "exp";
    if (!json_is_string(target) ||
        !address_parse(json_string_value(target), json_string_length(target),
                       &receipt->target, NULL))
        return "sub";
    if (for_text && !string_read(for_text, RECEIPT_FOR_MAX, receipt->for_text))
        return "for";
    if (!vantages_read(json_object_get(claims, "vantages"), receipt))
        return "vantages";
    return lists_read(claims, receipt);
}

/* --- all of it ------------------------------------------------------------------------ */

static enum receipt_fault parts_read(const struct parts *parts,
                                     const struct receipt_key_set *keys,
                                     struct receipt *receipt)
{
    uint8_t signature[RECEIPT_SIGNATURE_BYTES];
    if (!is_base64url(parts->text, parts->header_len) ||
        !is_base64url(parts->payload, parts->payload_len) ||
        (parts->signature_len > 0 && !is_base64url(parts->signature, parts->signature_len)))
        return RECEIPT_FAULT_FORM;

    json_t *header = part_load(parts->text, parts->header_len);
    enum receipt_fault fault = header ? header_read(header, receipt) : RECEIPT_FAULT_HEADER;
    json_decref(header);
    if (fault == RECEIPT_FAULT_NONE && !signature_read(parts, signature))
        fault = RECEIPT_FAULT_SIGNATURE;
    if (fault == RECEIPT_FAULT_NONE && keys)
        fault = signature_judge(parts, receipt->key_id, keys, signature);
    if (fault != RECEIPT_FAULT_NONE)
        return fault;

    json_t *claims = part_load(parts->payload, parts->payload_len);
    receipt->claim = claims ? claims_read(claims, receipt) : NULL;
    fault = !claims          ? RECEIPT_FAULT_PAYLOAD
            : receipt->claim ? RECEIPT_FAULT_CLAIM
                             : RECEIPT_FAULT_NONE;
    json_decref(claims);
    return fault;
}

enum receipt_fault receipt_read(const char *text, size_t len,
                                const struct receipt_key_set *keys, struct receipt *ret)
{
    struct receipt receipt = {0};
    struct parts parts;
    *ret = receipt;
    if (len > RECEIPT_TEXT_MAX)
        return RECEIPT_FAULT_TOO_LONG;
    if (!parts_find(text, len, &parts))
        return RECEIPT_FAULT_FORM;

    enum receipt_fault fault = parts_read(&parts, keys, &receipt);
    if (fault == RECEIPT_FAULT_NONE) {
        *ret = receipt;
        return fault;
    }
    ret->claim = receipt.claim;
    receipt_done(&receipt);
    return fault;
}

enum receipt_fault receipt_judge(const struct receipt *receipt, int64_t now,
                                 const char *issuer, const char *for_text)
{
    if (issuer && strcmp(issuer, receipt->issuer) != 0)
        return RECEIPT_FAULT_ISSUER;
    if (for_text && strcmp(for_text, receipt->for_text) != 0)
        return RECEIPT_FAULT_FOR;
    if (receipt->issued > now + RECEIPT_CLOCK_SLACK)
        return RECEIPT_FAULT_EARLY;
    return receipt->expires <= now ? RECEIPT_FAULT_EXPIRED : RECEIPT_FAULT_NONE;
}
