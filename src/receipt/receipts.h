/* SPDX-License-Identifier: MIT
 *
 * What a checker needs to give receipts: the name under which it signs, its key, and the
 * keys that it announces. A receipt is a compact JWS (RFC 7515) with EdDSA (RFC 8037) that
 * states which ports of an address were found in which state: docs/receipts.md has its
 * claims. Made once at the start, read by all workers.
 */
#pragma once

#include "net/address.h"
#include "probe/verdict.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct receipt_key;
struct receipts;
struct text;

#define RECEIPT_TYPE       "port-receipt+jwt"
#define RECEIPT_KEYS_PATH  "/.well-known/jwks.json"
#define RECEIPT_SECONDS    3600 /* how long it is valid */
#define RECEIPT_ISSUER_MAX 255  /* characters, as is the next one */
#define RECEIPT_FOR_MAX    128

/* A port with its verdict. */
struct receipt_port {
    uint16_t port;
    enum port_state state;
    bool is_proved; /* PROOF_MATCH */
};

struct receipt_facts {
    int64_t now; /* seconds since 1970 */
    struct address target;
    const char *for_text;        /* of the caller: printable ASCII; "" = none */
    const char *const *vantages; /* names of places: they need no escapes */
    size_t vantage_count;
    struct receipt_port *ports; /* distinct; they are sorted */
    size_t port_count;
};

/* `issuer` is a URL. Takes both keys, also on failure: `key` has its private part, `other`
 * need not, and is all zero without a second key. ERR_SYSTEM. */
bool receipts_new(const char *issuer, struct receipt_key *key, struct receipt_key *other,
                  struct receipts **ret, struct err *err);
struct receipts *receipts_free(struct receipts *receipts);

/* The body of a JSON Web Key Set (RFC 7517) with the public keys, terminated. */
const char *receipts_keys(const struct receipts *receipts);

/* Appends at most RECEIPT_LEN_MAX(port_count) characters, which need no escapes in JSON.
 * ERR_SYSTEM. */
#define RECEIPT_LEN_MAX(ports) (3072 + (ports) * 16)
bool receipts_write(const struct receipts *receipts, struct receipt_facts *facts,
                    struct text *text, struct err *err);
