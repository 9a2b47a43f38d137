/* SPDX-License-Identifier: MIT */
#include "verifier/alternation.h"

#include "addresses.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct address address_at(char letter)
{
    char text[] = "192.0.2.1";
    text[8] = (char)('1' + letter - 'a');
    return address_of(text);
}

static void an_address_has_to_come_back(void **state)
{
    (void)state;
    static const struct {
        const char *rounds; /* one letter an address */
        bool is_there;
    } rows[] = {
        {"", false},           {"a", false},       {"aaaa", false},      {"ab", false},
        {"aabb", false},       {"aba", true},      {"abba", true},       {"abc", false},
        {"abcb", true},        {"abaaaaaa", true}, {"abaaaaaaa", false}, /* eight rounds at
                                                                            one address */
        {"ababbbbbbb", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct alternation alternation = {0};
        for (const char *round = rows[i].rounds; *round; round++) {
            struct address address = address_at(*round);
            alternation_note(&alternation, &address);
            assert_true(alternation_has(&alternation, &address));
        }
        if (alternation_is_there(&alternation) != rows[i].is_there)
            print_error("%s\n", rows[i].rounds);
        assert_int_equal(alternation_is_there(&alternation), rows[i].is_there);
    }
}

static void old_rounds_are_forgotten(void **state)
{
    (void)state;
    struct alternation alternation = {0};
    struct address old = address_at('a');
    struct address address = address_at('b');
    alternation_note(&alternation, &old);
    for (size_t i = 0; i < ALTERNATION_ROUNDS; i++)
        alternation_note(&alternation, &address);
    assert_false(alternation_has(&alternation, &old));
    assert_true(alternation_has(&alternation, &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_has_to_come_back),
        cmocka_unit_test(old_rounds_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
