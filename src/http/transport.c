/* SPDX-License-Identifier: MIT */
#include "http/transport.h"

#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define RECORD_MAX    (16 * 1024)
#define WINDOW        (RECORD_MAX + 1024) /* a whole record at once */
#define TLS_HANDSHAKE 0x16                /* RFC 8446 section 5.1 */

/* Forward secrecy and AEAD only: RFC 9325 section 4.2. */
#define PRIORITY                                                                           \
    "NONE:+VERS-TLS1.3:+VERS-TLS1.2:+ECDHE-ECDSA:+ECDHE-RSA:+AES-128-GCM:+AES-256-GCM:"    \
    "+CHACHA20-POLY1305:+AEAD:+COMP-NULL:+SIGN-ALL:-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:"       \
    "-SIGN-DSA-SHA1:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:%SERVER_PRECEDENCE"

/* --- what all sessions share ------------------------------------------------------ */

struct tls_context {
    gnutls_certificate_credentials_t credentials; /* these three owned */
    gnutls_priority_t priority;
    gnutls_datum_t ticket_key;
};

static bool context_fill(struct tls_context *context, const char *cert_pem,
                         const char *key_pem, struct err *err)
{
    int result = gnutls_certificate_allocate_credentials(&context->credentials);
    if (result < 0)
        return err_set(err, ERR_SYSTEM, "TLS: %s", gnutls_strerror(result));

    union {
        const char *from;
        unsigned char *to;
    } cert = {.from = cert_pem}, key = {.from = key_pem}; /* GnuTLS knows no const */
    const gnutls_datum_t cert_text = {cert.to, (unsigned)strlen(cert_pem)};
    const gnutls_datum_t key_text = {key.to, (unsigned)strlen(key_pem)};
    result = gnutls_certificate_set_x509_key_mem(context->credentials, &cert_text,
                                                 &key_text, GNUTLS_X509_FMT_PEM);
    if (result < 0)
        return err_set(err, ERR_INVALID, "%s", gnutls_strerror(result));

    result = gnutls_priority_init(&context->priority, PRIORITY, NULL);
    if (result >= 0)
        result = gnutls_session_ticket_key_generate(&context->ticket_key);
    if (result < 0)
        return err_set(err, ERR_SYSTEM, "TLS: %s", gnutls_strerror(result));
    return true;
}

bool tls_context_new(const char *cert_pem, const char *key_pem, struct tls_context **ret,
                     struct err *err)
{
    struct tls_context *context = calloc(1, sizeof *context);
    if (!context)
        return err_sys(err, ENOMEM, "TLS");
    if (!context_fill(context, cert_pem, key_pem, err)) {
        tls_context_free(context);
        return false;
    }
    *ret = context;
    return true;
}

struct tls_context *tls_context_free(struct tls_context *context)
{
    if (!context)
        return NULL;

    if (context->ticket_key.data) {
        gnutls_memset(context->ticket_key.data, 0, context->ticket_key.size);
        gnutls_free(context->ticket_key.data);
    }
    if (context->priority)
        gnutls_priority_deinit(context->priority);
    if (context->credentials)
        gnutls_certificate_free_credentials(context->credentials);
    free(context);
    return NULL;
}

/* --- one session ------------------------------------------------------------------ */

/* Ciphertext between the kernel and GnuTLS: during a call in a buffer of the caller's
 * stack, between calls in one of the heap, which there rarely is. */
struct tls_session {
    gnutls_session_t session; /* owned */
    char *ahead;              /* owned between calls */
    size_t ahead_at, ahead_len;
    size_t record; /* bytes of ours in a record that the socket has not taken */
    int fd;        /* borrowed */
    enum { LINE_OPEN, LINE_DRAINED, LINE_ENDED } line;
};

/* A gnutls_pull_func. */
static ssize_t pull(gnutls_transport_ptr_t ctx, void *ret_bytes, size_t size)
{
    struct tls_session *tls = ctx;
    if (tls->ahead_at == tls->ahead_len) {
        ssize_t n = recv(tls->fd, tls->ahead, WINDOW, 0);
        if (n <= 0) {
            tls->line = n == 0 ? LINE_ENDED : LINE_DRAINED;
            gnutls_transport_set_errno(tls->session, errno);
            return n;
        }
        tls->line = n < WINDOW ? LINE_DRAINED : LINE_OPEN;
        tls->ahead_at = 0;
        tls->ahead_len = (size_t)n;
    }

    size_t left = tls->ahead_len - tls->ahead_at;
    if (size > left)
        size = left;
    memcpy(ret_bytes, tls->ahead + tls->ahead_at, size);
    tls->ahead_at += size;
    return (ssize_t)size;
}

/* Puts what was kept into `window`, where pull() goes on. */
static void window_open(struct tls_session *tls, char window[WINDOW])
{
    size_t len = tls->ahead_len - tls->ahead_at;
    if (len > 0)
        memcpy(window, tls->ahead + tls->ahead_at, len);
    free(tls->ahead);
    tls->ahead = window;
    tls->ahead_at = 0;
    tls->ahead_len = len;
    tls->line = LINE_OPEN;
}

/* Keeps what is left. False without memory: the session is broken then. */
static bool window_close(struct tls_session *tls)
{
    size_t len = tls->ahead_len - tls->ahead_at;
    char *kept = len > 0 ? malloc(len) : NULL;
    if (kept)
        memcpy(kept, tls->ahead + tls->ahead_at, len);
    tls->ahead = kept;
    tls->ahead_at = 0;
    tls->ahead_len = kept ? len : 0;
    return kept || len == 0;
}

static bool is_passing(int result)
{
    return result == GNUTLS_E_AGAIN || result == GNUTLS_E_INTERRUPTED;
}

static struct tls_session *session_free(struct tls_session *tls)
{
    if (!tls)
        return NULL;

    if (tls->session)
        gnutls_deinit(tls->session);
    free(tls->ahead);
    free(tls);
    return NULL;
}

static struct tls_session *session_new(int fd, const struct tls_context *context)
{
    static unsigned char http[] = "http/1.1";
    static const gnutls_datum_t protocol = {http, sizeof http - 1};
    struct tls_session *tls = calloc(1, sizeof *tls);
    if (!tls)
        return NULL;

    tls->fd = fd;
    if (gnutls_init(&tls->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) <
            0 ||
        gnutls_priority_set(tls->session, context->priority) < 0 ||
        gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, context->credentials) <
            0 ||
        gnutls_session_ticket_enable_server(tls->session, &context->ticket_key) < 0 ||
        gnutls_alpn_set_protocols(tls->session, &protocol, 1, 0) < 0)
        return session_free(tls);

    gnutls_handshake_set_timeout(tls->session, GNUTLS_INDEFINITE_TIMEOUT);
    gnutls_transport_set_int2(tls->session, fd, fd);
    gnutls_transport_set_ptr2(tls->session, tls, (gnutls_transport_ptr_t)(intptr_t)fd);
    gnutls_transport_set_pull_function(tls->session, pull);
    return tls;
}

/* Looks at the client's first byte. */
static enum transport_handshake greet(struct transport *transport,
                                      const struct tls_context *context)
{
    unsigned char first;
    ssize_t n = recv(transport->fd, &first, 1, MSG_PEEK);
    if (n < 0 && errno == EAGAIN)
        return HANDSHAKE_WAITS;
    if (n == 1 && first != TLS_HANDSHAKE)
        return HANDSHAKE_OTHER;
    if (n == 1)
        transport->tls = session_new(transport->fd, context);
    return transport->tls ? HANDSHAKE_DONE : HANDSHAKE_FAILED;
}

enum transport_handshake transport_shake_hands(struct transport *transport,
                                               const struct tls_context *context)
{
    enum transport_handshake begin =
        transport->tls ? HANDSHAKE_DONE : greet(transport, context);
    struct tls_session *tls = transport->tls;
    if (begin != HANDSHAKE_DONE)
        return begin;

    char window[WINDOW];
    window_open(tls, window);
    int result = gnutls_handshake(tls->session);
    while (result < 0 && !is_passing(result) && !gnutls_error_is_fatal(result))
        result = gnutls_handshake(tls->session); /* a warning of the client's */
    if (!window_close(tls))
        return HANDSHAKE_FAILED;
    if (result == GNUTLS_E_SUCCESS)
        return HANDSHAKE_DONE;
    if (is_passing(result))
        return HANDSHAKE_WAITS;
    gnutls_alert_send_appropriate(tls->session, result);
    return HANDSHAKE_FAILED;
}

static ssize_t tls_read(struct tls_session *tls, char *ret_bytes, size_t size,
                        bool *ret_is_drained)
{
    char window[WINDOW];
    window_open(tls, window);
    ssize_t n = gnutls_record_recv(tls->session, ret_bytes, size);
    *ret_is_drained = tls->line == LINE_DRAINED && tls->ahead_at == tls->ahead_len &&
                      gnutls_record_check_pending(tls->session) == 0;
    errno = ENOMEM;
    if (!window_close(tls))
        return -1;
    if (n >= 0)
        return n;
    if (n == GNUTLS_E_PREMATURE_TERMINATION)
        return 0;
    errno = is_passing((int)n) ? EAGAIN : EPROTO;
    return -1;
}

/* One record of what has come in parts. */
static ssize_t tls_write(struct tls_session *tls, const struct iovec *parts, size_t count)
{
    char record[RECORD_MAX];
    size_t len = tls->record;
    ssize_t n;
    if (len > 0) {
        n = gnutls_record_send(tls->session, NULL, 0);
    } else {
        for (size_t i = 0; i < count && len < sizeof record; i++) {
            size_t room = sizeof record - len;
            size_t taken = parts[i].iov_len < room ? parts[i].iov_len : room;
            memcpy(record + len, parts[i].iov_base, taken);
            len += taken;
        }
        n = gnutls_record_send(tls->session, record, len);
    }
    tls->record = is_passing((int)n) ? len : 0;
    errno = is_passing((int)n) ? EAGAIN : EPIPE;
    return n > 0 ? n : -1;
}

/* --- both ------------------------------------------------------------------------- */

void transport_init(struct transport *transport, int fd, const struct address *peer)
{
    *transport = (struct transport){.fd = fd, .peer = *peer};
}

void transport_close(struct transport *transport)
{
    transport->tls = session_free(transport->tls);
    fd_close(&transport->fd);
}

const struct address *transport_local(struct transport *transport)
{
    struct address *local = &transport->local;
    if (local->len > 0)
        return local;

    struct sockaddr_storage storage;
    socklen_t len = sizeof storage;
    *local = (struct address){.len = sizeof local->in, .in = {.sin_family = AF_INET}};
    if (getsockname(transport->fd, (struct sockaddr *)&storage, &len) == 0)
        address_from_sockaddr((struct sockaddr *)&storage, len, local);
    return local;
}

ssize_t transport_read(struct transport *transport, char *ret_bytes, size_t size,
                       bool *ret_is_drained)
{
    if (transport->tls)
        return tls_read(transport->tls, ret_bytes, size, ret_is_drained);

    ssize_t n = recv(transport->fd, ret_bytes, size, 0);
    if (n < 0 && errno == EINTR)
        errno = EAGAIN; /* sockets that never wait are not interrupted */
    *ret_is_drained = n < 0 || (size_t)n < size;
    return n;
}

ssize_t transport_write(struct transport *transport, const struct iovec *parts,
                        size_t count)
{
    if (transport->tls)
        return tls_write(transport->tls, parts, count);

    union {
        const struct iovec *from;
        struct iovec *to;
    } list = {.from = parts}; /* struct msghdr knows no const */
    struct msghdr message = {.msg_iov = list.to, .msg_iovlen = count};
    return sendmsg(transport->fd, &message, MSG_NOSIGNAL);
}

bool transport_has_unread(const struct transport *transport)
{
    int waiting = 0;
    return ioctl(transport->fd, SIOCINQ, &waiting) == 0 && waiting > 0;
}

void transport_finish(struct transport *transport)
{
    if (transport->tls && transport->tls->record == 0)
        gnutls_bye(transport->tls->session, GNUTLS_SHUT_WR);
    shutdown(transport->fd, SHUT_WR);
}

ssize_t transport_discard(struct transport *transport, size_t max)
{
    /* TCP throws away with MSG_TRUNC, and copies nothing. */
    return recv(transport->fd, NULL, max, MSG_TRUNC);
}
