/* SPDX-License-Identifier: MIT
 *
 * An Ed25519 key of receipts: for a checker to sign with, or for a reader to verify with.
 * Its id is its JWK thumbprint (RFC 7638, RFC 8037), so the same key has the same id
 * everywhere. Thread-safe once it has been read.
 */
#pragma once

#include <gnutls/abstract.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define RECEIPT_KEY_BYTES       32
#define RECEIPT_KEY_TEXT_SIZE   44 /* 32 bytes as base64url, terminated */
#define RECEIPT_SIGNATURE_BYTES 64

struct receipt_key {
    char x[RECEIPT_KEY_TEXT_SIZE]; /* the public key */
    char id[RECEIPT_KEY_TEXT_SIZE];
    gnutls_pubkey_t public;   /* owned, as is the next one */
    gnutls_privkey_t private; /* NULL if only the public key is known */
};

/* PEM of a private key (PKCS #8, unencrypted) or of a public one. ERR_INVALID says what the
 * text is instead. */
bool receipt_key_read(const char *pem, struct receipt_key *ret, struct err *err);

/* From the 32 bytes of a JWK. ERR_INVALID if they are no point of the curve. */
bool receipt_key_from_public(const uint8_t bytes[RECEIPT_KEY_BYTES],
                             struct receipt_key *ret, struct err *err);

void receipt_key_done(struct receipt_key *key);

/* A new private key as PEM, terminated, and its id. Overwrite the text before free(). */
bool receipt_key_generate(char **ret_pem, char ret_id[RECEIPT_KEY_TEXT_SIZE],
                          struct err *err);

/* Needs the private key. ERR_SYSTEM. */
bool receipt_key_sign(const struct receipt_key *key, const char *text, size_t len,
                      uint8_t ret[RECEIPT_SIGNATURE_BYTES], struct err *err);

bool receipt_key_verify(const struct receipt_key *key, const char *text, size_t len,
                        const uint8_t signature[RECEIPT_SIGNATURE_BYTES]);
