/* SPDX-License-Identifier: MIT
 *
 * A text that grows up to a limit, and strict number parsers.
 *
 * A text gets its limit when it is created. An append beyond the limit or without memory
 * appends nothing and marks the text as failed; later appends are ignored, so a writer
 * checks once, at the end. The content is always terminated, so `data` is a C string if it
 * contains no NUL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
    char *data; /* owned; "" before the first append */
    size_t len;
    size_t size; /* allocated */
    size_t max;  /* limit of len */
    bool failed;
};

void text_init(struct text *text, size_t max);
void text_done(struct text *text);

/* A text of one scope, which ends with it: AUTO_TEXT line = text_up_to(LINE_MAX); */
#define AUTO_TEXT __attribute__((cleanup(text_done))) struct text
struct text text_up_to(size_t max);

/* Clears the content and the failure, keeps the memory. */
void text_reset(struct text *text);

/* Reserves space for `more` bytes. False when the text has failed. */
bool text_reserve(struct text *text, size_t more);

void text_append(struct text *text, const char *bytes, size_t len);
static inline void text_append_str(struct text *text, const char *str)
{
    text_append(text, str, strlen(str));
}
void text_printf(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Appends a JSON string with its quotes. The bytes are UTF-8. */
void text_append_json(struct text *text, const char *bytes, size_t len);

/* Moves the content out; the caller frees it with free(). NULL when the text failed. */
char *text_take(struct text *text, size_t *ret_len);

/* Writes `number` in decimal, padded with zeros to `width` digits, without a terminator;
 * returns the number of bytes. Faster than printf(), for code that runs once per request or
 * more often. */
#define TEXT_DIGITS_MAX 20 /* of UINT64_MAX; `width` is at most that */
size_t text_digits(uint64_t number, size_t width, char ret_digits[TEXT_DIGITS_MAX]);

/* An unsigned decimal number and nothing else: digits only, no sign, no space, at most
 * `max`. Returns false without writing when `digits` is anything else. */
bool text_parse_u64(const char *digits, size_t len, uint64_t max, uint64_t *ret);

/* Writes 2 * `len` lower-case hexadecimal digits, without a terminator. */
void text_hex(const uint8_t *bytes, size_t len, char *ret_digits);

/* 0 to 15, or -1 if `c` is not a hexadecimal digit. */
int text_hex_value(char c);

/* FNV-1a: tells texts apart that no attacker has chosen. */
uint64_t text_hash(const char *text, size_t len);

/* Whether `text` of `len` bytes equals the C string `word`, ASCII case ignored. */
bool text_equals_nocase(const char *text, size_t len, const char *word);
