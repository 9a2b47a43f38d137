/* SPDX-License-Identifier: MIT
 *
 * Bytes in and out of one accepted socket, as they are or through TLS (GnuTLS). Never
 * waits. TLS 1.2 and 1.3 with forward secrecy and AEAD only, session tickets, ALPN
 * "http/1.1".
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct gnutls_session_int;
struct tls_identity;

enum transport_tls {
    TLS_NONE, /* plain, or no handshake yet */
    TLS_SHAKING,
    TLS_OPEN,
    TLS_BLOCKED, /* open, and the socket has not taken the record that was written last */
    TLS_ENDED,   /* close_notify was sent */
};

struct transport {
    int fd; /* owned */
    enum transport_tls tls;
    struct gnutls_session_int *session; /* owned, NULL with TLS_NONE */
    struct address peer;
    struct address local; /* len 0 until it is asked for */
};

/* Takes the descriptor, which is non-blocking. */
void transport_init(struct transport *transport, int fd, const struct address *peer);

/* Ends both sides, with TLS's close_notify where that is possible. */
void transport_close(struct transport *transport);

/* Our end's address. */
const struct address *transport_local(struct transport *transport);

enum transport_handshake {
    HANDSHAKE_DONE,
    HANDSHAKE_WAITS, /* for the socket */
    HANDSHAKE_OTHER, /* the client's first byte is not TLS */
    HANDSHAKE_FAILED,
};

/* Takes the TLS handshake as far as it goes, which may take some milliseconds of processor
 * time with RSA. */
enum transport_handshake transport_shake_hands(struct transport *transport,
                                               const struct tls_identity *identity);

/* How much was read; 0 = the client has ended its side; -1 with errno, EAGAIN when there
 * was nothing. `ret_is_drained` says whether to wait for the kernel's next event before
 * reading again: behind a record of TLS with nothing in it there may be another. */
ssize_t transport_read(struct transport *transport, char *ret_bytes, size_t size,
                       bool *ret_is_drained);

/* How much was taken, at least a byte; -1 with errno. After EAGAIN the same bytes must come
 * again, more may follow them. */
ssize_t transport_write(struct transport *transport, const char *bytes, size_t len);

/* Whether bytes of the client's wait unread: closing now would reset the connection, and
 * the client could lose what we wrote last. */
bool transport_has_unread(const struct transport *transport);

/* Ends our side: the client reads what was written, then the end. */
void transport_finish(struct transport *transport);

/* Throws away some of what has come, as the network sent it: how much, or as
 * transport_read(). */
ssize_t transport_discard(struct transport *transport);
