/* SPDX-License-Identifier: MIT
 *
 * The nonce of the mappings in the file of --state.
 */
#include "verifier/nonce_file.h"

#include "base/err.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void a_text_is_a_nonce_or_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"{\"version\": 1, \"nonce\": \"00112233445566778899aAbB\"}", NULL},
        {"{\"nonce\":\"00112233445566778899aabb\",\"new\":[],\"version\":1}\n", NULL},
        {"", "this is not a state file"},
        {"[]", "this is not a state file"},
        {"{\"version\": 1, \"nonce\": \"00112233445566778899aabb\"", "this is not a"},
        {"{\"version\": 1, \"version\": 1, \"nonce\": \"00112233445566778899aabb\"}",
         "this is not a"},
        {"{\"nonce\": \"00112233445566778899aabb\"}", "\"version\" must be 1"},
        {"{\"version\": \"1\", \"nonce\": \"00112233445566778899aabb\"}",
         "\"version\" must be 1"},
        {"{\"version\": 1}", "\"nonce\" must be 24 hexadecimal digits"},
        {"{\"version\": 1, \"nonce\": \"00112233445566778899aab\"}", "\"nonce\" must"},
        {"{\"version\": 1, \"nonce\": \"00112233445566778899aabbc\"}", "\"nonce\" must"},
        {"{\"version\": 1, \"nonce\": \"00112233445566778899aabg\"}", "\"nonce\" must"},
    };
    static const struct pcp_nonce expected = {
        {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct pcp_nonce nonce;
        struct err err;
        bool is_fine = nonce_parse(rows[i].text, strlen(rows[i].text), &nonce, &err);
        if (is_fine != !rows[i].error)
            fail_msg("%s", rows[i].text);
        if (is_fine)
            assert_memory_equal(&nonce, &expected, sizeof nonce);
        else
            assert_ptr_equal(strstr(err.message, rows[i].error), err.message);
    }
}

static void a_missing_file_is_created_and_read_again(void **state)
{
    (void)state;
    char folder[] = "/tmp/nonce-XXXXXX";
    char path[64];
    struct pcp_nonce made, read;
    struct stat status;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/state", folder);
    mode_t mask = umask(0);
    assert_true(nonce_file_load(path, &made, NULL));
    umask(mask);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0600);
    assert_true(nonce_file_load(path, &read, NULL));
    assert_memory_equal(&made, &read, sizeof made);
    unlink(path);
    assert_true(nonce_file_load(path, &read, NULL));
    assert_memory_not_equal(&made, &read, sizeof made);
    unlink(path);

    struct err err;
    assert_int_equal(mkfifo(path, 0600), 0);
    alarm(10); /* it is not waited for */
    assert_false(nonce_file_load(path, &read, &err));
    alarm(0);
    assert_int_equal(err.kind, ERR_INVALID);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_a_nonce_or_an_error),
        cmocka_unit_test(a_missing_file_is_created_and_read_again),
    };
    return cmocka_run_group_tests_name("nonce_file", tests, NULL, NULL);
}
