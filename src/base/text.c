/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static char empty[1];

struct text text_up_to(size_t max)
{
    return (struct text){.data = empty, .max = max};
}

void text_init(struct text *text, size_t max)
{
    *text = text_up_to(max);
}

void text_done(struct text *text)
{
    if (text->size > 0)
        free(text->data);
    text_init(text, text->max);
}

void text_reset(struct text *text)
{
    text->len = 0;
    text->failed = false;
    if (text->size > 0)
        text->data[0] = '\0';
}

/* `size` includes the terminator. Marks the text as failed if it cannot grow. */
bool text_reserve(struct text *text, size_t more)
{
    if (text->failed || more > text->max - text->len) {
        text->failed = true;
        return false;
    }

    size_t needed = text->len + more + 1;
    if (needed <= text->size)
        return true;

    size_t size = text->size < 128 ? 256 : text->size * 2;
    if (size < needed)
        size = needed;
    if (size > text->max + 1)
        size = text->max + 1;

    char *data = realloc(text->size > 0 ? text->data : NULL, size);
    if (!data) {
        text->failed = true;
        return false;
    }
    data[text->len] = '\0';
    text->data = data;
    text->size = size;
    return true;
}

void text_append(struct text *text, const char *bytes, size_t len)
{
    if (!text_reserve(text, len))
        return;

    if (len > 0)
        memcpy(text->data + text->len, bytes, len);
    text->len += len;
    text->data[text->len] = '\0';
}

/* Formats into the space that is left, and again after growing if that was too small. */
void text_printf(struct text *text, const char *format, ...)
{
    if (text->failed)
        return;

    size_t room = text->size > 0 ? text->size - text->len : 0;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text->data + text->len, room, format, args);
    va_end(args);
    assert(len >= 0);

    if ((size_t)len >= room) {
        if (room > 0)
            text->data[text->len] = '\0'; /* drop the part that was cut off */
        if (!text_reserve(text, (size_t)len))
            return;

        va_start(args, format);
        vsnprintf(text->data + text->len, (size_t)len + 1, format, args);
        va_end(args);
    }
    text->len += (size_t)len;
}

void text_append_json(struct text *text, const char *bytes, size_t len)
{
    text_append_str(text, "\"");
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c < ' ') {
            text_printf(text, "\\u%04x", c);
            continue;
        }
        if (c == '"' || c == '\\')
            text_append_str(text, "\\");
        text_append(text, bytes + i, 1);
    }
    text_append_str(text, "\"");
}

char *text_take(struct text *text, size_t *ret_len)
{
    if (text->failed || !text_reserve(text, 0)) {
        text_done(text);
        return NULL;
    }

    char *data = text->data;
    *ret_len = text->len;
    text_init(text, text->max);
    return data;
}

size_t text_digits(uint64_t number, size_t width, char ret_digits[TEXT_DIGITS_MAX])
{
    assert(width <= TEXT_DIGITS_MAX);
    char digits[TEXT_DIGITS_MAX];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0 || sizeof digits - at < width);
    memcpy(ret_digits, digits + at, sizeof digits - at);
    return sizeof digits - at;
}

bool text_parse_u64(const char *digits, size_t len, uint64_t max, uint64_t *ret)
{
    if (len == 0)
        return false;

    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;

        uint64_t digit = (uint64_t)(digits[i] - '0');
        if (digit > max || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret = value;
    return true;
}

void text_hex(const uint8_t *bytes, size_t len, char *ret_digits)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        ret_digits[2 * i] = digits[bytes[i] >> 4];
        ret_digits[2 * i + 1] = digits[bytes[i] & 0xf];
    }
}

int text_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

uint64_t text_hash(const char *text, size_t len)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3;
    return hash;
}

bool text_equals_nocase(const char *text, size_t len, const char *word)
{
    return strlen(word) == len && strncasecmp(text, word, len) == 0;
}
