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
    TLS_BLOCKED, /* open, but the socket has not accepted the last record */
    TLS_ENDED,   /* close_notify was sent */
};

/* What the socket holds, as far as is known. The owner updates it on events. */
enum incoming {
    INCOMING_SOME,
    INCOMING_NONE,
    INCOMING_ENDED, /* the client has ended its side; bytes may still be unread */
};

struct transport {
    int fd; /* owned */
    enum transport_tls tls;
    struct gnutls_session_int *session; /* owned, NULL with TLS_NONE */
    struct address peer;
    enum incoming incoming;
};

/* Takes the descriptor, which is non-blocking. */
void transport_init(struct transport *transport, int fd, const struct address *peer);

/* Closes the connection, with TLS's close_notify if possible. */
void transport_close(struct transport *transport);

/* Our end's address. */
struct address transport_local(const struct transport *transport);

enum transport_handshake {
    HANDSHAKE_DONE,
    HANDSHAKE_WAITS, /* for the socket */
    HANDSHAKE_OTHER, /* the client's first byte is not TLS */
    HANDSHAKE_FAILED,
};

/* Continues the TLS handshake as far as possible. With RSA this may take some milliseconds
 * of processor time. */
enum transport_handshake transport_shake_hands(struct transport *transport,
                                               const struct tls_identity *identity);

/* Returns the number of bytes read; 0 = the client has ended its side; -1 with errno,
 * EAGAIN if nothing is available. Updates `incoming` when the socket is empty. */
ssize_t transport_read(struct transport *transport, char *ret_bytes, size_t size);

/* Returns the number of bytes taken, at least 1; -1 with errno. After EAGAIN, pass the same
 * bytes again; more may follow them. */
ssize_t transport_write(struct transport *transport, const char *bytes, size_t len);

/* Whether the client has sent bytes that are unread: closing now would reset the
 * connection, and the client could lose the end of our reply. */
bool transport_has_unread(const struct transport *transport);

/* Ends our side: the client reads what was written, then the end. */
void transport_finish(struct transport *transport);

/* Discards some input, undecrypted. Returns how much, or as transport_read(). */
ssize_t transport_discard(struct transport *transport);
