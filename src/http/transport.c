/* SPDX-License-Identifier: MIT */
#include "http/transport.h"

#include "base/fd.h"
#include "base/tls_identity.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define TLS_HANDSHAKE 0x16 /* RFC 8446 section 5.1 */

static bool is_passing(int result)
{
    return result == GNUTLS_E_AGAIN || result == GNUTLS_E_INTERRUPTED;
}

static ssize_t socket_read(struct transport *transport, void *ret_bytes, size_t size)
{
    ssize_t n = recv(transport->fd, ret_bytes, size, 0);
    if ((n < 0 || (size_t)n < size) && transport->incoming == INCOMING_SOME)
        transport->incoming = INCOMING_NONE;
    return n;
}

/* The pull function of GnuTLS. GnuTLS's own "again" does not mean that the socket is empty:
 * it also follows a record without data, such as TLS 1.3's KeyUpdate. */
static ssize_t pull(gnutls_transport_ptr_t ctx, void *ret_bytes, size_t size)
{
    return socket_read(ctx, ret_bytes, size);
}

static bool session_begin(struct transport *transport, const struct tls_identity *identity)
{
    static unsigned char http[] = "http/1.1";
    static const gnutls_datum_t protocol = {http, sizeof http - 1};
    gnutls_session_t *session = &transport->session;
    transport->tls = TLS_SHAKING;
    if (gnutls_init(session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0 ||
        gnutls_priority_set(*session, identity->priority) < 0 ||
        gnutls_credentials_set(*session, GNUTLS_CRD_CERTIFICATE, identity->credentials) <
            0 ||
        gnutls_session_ticket_enable_server(*session, &identity->ticket_key) < 0 ||
        gnutls_alpn_set_protocols(*session, &protocol, 1, 0) < 0)
        return false;

    gnutls_handshake_set_timeout(*session, GNUTLS_INDEFINITE_TIMEOUT);
    /* GnuTLS takes the descriptor as a pointer. */
    union {
        intptr_t fd;
        void *pointer;
    } to = {.fd = transport->fd};
    gnutls_transport_set_ptr2(*session, transport, to.pointer);
    gnutls_transport_set_pull_function(*session, pull);
    return true;
}

/* A client that has ended its side cannot complete a handshake, so do not compute one for
 * it. */
static bool has_ended(const struct transport *transport)
{
    struct pollfd socket = {.fd = transport->fd, .events = POLLRDHUP};
    return poll(&socket, 1, 0) > 0;
}

enum transport_handshake transport_shake_hands(struct transport *transport,
                                               const struct tls_identity *identity)
{
    if (transport->tls == TLS_NONE) {
        unsigned char first;
        ssize_t n = recv(transport->fd, &first, 1, MSG_PEEK);
        if (n < 0 && errno == EAGAIN)
            return HANDSHAKE_WAITS;
        if (n == 1 && first != TLS_HANDSHAKE)
            return HANDSHAKE_OTHER;
        if (n != 1 || has_ended(transport) || !session_begin(transport, identity))
            return HANDSHAKE_FAILED;
    }

    int result;
    do
        result = gnutls_handshake(transport->session);
    while (result < 0 && !is_passing(result) && !gnutls_error_is_fatal(result));
    if (result == GNUTLS_E_SUCCESS) {
        transport->tls = TLS_OPEN;
        /* Many clients hold back their first request until their last handshake message is
         * acknowledged (Nagle), which the kernel would delay by 40 ms: in TLS 1.3 the
         * server has nothing to send. */
        setsockopt(transport->fd, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int));
        return HANDSHAKE_DONE;
    }
    if (is_passing(result))
        return HANDSHAKE_WAITS;
    gnutls_alert_send_appropriate(transport->session, result);
    return HANDSHAKE_FAILED;
}

static ssize_t tls_read(struct transport *transport, char *ret_bytes, size_t size)
{
    ssize_t n = gnutls_record_recv(transport->session, ret_bytes, size);
    if (n >= 0)
        return n;
    if (n == GNUTLS_E_PREMATURE_TERMINATION)
        return 0;
    errno = is_passing((int)n) ? EAGAIN : EPROTO;
    return -1;
}

static ssize_t tls_write(struct transport *transport, const char *bytes, size_t len)
{
    bool is_again = transport->tls == TLS_BLOCKED;
    ssize_t n =
        gnutls_record_send(transport->session, is_again ? NULL : bytes, is_again ? 0 : len);
    transport->tls = is_passing((int)n) ? TLS_BLOCKED : TLS_OPEN;
    if (n > 0)
        return n;
    errno = is_passing((int)n) ? EAGAIN : EPIPE;
    return -1;
}

static void tls_finish(struct transport *transport)
{
    if (transport->tls == TLS_OPEN) {
        gnutls_bye(transport->session, GNUTLS_SHUT_WR);
        transport->tls = TLS_ENDED;
    }
}

/* --- both ------------------------------------------------------------------------- */

void transport_init(struct transport *transport, int fd, const struct address *peer)
{
    *transport = (struct transport){.fd = fd, .peer = *peer};
}

void transport_close(struct transport *transport)
{
    tls_finish(transport);
    if (transport->session)
        gnutls_deinit(transport->session);
    transport->session = NULL;
    fd_close(&transport->fd);
}

struct address transport_local(const struct transport *transport)
{
    struct address local = {.len = sizeof local.in, .in = {.sin_family = AF_INET}};
    address_of_socket(transport->fd, &local);
    return local;
}

bool transport_has_unread(const struct transport *transport)
{
    int waiting = 0;
    return ioctl(transport->fd, SIOCINQ, &waiting) == 0 && waiting > 0;
}

ssize_t transport_read(struct transport *transport, char *ret_bytes, size_t size)
{
    return transport->tls != TLS_NONE ? tls_read(transport, ret_bytes, size)
                                      : socket_read(transport, ret_bytes, size);
}

ssize_t transport_write(struct transport *transport, const char *bytes, size_t len)
{
    return transport->tls != TLS_NONE ? tls_write(transport, bytes, len)
                                      : send(transport->fd, bytes, len, MSG_NOSIGNAL);
}

void transport_finish(struct transport *transport)
{
    tls_finish(transport);
    shutdown(transport->fd, SHUT_WR);
}

ssize_t transport_discard(struct transport *transport)
{
    char waste[16 * 1024];
    return recv(transport->fd, waste, sizeof waste, 0);
}
