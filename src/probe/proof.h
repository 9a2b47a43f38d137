/* SPDX-License-Identifier: MIT
 *
 * Proof of the listener. A handshake does not show who answered: proxies, neighbours behind
 * the same address and forwards to another port accept, too. So a listener of port-verifier
 * writes one line as soon as it accepts. The line shows those who know the token which
 * listener wrote it, and on which port:
 *
 *     golem-port-verifier 1 <local port> <hex HMAC-SHA256(key = token, message = port)>\n
 *
 * The key is the 32 ASCII bytes of the token, the message is the port as decimal text.
 * Pure: bytes in, a judgement out. The bytes are borrowed and not kept.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROOF_TOKEN_LEN 32
#define PROOF_READ_MAX  128 /* at most this many bytes of a target are read */
#define PROOF_LINE_SIZE 96  /* our longest line takes 93 bytes, and its terminator */

#define PROOF_MAP(X)                                                                       \
    X(NONE, NULL)               /* none: not requested, or not yet known */                \
    X(MATCH, "match")           /* it is this listener */                                  \
    X(OTHER_PORT, "other_port") /* it is ours, but on a port other than the probed one */  \
    X(MISMATCH, "mismatch")     /* another program answers */                              \
    X(SILENT, "silent")         /* no whole line in time, and the connection is there */   \
    X(RESET, "reset")           /* accepted, then reset or closed before a whole line */

enum proof {
#define X(NAME, text) PROOF_##NAME,
    PROOF_MAP(X)
#undef X
};

/* The contract's `proof`; NULL for PROOF_NONE. */
const char *proof_text(enum proof proof);

struct proof_token {
    char hex[PROOF_TOKEN_LEN + 1]; /* terminated */
};

/* 32 lower-case hex digits and nothing else. */
bool proof_token_parse(const char *text, size_t len, struct proof_token *ret);

/* The line, with its newline and a terminator; *ret_len is without the terminator. False
 * when the library cannot compute (out of memory). */
bool proof_line_make(const struct proof_token *token, uint16_t port,
                     char ret_line[PROOF_LINE_SIZE], size_t *ret_len);

/* What follows the bytes received so far. */
enum proof_rest {
    PROOF_REST_MAY_COME,
    PROOF_REST_TOO_LATE, /* no time left */
    PROOF_REST_CUT_OFF,  /* the target closed or reset the connection */
};

/* What the `len` bytes received so far from `port` prove; only the first PROOF_READ_MAX
 * count. PROOF_NONE: read on; unless PROOF_REST_MAY_COME, it could not be computed.
 * PROOF_MISMATCH takes a whole line or PROOF_READ_MAX bytes without one. *ret_port is
 * written only with PROOF_OTHER_PORT: the port that the listener is bound to. The
 * comparison takes the same time wherever the first difference is. */
enum proof proof_judge(const char *bytes, size_t len, enum proof_rest rest,
                       const struct proof_token *token, uint16_t port, uint16_t *ret_port);
