/* SPDX-License-Identifier: MIT */
#include "probe/proof.h"

#include "base/text.h"

#include <assert.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

#define PREFIX          "golem-port-verifier 1 "
#define PREFIX_LEN      (sizeof PREFIX - 1)
#define HMAC_LEN        32
#define HMAC_HEX_LEN    (2 * (size_t)HMAC_LEN)
#define PORT_DIGITS_MAX 5
#define PORT_MAX        65535

static_assert(PREFIX_LEN + PORT_DIGITS_MAX + 1 + HMAC_HEX_LEN + 2 <= PROOF_LINE_SIZE,
              "the longest line fits");

static const char *const proof_texts[] = {
#define X(NAME, text) [PROOF_##NAME] = (text),
    PROOF_MAP(X)
#undef X
};

const char *proof_text(enum proof proof)
{
    return proof_texts[proof];
}

bool proof_token_parse(const char *text, size_t len, struct proof_token *ret)
{
    if (len != PROOF_TOKEN_LEN)
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\0' || !strchr("0123456789abcdef", text[i]))
            return false;

    memcpy(ret->hex, text, len);
    ret->hex[len] = '\0';
    return true;
}

static bool hmac_make(const struct proof_token *token, const char *digits, size_t len,
                      char ret_hex[HMAC_HEX_LEN])
{
    uint8_t hmac[HMAC_LEN];
    if (gnutls_hmac_fast(GNUTLS_MAC_SHA256, token->hex, PROOF_TOKEN_LEN, digits, len,
                         hmac) != GNUTLS_E_SUCCESS)
        return false;

    text_hex(hmac, sizeof hmac, ret_hex);
    return true;
}

bool proof_line_make(const struct proof_token *token, uint16_t port,
                     char ret_line[PROOF_LINE_SIZE], size_t *ret_len)
{
    char digits[PORT_DIGITS_MAX + 1];
    char hex[HMAC_HEX_LEN];
    int digit_count = snprintf(digits, sizeof digits, "%u", port);
    if (!hmac_make(token, digits, (size_t)digit_count, hex))
        return false;

    int len = snprintf(ret_line, PROOF_LINE_SIZE, PREFIX "%s %.*s\n", digits,
                       (int)HMAC_HEX_LEN, hex);
    *ret_len = (size_t)len;
    return true;
}

/* A port as we write it: without leading zeros, because the HMAC covers its text. */
static bool port_read(const char *digits, size_t len, uint16_t *ret)
{
    uint64_t port;
    if (len > PORT_DIGITS_MAX || !text_parse_u64(digits, len, PORT_MAX, &port) ||
        digits[0] == '0')
        return false;

    *ret = (uint16_t)port;
    return true;
}

/* A whole line, without its newline. */
static enum proof line_judge(const char *line, size_t len, const struct proof_token *token,
                             uint16_t port, uint16_t *ret_port)
{
    if (len < PREFIX_LEN || memcmp(line, PREFIX, PREFIX_LEN) != 0)
        return PROOF_MISMATCH;

    const char *digits = line + PREFIX_LEN;
    size_t rest = len - PREFIX_LEN;
    const char *space = memchr(digits, ' ', rest);
    size_t digit_count = space ? (size_t)(space - digits) : 0;
    uint16_t said;
    if (!space || rest - digit_count - 1 != HMAC_HEX_LEN ||
        !port_read(digits, digit_count, &said))
        return PROOF_MISMATCH;

    char expected[HMAC_HEX_LEN];
    if (!hmac_make(token, digits, digit_count, expected))
        return PROOF_NONE;
    if (gnutls_memcmp(space + 1, expected, HMAC_HEX_LEN) != 0)
        return PROOF_MISMATCH;
    if (said == port)
        return PROOF_MATCH;

    *ret_port = said;
    return PROOF_OTHER_PORT;
}

enum proof proof_judge(const char *bytes, size_t len, enum proof_rest rest,
                       const struct proof_token *token, uint16_t port, uint16_t *ret_port)
{
    size_t looked_at = len < PROOF_READ_MAX ? len : PROOF_READ_MAX;
    const char *end = looked_at > 0 ? memchr(bytes, '\n', looked_at) : NULL;
    if (end)
        return line_judge(bytes, (size_t)(end - bytes), token, port, ret_port);
    if (looked_at == PROOF_READ_MAX)
        return PROOF_MISMATCH;
    static const enum proof without_line[] = {
        [PROOF_REST_MAY_COME] = PROOF_NONE,
        [PROOF_REST_TOO_LATE] = PROOF_SILENT,
        [PROOF_REST_CUT_OFF] = PROOF_RESET,
    };
    return without_line[rest];
}
