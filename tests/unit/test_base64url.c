/* SPDX-License-Identifier: MIT */
#include "base/base64url.h"

#include "base/text.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* RFC 4648 section 10, without padding; RFC 7515 appendix C. */
static const struct {
    const char *bytes;
    size_t len;
    const char *text;
} pairs[] = {
    {"", 0, ""},
    {"f", 1, "Zg"},
    {"fo", 2, "Zm8"},
    {"foo", 3, "Zm9v"},
    {"foob", 4, "Zm9vYg"},
    {"fooba", 5, "Zm9vYmE"},
    {"foobar", 6, "Zm9vYmFy"},
    {"\x03\xec\xff\xe0\xc1", 5, "A-z_4ME"},
    {"\x00\x00\x00", 3, "AAAA"},
    {"\xff\xff\xff", 3, "____"},
    {"\xfb", 1, "-w"},
};

static void bytes_and_texts_correspond(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(pairs); i++) {
        AUTO_TEXT text = text_up_to(32);
        uint8_t bytes[8];
        size_t len = strlen(pairs[i].text);
        base64url_append(&text, pairs[i].bytes, pairs[i].len);
        assert_string_equal(text.data, pairs[i].text);
        assert_int_equal(text.len, BASE64URL_LEN(pairs[i].len));
        assert_int_equal(BASE64URL_BYTES(len), pairs[i].len);
        assert_true(base64url_decode(pairs[i].text, len, bytes));
        assert_memory_equal(bytes, pairs[i].bytes, pairs[i].len);
    }
}

static void nothing_else_is_such_a_text(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "Zg==", "Zm8=", "=",    "A",     "Zm9vY", /* padding; a length of no bytes */
        "Zh",   "Zm9",                            /* bits after the last byte */
        "Zm+v", "Zm/v", "Zm v", "Zm\nv", "Zm\xc3\xa4", "....",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        uint8_t bytes[8];
        assert_false(base64url_decode(texts[i], strlen(texts[i]), bytes));
    }
    uint8_t bytes[8];
    assert_false(base64url_decode("Zm\0v", 4, bytes));
}

static void a_full_text_fails_as_a_whole(void **state)
{
    (void)state;
    AUTO_TEXT text = text_up_to(7);
    base64url_append(&text, "foobar", 6);
    assert_true(text.failed);
    assert_int_equal(text.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_and_texts_correspond),
        cmocka_unit_test(nothing_else_is_such_a_text),
        cmocka_unit_test(a_full_text_fails_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
