/* SPDX-License-Identifier: MIT */
#include "base/tls_identity.h"

#include "base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Forward secrecy and AEAD only: RFC 9325 section 4.2. */
#define DEFAULT_PRIORITY                                                                   \
    "NONE:+VERS-TLS1.3:+VERS-TLS1.2:+ECDHE-ECDSA:+ECDHE-RSA:+AES-128-GCM:+AES-256-GCM:"    \
    "+CHACHA20-POLY1305:+AEAD:+COMP-NULL:+SIGN-ALL:-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:"       \
    "-SIGN-DSA-SHA1:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:%SERVER_PRECEDENCE"

bool tls_priority_check(const char *priority, struct err *err)
{
    gnutls_priority_t read;
    const char *at = priority;
    int result = gnutls_priority_init(&read, priority, &at);
    if (result == GNUTLS_E_MEMORY_ERROR)
        return err_sys(err, ENOMEM, "GnuTLS");
    if (result < 0)
        return err_set(err, ERR_INVALID, "error at character %zu",
                       (size_t)(at - priority) + 1);

    gnutls_priority_deinit(read);
    return true;
}

static bool identity_fill(struct tls_identity *identity, const char *cert_pem,
                          const char *key_pem, const char *priority, struct err *err)
{
    int result = gnutls_certificate_allocate_credentials(&identity->credentials);
    if (result < 0)
        return err_set(err, ERR_SYSTEM, "TLS: %s", gnutls_strerror(result));

    union {
        const char *from;
        unsigned char *to;
    } cert = {.from = cert_pem},
      key = {.from = key_pem}; /* GnuTLS's API is not const-correct */
    const gnutls_datum_t cert_text = {cert.to, (unsigned)strlen(cert_pem)};
    const gnutls_datum_t key_text = {key.to, (unsigned)strlen(key_pem)};
    result = gnutls_certificate_set_x509_key_mem(identity->credentials, &cert_text,
                                                 &key_text, GNUTLS_X509_FMT_PEM);
    if (result < 0)
        return err_set(err, ERR_INVALID, "%s", gnutls_strerror(result));

    result = gnutls_priority_init(&identity->priority,
                                  priority[0] ? priority : DEFAULT_PRIORITY, NULL);
    if (result >= 0)
        result = gnutls_session_ticket_key_generate(&identity->ticket_key);
    if (result < 0)
        return err_set(err, ERR_SYSTEM, "TLS: %s", gnutls_strerror(result));
    return true;
}

bool tls_identity_new(const char *cert_pem, const char *key_pem, const char *priority,
                      struct tls_identity **ret, struct err *err)
{
    struct tls_identity *identity = calloc(1, sizeof *identity);
    if (!identity)
        return err_sys(err, ENOMEM, "TLS");
    if (!identity_fill(identity, cert_pem, key_pem, priority, err)) {
        tls_identity_free(identity);
        return false;
    }
    *ret = identity;
    return true;
}

struct tls_identity *tls_identity_free(struct tls_identity *identity)
{
    if (!identity)
        return NULL;

    if (identity->ticket_key.data) {
        gnutls_memset(identity->ticket_key.data, 0, identity->ticket_key.size);
        gnutls_free(identity->ticket_key.data);
    }
    if (identity->priority)
        gnutls_priority_deinit(identity->priority);
    if (identity->credentials)
        gnutls_certificate_free_credentials(identity->credentials);
    free(identity);
    return NULL;
}
