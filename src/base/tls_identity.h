/* SPDX-License-Identifier: MIT
 *
 * What a TLS server presents, the same in all sessions: certificate, private key, the key
 * of its session tickets, and what it agrees to. By default that is TLS 1.2 and 1.3 with
 * forward secrecy and AEAD, nothing else. Thread-safe once created.
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

/* Whether GnuTLS accepts this priority string; ERR_INVALID says where it does not. */
bool tls_priority_check(const char *priority, struct err *err);

/* ERR_INVALID unless the PEM texts are a certificate and its key. `priority` is a valid
 * priority string of GnuTLS; "" = the default. */
bool tls_identity_new(const char *cert_pem, const char *key_pem, const char *priority,
                      struct tls_identity **ret, struct err *err);

/* Whether a client can complete a handshake with it. Tries one that wishes for the same
 * `priority`; ERR_INVALID says why not, such as versions that TLS over TCP does not have,
 * or suites for another kind of key. Takes the time of one handshake. */
bool tls_identity_try(const struct tls_identity *identity, const char *priority,
                      struct err *err);

struct tls_identity *tls_identity_free(struct tls_identity *identity);
