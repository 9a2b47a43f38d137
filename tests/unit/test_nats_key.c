/* SPDX-License-Identifier: MIT
 *
 * Keys of NATS users, alone and in credentials files.
 */
#include "vantage/nats_key.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

/* Made by contrib/nats/make-keys, and used nowhere else. */
#define SEED   "SUAMKJZVIKHU3U5RFSYVYPGU4PEKOX3PQBUKG26WICQLGE3J4GHVAUQAMQ"
#define PUBLIC "UBUZ7CER3252NXCRABWTKMURDRB3W3DFLIDZJ5ZEZADH64UJT4LZJZXV"

static void a_seed_gives_its_public_key(void **state)
{
    (void)state;
    struct nats_key key;
    assert_true(nats_key_parse(SEED, strlen(SEED), &key));
    assert_string_equal(key.seed, SEED);
    assert_string_equal(key.public_text, PUBLIC);
}

/* The checksum finds every wrong character. */
static void a_seed_with_a_wrong_character_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < strlen(SEED); i++) {
        char wrong[] = SEED;
        struct nats_key key;
        /* Of the last character, two bits are padding. */
        wrong[i] = wrong[i] == 'Z' ? 'A' : i == strlen(SEED) - 1 ? 'A' : 'Z';
        assert_false(nats_key_parse(wrong, strlen(wrong), &key));
    }
}

static void only_a_user_seed_is_one(void **state)
{
    (void)state;
    static const char *const others[] = {
        "", "SU", PUBLIC, SEED "A", " " SEED, "su" SEED,
        /* an account's */
        "SAAMKJZVIKHU3U5RFSYVYPGU4PEKOX3PQBUKG26WICQLGE3J4GHVAUQAMQ"};
    struct nats_key key;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(nats_key_parse(others[i], strlen(others[i]), &key));
    assert_false(nats_key_parse(SEED, strlen(SEED) - 1, &key));
}

static void a_file_has_a_seed_and_perhaps_a_jwt(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *jwt; /* "" = none */
        bool is_sound;
    } rows[] = {
        {SEED, "", true},
        {SEED "\n", "", true},
        {"# key of gw\r\n\r\n" SEED " \r\n", "", true},
        {"-----BEGIN NATS USER JWT-----\neyJ0.a-b_c.d\n------END NATS USER JWT------\n\n"
         "************************* IMPORTANT *************************\n"
         "NKEY Seed printed below can be used to sign and prove identity.\n\n"
         "-----BEGIN USER NKEY SEED-----\n" SEED "\n------END USER NKEY SEED------\n",
         "eyJ0.a-b_c.d", true},
        {"", "", false},
        {"# " SEED "\n", "", false},
        {PUBLIC "\n", "", false},
        {"-----BEGIN NATS USER JWT-----\neyJ0\n------END NATS USER JWT------\n", "", false},
        {"-----BEGIN NATS USER JWT-----", "", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nats_key key;
        const char *jwt = NULL;
        size_t len = 0;
        bool is_sound = nats_key_file_parse(rows[i].text, &key, &jwt, &len);
        if (is_sound != rows[i].is_sound)
            fail_msg("%s", rows[i].text);
        if (!is_sound)
            continue;
        assert_string_equal(key.public_text, PUBLIC);
        assert_int_equal(len * (jwt != NULL), strlen(rows[i].jwt));
        if (jwt)
            assert_memory_equal(jwt, rows[i].jwt, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_gives_its_public_key),
        cmocka_unit_test(a_seed_with_a_wrong_character_is_refused),
        cmocka_unit_test(only_a_user_seed_is_one),
        cmocka_unit_test(a_file_has_a_seed_and_perhaps_a_jwt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
