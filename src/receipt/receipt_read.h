/* SPDX-License-Identifier: MIT
 *
 * The reader's side of receipts: what is in one, who signed it, and whether it counts. Pure
 * and strict: a text that a checker of this project would not write is refused, with its
 * reason. Receipts and key sets come from strangers; all of their texts that are kept are
 * printable ASCII.
 */
#pragma once

#include "net/address.h"
#include "receipt/receipt_key.h"
#include "receipt/receipts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define RECEIPT_TEXT_MAX (1u << 20) /* bytes of one receipt: all ports, none adjacent */
#define RECEIPT_CHARACTERS                                                                 \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
#define RECEIPT_KEY_SET_MAX  (64u << 10)
#define RECEIPT_KEYS_MAX     16
#define RECEIPT_VANTAGES_MAX 64
#define RECEIPT_NAME_MAX     64 /* characters of a vantage point's name, or of a key id */
#define RECEIPT_CLOCK_SLACK  60 /* seconds that the checker's clock may be ahead */

/* Why a receipt is refused, in the order in which it is judged: code, sentence. */
#define RECEIPT_FAULT_MAP(X)                                                               \
    X(NONE, "", "")                                                                        \
    X(TOO_LONG, "too_long", "it is longer than a receipt can be (1 MiB)")                  \
    X(FORM, "form", "it is not three base64url parts separated by dots")                   \
    X(HEADER, "header",                                                                    \
      "its header is not a JSON object in which every member occurs once")                 \
    X(ALGORITHM, "algorithm", "alg in its header is not EdDSA")                            \
    X(TYPE, "type", "typ in its header is not port-receipt+jwt")                           \
    X(CRITICAL, "critical", "its header has a crit, which receipts do not have")           \
    X(KEY_ID, "key_id", "kid in its header is not the name of a key")                      \
    X(KEY_UNKNOWN, "key_unknown", "the key set has no key with its kid")                   \
    X(KEY_KIND, "key_kind",                                                                \
      "the key with its kid is not an Ed25519 key (kty OKP, crv Ed25519)")                 \
    X(SIGNATURE, "signature",                                                              \
      "its signature is wrong: it was changed, or another key signed it")                  \
    X(PAYLOAD, "payload",                                                                  \
      "its payload is not a JSON object in which every member occurs once")                \
    X(CLAIM, "claim", "a claim is missing or wrong")                                       \
    X(ISSUER, "issuer", "it was issued by another checker (iss)")                          \
    X(FOR, "for", "it was made for something else (for)")                                  \
    X(EARLY, "early", "it is from the future: compare the clocks")                         \
    X(EXPIRED, "expired", "it has expired")

enum receipt_fault {
#define X(NAME, code, sentence) RECEIPT_FAULT_##NAME,
    RECEIPT_FAULT_MAP(X)
#undef X
};

const char *receipt_fault_code(enum receipt_fault fault);

/* CLAIM: use `claim` of the receipt, which says which one. */
const char *receipt_fault_sentence(enum receipt_fault fault);

/* Lists of ports, as range text. The first five exclude each other. */
#define RECEIPT_LIST_MAP(X)                                                                \
    X(OPEN, "open")                                                                        \
    X(CLOSED, "closed")                                                                    \
    X(FILTERED, "filtered")                                                                \
    X(UNREACHABLE, "unreachable")                                                          \
    X(LIMITED, "limited")                                                                  \
    X(PROVED, "proved") /* some of the open ones */

enum receipt_list {
#define X(NAME, name) RECEIPT_LIST_##NAME,
    RECEIPT_LIST_MAP(X)
#undef X
        RECEIPT_LIST_COUNT
};

const char *receipt_list_name(enum receipt_list list);

struct receipt {
    char key_id[RECEIPT_NAME_MAX + 1];
    char issuer[RECEIPT_ISSUER_MAX + 1];
    int64_t issued; /* seconds since 1970 */
    int64_t expires;
    struct address target;
    char for_text[RECEIPT_FOR_MAX + 1]; /* "" = none */
    char *lists[RECEIPT_LIST_COUNT];    /* owned */
    char *vantages;                     /* owned: names with commas between them */
    const char *claim;                  /* CLAIM: what is wrong; a constant */
};

void receipt_done(struct receipt *receipt);

struct receipt_key_set {
    size_t count;
    struct {
        char id[RECEIPT_NAME_MAX + 1];
        bool is_usable;         /* an Ed25519 key */
        struct receipt_key key; /* owned */
    } keys[RECEIPT_KEYS_MAX];
};

/* A JSON Web Key Set (RFC 7517). Keys of other kinds are kept by their id only. A key
 * without `kid` has its thumbprint as id. ERR_INVALID. */
bool receipt_key_set_parse(const char *json, size_t len, struct receipt_key_set *ret,
                           struct err *err);
void receipt_key_set_done(struct receipt_key_set *set);

/* Reads a receipt without white space around it. `keys` NULL: the signature is not looked
 * at, and anyone could have written what it says. *ret is written only with
 * RECEIPT_FAULT_NONE, but its `claim` also with RECEIPT_FAULT_CLAIM; receipt_done() it in
 * any case. */
enum receipt_fault receipt_read(const char *text, size_t len,
                                const struct receipt_key_set *keys, struct receipt *ret);

/* Whether a receipt that was read counts at that time. `issuer` and `for_text` are NULL if
 * they do not matter. */
enum receipt_fault receipt_judge(const struct receipt *receipt, int64_t now,
                                 const char *issuer, const char *for_text);
