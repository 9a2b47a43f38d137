/* SPDX-License-Identifier: MIT */
#include "receipt/receipts.h"

#include "base/base64url.h"
#include "base/err.h"
#include "base/text.h"
#include "receipt/receipt_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One port has at most six characters with its comma, twice if it is proved. */
#define CLAIMS_MAX(ports) (2000 + (ports) * 12)
#define HEAD_MAX          256
#define KEYS_MAX          1024

struct receipts {
    char issuer[RECEIPT_ISSUER_MAX + 1];
    struct receipt_key key; /* owned, as are the next three */
    struct receipt_key other;
    struct text head; /* the header as base64url, with the dot after it */
    struct text keys;
};

/* --- what stays the same ----------------------------------------------------------------
 */

static void head_write(struct receipts *receipts)
{
    AUTO_TEXT json = text_up_to(HEAD_MAX);
    text_printf(&json, "{\"alg\":\"EdDSA\",\"typ\":\"" RECEIPT_TYPE "\",\"kid\":\"%s\"}",
                receipts->key.id);
    base64url_append(&receipts->head, json.data, json.len);
    text_append_str(&receipts->head, ".");
}

static void jwk_write(const struct receipt_key *key, struct text *text)
{
    text_printf(text,
                "{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"%s\", \"kid\": \"%s\", "
                "\"use\": \"sig\", \"alg\": \"EdDSA\"}",
                key->x, key->id);
}

static void keys_write(struct receipts *receipts)
{
    text_append_str(&receipts->keys, "{\"keys\": [");
    jwk_write(&receipts->key, &receipts->keys);
    if (receipts->other.public) {
        text_append_str(&receipts->keys, ", ");
        jwk_write(&receipts->other, &receipts->keys);
    }
    text_append_str(&receipts->keys, "]}");
}

bool receipts_new(const char *issuer, struct receipt_key *key, struct receipt_key *other,
                  struct receipts **ret, struct err *err)
{
    struct receipts *receipts = calloc(1, sizeof *receipts);
    if (!receipts) {
        receipt_key_done(key);
        receipt_key_done(other);
        return err_sys(err, ENOMEM, "receipts");
    }
    receipts->key = *key;
    receipts->other = *other;
    text_init(&receipts->head, HEAD_MAX);
    text_init(&receipts->keys, KEYS_MAX);
    memcpy(receipts->issuer, issuer, strnlen(issuer, RECEIPT_ISSUER_MAX));
    head_write(receipts);
    keys_write(receipts);
    if (receipts->head.failed || receipts->keys.failed) {
        receipts_free(receipts);
        return err_sys(err, ENOMEM, "receipts");
    }
    *ret = receipts;
    return true;
}

struct receipts *receipts_free(struct receipts *receipts)
{
    if (!receipts)
        return NULL;

    receipt_key_done(&receipts->key);
    receipt_key_done(&receipts->other);
    text_done(&receipts->head);
    text_done(&receipts->keys);
    free(receipts);
    return NULL;
}

const char *receipts_keys(const struct receipts *receipts)
{
    return receipts->keys.data;
}

/* --- one receipt ------------------------------------------------------------------------
 */

/* Moves the port at `at` down to its place in the heap, whose root is the highest. */
static void heap_sift(struct receipt_port *ports, size_t at, size_t count)
{
    struct receipt_port moved = ports[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        child += child + 1 < count && ports[child + 1].port > ports[child].port;
        if (ports[child].port <= moved.port)
            break;
        ports[at] = ports[child];
    }
    ports[at] = moved;
}

static bool is_sorted(const struct receipt_port *ports, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (ports[i - 1].port > ports[i].port)
            return false;
    return true;
}

/* Not qsort(): glibc's asks the system how much memory it has, which the sandbox forbids.
 */
static void ports_sort(struct receipt_port *ports, size_t count)
{
    if (is_sorted(ports, count))
        return;
    for (size_t i = count / 2; i-- > 0;)
        heap_sift(ports, i, count);
    for (size_t end = count - 1; end > 0; end--) {
        struct receipt_port highest = ports[0];
        ports[0] = ports[end];
        ports[end] = highest;
        heap_sift(ports, 0, end);
    }
}

/* Which ports a list has. */
enum pick {
    PICK_PROVED = PORT_STATE_COUNT, /* else those in this state */
};

static bool is_picked(const struct receipt_port *port, int pick)
{
    return pick == PICK_PROVED ? port->is_proved : (int)port->state == pick;
}

static void number_write(struct text *text, uint16_t port)
{
    char digits[TEXT_DIGITS_MAX];
    text_append(text, digits, text_digits(port, 1, digits));
}

/* ,"open":"7466,50800-50847" */
static void list_write(const struct receipt_facts *facts, int pick, const char *name,
                       struct text *text)
{
    const struct receipt_port *ports = facts->ports;
    bool is_first = true;
    text_printf(text, ",\"%s\":\"", name);
    for (size_t i = 0; i < facts->port_count; i++) {
        if (!is_picked(&ports[i], pick))
            continue;
        size_t last = i;
        while (last + 1 < facts->port_count && is_picked(&ports[last + 1], pick) &&
               ports[last + 1].port == ports[last].port + 1)
            last++;
        if (!is_first)
            text_append_str(text, ",");
        number_write(text, ports[i].port);
        if (last > i) {
            text_append_str(text, "-");
            number_write(text, ports[last].port);
        }
        is_first = false;
        i = last;
    }
    text_append_str(text, "\"");
}

static void claims_write(const struct receipts *receipts, const struct receipt_facts *facts,
                         struct text *text)
{
    char address[ADDRESS_TEXT_SIZE];
    text_printf(text, "{\"iss\":\"%s\",\"iat\":%lld,\"exp\":%lld,\"sub\":\"%s\"",
                receipts->issuer, (long long)facts->now,
                (long long)facts->now + RECEIPT_SECONDS,
                address_format(&facts->target, address));
    if (facts->for_text[0]) {
        text_append_str(text, ",\"for\":");
        text_append_json(text, facts->for_text, strlen(facts->for_text));
    }
    for (int state = 0; state < PORT_STATE_COUNT; state++)
        list_write(facts, state, port_state_text((enum port_state)state), text);
    list_write(facts, PICK_PROVED, "proved", text);
    text_append_str(text, ",\"vantages\":[");
    for (size_t i = 0; i < facts->vantage_count; i++)
        text_printf(text, "%s\"%s\"", i > 0 ? "," : "", facts->vantages[i]);
    text_append_str(text, "]}");
}

bool receipts_write(const struct receipts *receipts, struct receipt_facts *facts,
                    struct text *text, struct err *err)
{
    AUTO_TEXT claims = text_up_to(CLAIMS_MAX(facts->port_count));
    uint8_t signature[RECEIPT_SIGNATURE_BYTES];
    size_t start = text->len;

    ports_sort(facts->ports, facts->port_count);
    claims_write(receipts, facts, &claims);
    text_append(text, receipts->head.data, receipts->head.len);
    base64url_append(text, claims.data, claims.len);
    if (claims.failed || text->failed)
        return err_sys(err, ENOMEM, "receipt");
    if (!receipt_key_sign(&receipts->key, text->data + start, text->len - start, signature,
                          err))
        return false;
    text_append_str(text, ".");
    base64url_append(text, signature, sizeof signature);
    return !text->failed || err_sys(err, ENOMEM, "receipt");
}
