/* SPDX-License-Identifier: MIT */
#include "base/tls_identity.h"

#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Forward secrecy and AEAD only: RFC 9325 section 4.2. */
#define DEFAULT_PRIORITY                                                                   \
    "NONE:+VERS-TLS1.3:+VERS-TLS1.2:+ECDHE-ECDSA:+ECDHE-RSA:+AES-128-GCM:+AES-256-GCM:"    \
    "+CHACHA20-POLY1305:+AEAD:+COMP-NULL:+SIGN-ALL:-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:"       \
    "-SIGN-DSA-SHA1:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:%SERVER_PRECEDENCE"

#define PRIORITY_SIZE 1024
#define TRY_STEPS     64 /* of a handshake with itself; it takes three */

static const char *or_default(const char *priority)
{
    return priority[0] ? priority : DEFAULT_PRIORITY;
}

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

    result = gnutls_priority_init(&identity->priority, or_default(priority), NULL);
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

/* One handshake between a client and a server in this thread. */
struct handshake {
    gnutls_certificate_credentials_t trust; /* the client's: none */
    gnutls_session_t client, server;
    int ends[2];
};

static bool handshake_begin(struct handshake *it, const struct tls_identity *identity,
                            const char *priority)
{
    /* Clients differ in whether they insist on the certificate's key usage. */
    char wish[PRIORITY_SIZE];
    const unsigned flags = GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL;
    int len = snprintf(wish, sizeof wish, "%s:%%COMPAT", or_default(priority));
    if (len >= (int)sizeof wish ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, it->ends) != 0 ||
        gnutls_certificate_allocate_credentials(&it->trust) < 0 ||
        gnutls_init(&it->client, GNUTLS_CLIENT | flags) < 0 ||
        gnutls_init(&it->server, GNUTLS_SERVER | flags) < 0)
        return false;

    gnutls_transport_set_int(it->client, it->ends[0]);
    gnutls_transport_set_int(it->server, it->ends[1]);
    return gnutls_priority_set_direct(it->client, wish, NULL) >= 0 &&
           gnutls_priority_set(it->server, identity->priority) >= 0 &&
           gnutls_credentials_set(it->client, GNUTLS_CRD_CERTIFICATE, it->trust) >= 0 &&
           gnutls_credentials_set(it->server, GNUTLS_CRD_CERTIFICATE,
                                  identity->credentials) >= 0;
}

static void handshake_done(struct handshake *it)
{
    if (it->client)
        gnutls_deinit(it->client);
    if (it->server)
        gnutls_deinit(it->server);
    if (it->trust)
        gnutls_certificate_free_credentials(it->trust);
    fd_close(&it->ends[0]);
    fd_close(&it->ends[1]);
}

static int shake(gnutls_session_t session, int before)
{
    return before < 0 && !gnutls_error_is_fatal(before) ? gnutls_handshake(session)
                                                        : before;
}

/* What GnuTLS says: 0 if both sides are done. */
static int handshake_run(struct handshake *it)
{
    int client = GNUTLS_E_AGAIN, server = GNUTLS_E_AGAIN;
    for (int i = 0; i < TRY_STEPS && (client < 0 || server < 0); i++) {
        client = shake(it->client, client);
        server = shake(it->server, server);
        if (server < 0 && gnutls_error_is_fatal(server))
            return server;
        if (client < 0 && gnutls_error_is_fatal(client))
            return client;
    }
    return client < 0 ? client : server;
}

bool tls_identity_try(const struct tls_identity *identity, const char *priority,
                      struct err *err)
{
    struct handshake it = {.ends = {-1, -1}};
    bool is_begun = handshake_begin(&it, identity, priority);
    int result = is_begun ? handshake_run(&it) : GNUTLS_E_INTERNAL_ERROR;
    handshake_done(&it);
    if (!is_begun)
        return err_set(err, ERR_SYSTEM, "TLS: no handshake could be tried");
    return result >= 0 ||
           err_set(err, result == GNUTLS_E_MEMORY_ERROR ? ERR_SYSTEM : ERR_INVALID,
                   "GnuTLS says \"%s\"", gnutls_strerror(result));
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
