/* SPDX-License-Identifier: MIT
 *
 * base64url without padding (RFC 4648 section 5, RFC 7515 section 2).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text;

/* Lengths of the text and of the bytes, without a terminator. */
#define BASE64URL_LEN(bytes)    (((bytes) * 4 + 2) / 3)
#define BASE64URL_BYTES(length) ((length) / 4 * 3 + (length) % 4 * 3 / 4)

void base64url_append(struct text *text, const void *bytes, size_t len);

/* Writes BASE64URL_BYTES(len) bytes. False for padding, for any other character, for a
 * length that no bytes have, and if the bits after the last byte are not zero: bytes have
 * one text only. Then `ret` is undefined. */
bool base64url_decode(const char *text, size_t len, uint8_t *ret);
