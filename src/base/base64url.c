/* SPDX-License-Identifier: MIT */
#include "base/base64url.h"

#include "base/text.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                               "0123456789-_";

void base64url_append(struct text *text, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    if (!text_reserve(text, BASE64URL_LEN(len)))
        return;
    for (size_t i = 0; i < len; i += 3) {
        size_t count = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t)at[i] << 16;
        bits |= count > 1 ? (uint32_t)at[i + 1] << 8 : 0;
        bits |= count > 2 ? at[i + 2] : 0;
        const char four[] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63],
                             alphabet[bits >> 6 & 63], alphabet[bits & 63]};
        text_append(text, four, count + 1);
    }
}

bool base64url_decode(const char *text, size_t len, uint8_t *ret)
{
    uint32_t bits = 0;
    unsigned count = 0; /* of the low bits that are not written yet */
    if (len % 4 == 1)
        return false;
    for (size_t i = 0; i < len; i++) {
        const char *found = text[i] ? strchr(alphabet, text[i]) : NULL;
        if (!found)
            return false;
        bits = bits << 6 | (uint32_t)(found - alphabet);
        count += 6;
        if (count < 8)
            continue;
        count -= 8;
        *ret++ = (uint8_t)(bits >> count);
        bits &= (1u << count) - 1;
    }
    return bits == 0;
}
