/* SPDX-License-Identifier: MIT
 *
 * What a TLS server presents, the same in all sessions: certificate, private key, the key
 * of its session tickets, and what it agrees to: TLS 1.2 and 1.3 with forward secrecy and
 * AEAD, nothing else. Thread-safe once created.
 */
#pragma once

#include <gnutls/gnutls.h>
#include <stdbool.h>

struct err;

struct tls_identity {
    gnutls_certificate_credentials_t credentials; /* these three owned */
    gnutls_priority_t priority;
    gnutls_datum_t ticket_key; /* generated at each start */
};

/* ERR_INVALID unless the PEM texts are a certificate and its key. */
bool tls_identity_new(const char *cert_pem, const char *key_pem, struct tls_identity **ret,
                      struct err *err);
struct tls_identity *tls_identity_free(struct tls_identity *identity);
