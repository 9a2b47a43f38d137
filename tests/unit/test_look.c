/* SPDX-License-Identifier: MIT */
#include "verifier/look.h"

#include "verdicts.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void only_a_negative_of_a_port_held_here_is_looked_at_again(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct local_port local;
        struct remote_verdict verdict;
        bool is_wanted;
    } rows[] = {
        {"proved", ACCEPTED, MATCH, false},
        {"closed", BOUND, CLOSED, true},
        {"filtered", BOUND, FILTERED, true},
        {"filtered, SYN seen", SYN_SEEN, FILTERED, true},
        {"unreachable", BOUND, UNREACHABLE, true},
        {"limited", BOUND, LIMITED, true},
        {"proof lost", ACCEPTED, SILENT, true},
        {"something else answers", BOUND, SILENT, false},
        {"another port answers", ACCEPTED, OTHER(9), false},
        {"no proofs", ACCEPTED, OPEN, false},
        {"no verdict", BOUND, {.is_unknown = true}, false},
        {"held by a program", IN_USE, FILTERED, false},
        {"not permitted", FORBIDDEN, CLOSED, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (look_is_wanted(&rows[i].local, &rows[i].verdict) != rows[i].is_wanted)
            print_error("%s\n", rows[i].what);
        assert_int_equal(look_is_wanted(&rows[i].local, &rows[i].verdict),
                         rows[i].is_wanted);
    }
}

#define FIRST {{0}, 0, false}
#define SOON  LOOK_PAUSE_MS
#define QUIET (LOOK_QUIET_SECONDS * 1000)

static void when_and_how_many(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct look_past past;
        struct look last;
        size_t waiting;
        int64_t pause_ms;
        size_t size;
        bool is_limited;
    } rows[] = {
        {"half is not forwarded",
         {.ports = 102, .reached = 49, .open = 49},
         FIRST,
         53,
         SOON,
         53,
         false},
        {"nothing answers", {.ports = 102}, FIRST, 102, SOON, LOOK_SAMPLE, false},
        {"and there are few", {.ports = 2}, FIRST, 2, SOON, 2, false},
        {"all are refused", {.ports = 102, .closed = 102}, FIRST, 102, SOON, 102, false},
        {"refused after 20",
         {.ports = 102, .reached = 20, .open = 20, .closed = 82},
         FIRST,
         82,
         SOON,
         20,
         false},
        {"banned after 20",
         {.ports = 102, .reached = 20, .open = 20, .limited = 82, .limit = {true, 20, 0}},
         FIRST,
         82,
         QUIET,
         15,
         true},
        {"banned from the start",
         {.ports = 102, .limited = 102, .limit = {true, 0, 0}},
         FIRST,
         102,
         QUIET,
         LOOK_SAMPLE,
         true},
        {"banned after one",
         {.ports = 9, .reached = 1, .limited = 8, .limit = {true, 1, 0}},
         FIRST,
         8,
         QUIET,
         1,
         true},
        {"slow, but not banned",
         {.ports = 102, .reached = 18, .open = 18, .limited = 84, .limit = {true, 18, 1.0}},
         FIRST,
         84,
         SOON,
         13,
         true},
        {"slow, and refusing",
         {.ports = 102,
          .reached = 6,
          .open = 6,
          .limited = 96,
          .is_refusing = true,
          .limit = {true, 6, 0.2}},
         FIRST,
         96,
         QUIET,
         4,
         true},
        {"slow, and nothing was gained",
         {.ports = 13, .limited = 13, .limit = {true, 4, 1.0}},
         {{SOON}, 13, true},
         84,
         QUIET,
         3,
         true},
        {"a quiet look went well",
         {.ports = 15, .reached = 15, .open = 15},
         {{QUIET * NS_PER_MS}, 15, true},
         67,
         QUIET,
         15,
         true},
        {"the sample answers now",
         {.ports = 4, .reached = 4, .open = 4},
         {{SOON}, 4, false},
         98,
         SOON,
         98,
         false},
        {"some of a look are open now",
         {.ports = 53, .reached = 10, .open = 10},
         {{SOON}, 53, false},
         43,
         SOON,
         10,
         false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct look look = look_plan(&rows[i].past, rows[i].last, rows[i].waiting);
        if (look.size != rows[i].size || look.is_limited != rows[i].is_limited ||
            look.pause.ns != rows[i].pause_ms * NS_PER_MS)
            print_error("%s: %zu\n", rows[i].what, look.size);
        assert_int_equal(look.pause.ns, rows[i].pause_ms * NS_PER_MS);
        assert_int_equal(look.size, rows[i].size);
        assert_int_equal(look.is_limited, rows[i].is_limited);
    }
}

static void verdicts_are_counted(void **state)
{
    (void)state;
    static const struct remote_verdict verdicts[] = {
        MATCH,
        MISMATCH,
        CLOSED,
        FILTERED,
        LIMITED,
        {.is_unknown = true},
        {.state = PORT_STATE_LIMITED, .is_undecided = true}, /* not by the address */
    };
    struct look_past past = {0};
    for (size_t i = 0; i < COUNT(verdicts); i++)
        look_count(&past, &verdicts[i], i == 0);
    assert_int_equal(past.ports, COUNT(verdicts));
    assert_int_equal(past.reached, 1);
    assert_int_equal(past.open, 2);
    assert_int_equal(past.closed, 1);
    assert_int_equal(past.limited, 1);
    assert_false(past.is_refusing);

    const struct remote_verdict refusing = {.state = PORT_STATE_LIMITED,
                                            .words = "Connection refused"};
    look_count(&past, &refusing, false);
    assert_true(past.is_refusing);
}

static void a_look_that_reached_nothing_confirms(void **state)
{
    (void)state;
    const struct look_past silent = {.ports = 4};
    const struct look_past some = {.ports = 4, .reached = 1, .open = 1};
    const struct look_past closed = {.ports = 4, .closed = 4};
    assert_true(look_confirms(&silent));
    assert_true(look_confirms(&closed));
    assert_false(look_confirms(&some));
    assert_true(look_confirms_rest(&silent, &silent));
    assert_false(look_confirms_rest(&silent, &some));
    assert_false(look_confirms_rest(&some, &silent));
    assert_false(look_confirms_rest(&closed, &silent));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_negative_of_a_port_held_here_is_looked_at_again),
        cmocka_unit_test(when_and_how_many),
        cmocka_unit_test(verdicts_are_counted),
        cmocka_unit_test(a_look_that_reached_nothing_confirms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
