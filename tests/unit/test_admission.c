/* SPDX-License-Identifier: MIT */
#include "policy/admission.h"

#include "addresses.h"
#include "base/err.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct admission *admission_of(size_t connections_max, size_t per_caller_max)
{
    struct admission *admission;
    assert_true(admission_new(connections_max, per_caller_max, &admission, NULL));
    return admission;
}

/* One step: which caller enters or leaves, and the expected answer. */
struct step {
    char move; /* + enters, - leaves, u enters without a caller limit, d is its leaving */
    const char *peer;
    enum admission_answer answer;
};

static void the_limits_hold(void **state)
{
    (void)state;
    /* 5 in all, 2 per caller */
    static const struct step steps[] = {
        {'+', "192.0.2.1", ADMISSION_GRANTED},
        {'+', "192.0.2.1", ADMISSION_GRANTED},
        {'+', "192.0.2.1", ADMISSION_CALLER_FULL},
        {'+', "::ffff:192.0.2.1", ADMISSION_CALLER_FULL},   /* the same, mapped */
        {'+', "64:ff9b::192.0.2.1", ADMISSION_CALLER_FULL}, /* by NAT64 */
        {'+', "2002:c000:201::1", ADMISSION_CALLER_FULL},   /* by 6to4 */
        {'+', "192.0.2.2", ADMISSION_GRANTED},
        {'+', "2001:db8:1:2::1", ADMISSION_GRANTED},
        {'+', "2001:db8:1:2:ffff::9", ADMISSION_GRANTED}, /* same /64 */
        {'+', "2001:db8:1:2::3", ADMISSION_FULL},
        {'u', "192.0.2.9", ADMISSION_FULL}, /* a proxy counts towards the total */
        {'-', "192.0.2.2", ADMISSION_GRANTED},
        {'+', "2001:db8:1:2::3", ADMISSION_CALLER_FULL},
        {'+', "2001:db8:1:3::3", ADMISSION_GRANTED}, /* next /64 */
        {'-', "::ffff:192.0.2.1", ADMISSION_GRANTED},
        {'-', "192.0.2.1", ADMISSION_GRANTED},
        {'u', "192.0.2.1", ADMISSION_GRANTED},
        {'u', "192.0.2.1", ADMISSION_GRANTED},
        {'d', "192.0.2.1", ADMISSION_GRANTED},
        {'+', "192.0.2.1",
         ADMISSION_GRANTED}, /* the unlimited connection did not count for this caller */
    };
    struct admission *admission = admission_of(5, 2);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct address peer = address_of(steps[i].peer);
        bool is_unlimited = steps[i].move == 'u' || steps[i].move == 'd';
        if (steps[i].move == '-' || steps[i].move == 'd')
            admission_leave(admission, &peer, is_unlimited);
        else if (admission_enter(admission, &peer, is_unlimited) != steps[i].answer)
            fail_msg("step %zu: %c %s", i, steps[i].move, steps[i].peer);
    }
    assert_int_equal(admission_connections(admission), 5);
    admission_free(admission);
}

static struct address caller(uint32_t i)
{
    char text[ADDRESS_TEXT_SIZE];
    snprintf(text, sizeof text, "10.%u.%u.%u", i >> 16 & 255, i >> 8 & 255, i & 255);
    return address_of(text);
}

/* A table at its limit still finds every caller, whichever left before. */
static void a_full_table_forgets_no_caller(void **state)
{
    (void)state;
    enum { CALLERS = 4096 };
    struct admission *admission = admission_of(CALLERS, 1);
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < CALLERS; i++) {
            struct address peer = caller(i);
            enum admission_answer answer = admission_enter(admission, &peer, false);
            assert_int_equal(answer, ADMISSION_GRANTED);
        }
        for (uint32_t i = 0; i < CALLERS; i += 3) {
            struct address peer = caller(i);
            admission_leave(admission, &peer, false);
        }
        for (uint32_t i = 0; i < CALLERS; i++) {
            struct address peer = caller(i);
            enum admission_answer answer = admission_enter(admission, &peer, false);
            assert_int_equal(answer,
                             i % 3 == 0 ? ADMISSION_GRANTED : ADMISSION_CALLER_FULL);
            admission_leave(admission, &peer, false);
        }
        assert_int_equal(admission_connections(admission), 0);
    }
    admission_free(admission);
}

static void *come_and_go(void *ctx)
{
    struct admission *admission = ctx;
    for (uint32_t i = 0; i < 50000; i++) {
        struct address peer = caller(i % 7);
        if (admission_enter(admission, &peer, false) == ADMISSION_GRANTED)
            admission_leave(admission, &peer, false);
    }
    return NULL;
}

static void threads_share_it(void **state)
{
    (void)state;
    struct admission *admission = admission_of(8, 2);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, admission), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(admission_connections(admission), 0);
    struct address peer = caller(1);
    assert_int_equal(admission_enter(admission, &peer, false), ADMISSION_GRANTED);
    admission_free(admission);
}

static void limits_of_zero_are_refused(void **state)
{
    (void)state;
    struct admission *admission = NULL;
    struct err err;
    assert_false(admission_new(0, 1, &admission, &err));
    assert_int_equal(err.kind, ERR_INVALID);
    assert_false(admission_new(1, 0, &admission, &err));
    assert_null(admission);
    assert_null(admission_free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_limits_hold),
        cmocka_unit_test(a_full_table_forgets_no_caller),
        cmocka_unit_test(threads_share_it),
        cmocka_unit_test(limits_of_zero_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
