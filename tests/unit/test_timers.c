/* SPDX-License-Identifier: MIT */
#include "loop/timers.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define ROOM 64

/* A timer that records its name when it fires, and may then do something else. */
struct named {
    struct timer timer; /* first */
    char name;
    void (*then)(struct named *self);
};

static struct {
    struct timers timers;
    struct named named[ROOM];
    char fired[256];
    struct instant then_at; /* what `then` functions set timers to */
} lab;

static struct instant at(int64_t ns)
{
    return (struct instant){ns};
}

static void note(struct timer *timer)
{
    struct named *named = (struct named *)timer;
    size_t len = strlen(lab.fired);
    assert_true(len + 1 < sizeof lab.fired);
    assert_false(timer_is_set(timer));
    lab.fired[len] = named->name;
    lab.fired[len + 1] = '\0';
    if (named->then)
        named->then(named);
}

static int lab_begin(void **state)
{
    (void)state;
    memset(&lab, 0, sizeof lab);
    timers_init(&lab.timers);
    for (int i = 0; i < ROOM; i++) {
        timer_init(&lab.named[i].timer, note);
        lab.named[i].name = (char)('a' + i);
    }
    return timers_reserve(&lab.timers, ROOM) ? 0 : -1;
}

static int lab_end(void **state)
{
    (void)state;
    timers_done(&lab.timers);
    return 0;
}

static struct timer *timer_of(char name)
{
    return &lab.named[name - 'a'].timer;
}

static void set(char name, int64_t ns)
{
    timers_set(&lab.timers, timer_of(name), at(ns));
}

static void fire(int64_t now, const char *expected)
{
    lab.fired[0] = '\0';
    timers_fire(&lab.timers, at(now));
    assert_string_equal(lab.fired, expected);
}

static void they_fire_in_the_order_of_their_deadlines(void **state)
{
    (void)state;
    set('a', 30);
    set('b', 10);
    set('c', 20);
    set('d', -5);
    fire(40, "dbca");
}

static void at_the_same_deadline_who_was_set_first_fires_first(void **state)
{
    (void)state;
    for (char name = 'a'; name <= 'j'; name++)
        set(name, 7);
    fire(7, "abcdefghij");
}

static void a_timer_that_is_set_again_goes_behind_its_equals(void **state)
{
    (void)state;
    set('a', 7);
    set('b', 7);
    set('a', 7);
    fire(7, "ba");
}

static void one_fires_at_its_deadline_not_before_and_once(void **state)
{
    (void)state;
    set('a', 10);
    fire(9, "");
    fire(10, "a");
    fire(11, "");
}

static void the_next_deadline_is_the_earliest(void **state)
{
    (void)state;
    struct instant next = {77};
    assert_false(timers_next(&lab.timers, &next));
    assert_int_equal(next.ns, 77);

    set('a', 30);
    set('b', 10);
    assert_true(timers_next(&lab.timers, &next));
    assert_int_equal(next.ns, 10);
    timers_stop(&lab.timers, timer_of('b'));
    assert_true(timers_next(&lab.timers, &next));
    assert_int_equal(next.ns, 30);
}

static void one_can_be_moved_both_ways(void **state)
{
    (void)state;
    set('a', 10);
    set('b', 20);
    set('c', 30);
    set('a', 40);
    set('c', 5);
    fire(50, "cba");
}

static void a_stopped_one_does_not_fire_and_may_be_stopped_twice(void **state)
{
    (void)state;
    set('a', 10);
    set('b', 20);
    timers_stop(&lab.timers, timer_of('a'));
    timers_stop(&lab.timers, timer_of('a'));
    assert_false(timer_is_set(timer_of('a')));
    fire(50, "b");
}

static void stop_b_and_z(struct named *self)
{
    (void)self;
    timers_stop(&lab.timers, timer_of('b'));
    timers_stop(&lab.timers, timer_of('z'));
}

static void one_that_fires_may_stop_another_that_is_due(void **state)
{
    (void)state;
    lab.named[0].then = stop_b_and_z;
    set('a', 10);
    set('b', 10);
    set('c', 10);
    set('z', 10);
    fire(10, "ac");
}

static void set_self(struct named *self)
{
    timers_set(&lab.timers, &self->timer, lab.then_at);
}

static void one_that_sets_itself_waits_for_the_next_call(void **state)
{
    (void)state;
    lab.named[0].then = set_self;
    lab.then_at = at(10);
    set('a', 10);
    fire(10, "a");
    fire(10, "a");
}

static void
one_that_sets_itself_into_the_past_does_not_hold_up_those_that_are_due(void **state)
{
    (void)state;
    lab.named[0].then = set_self;
    lab.then_at = at(1);
    set('a', 10);
    set('b', 20);
    set('c', 30);
    fire(30, "abc");
    fire(30, "a");
}

static void move_c_to_then(struct named *self)
{
    (void)self;
    timers_set(&lab.timers, timer_of('c'), lab.then_at);
}

static void one_that_is_moved_while_others_fire_waits_for_the_next_call(void **state)
{
    (void)state;
    lab.named[0].then = move_c_to_then;
    lab.then_at = at(5);
    set('a', 10);
    set('b', 20);
    set('c', 15);
    fire(30, "ab");
    fire(30, "c");
}

static void the_room_grows_and_keeps_what_is_set(void **state)
{
    (void)state;
    struct timers timers;
    struct named *many = calloc(5000, sizeof *many);
    assert_non_null(many);
    timers_init(&timers);
    lab.fired[0] = '\0';
    for (int i = 0; i < 5000; i++) {
        assert_true(timers_reserve(&timers, (size_t)i + 1));
        timer_init(&many[i].timer, note);
        timers_set(&timers, &many[i].timer, at(5000 - i));
    }
    struct instant next;
    assert_true(timers_next(&timers, &next));
    assert_int_equal(next.ns, 1);
    assert_false(timers_reserve(&timers, SIZE_MAX));

    timers_done(&timers);
    for (int i = 0; i < 5000; i++)
        assert_false(timer_is_set(&many[i].timer));
    free(many);
}

/* --- against a model that keeps an unordered table --------------------------------- */

static struct {
    bool is_set;
    int64_t deadline;
    unsigned order;
} model[ROOM];

static int model_first(int64_t now)
{
    int first = -1;
    for (int i = 0; i < ROOM; i++) {
        if (!model[i].is_set || model[i].deadline > now)
            continue;
        if (first < 0 || model[i].deadline < model[first].deadline ||
            (model[i].deadline == model[first].deadline &&
             model[i].order < model[first].order))
            first = i;
    }
    return first;
}

static void model_fire(int64_t now, char expected[ROOM + 1])
{
    int count = 0;
    for (int i; (i = model_first(now)) >= 0; count++) {
        model[i].is_set = false;
        expected[count] = lab.named[i].name;
    }
    expected[count] = '\0';
}

static void random_operations_agree_with_a_naive_model(void **state)
{
    (void)state;
    unsigned seed = 20240607, order = 0;
    int64_t now = 0;
    memset(model, 0, sizeof model);

    for (int step = 0; step < 200000; step++) {
        unsigned i = (unsigned)rand_r(&seed) % ROOM;
        unsigned what = (unsigned)rand_r(&seed) % 16;
        if (what < 9) {
            model[i].is_set = true;
            model[i].deadline = now + rand_r(&seed) % 50;
            model[i].order = order++;
            timers_set(&lab.timers, &lab.named[i].timer, at(model[i].deadline));
        } else if (what < 14) {
            model[i].is_set = false;
            timers_stop(&lab.timers, &lab.named[i].timer);
        } else {
            char expected[ROOM + 1];
            now += rand_r(&seed) % 10;
            model_fire(now, expected);
            fire(now, expected);
        }
        assert_int_equal(timer_is_set(&lab.named[i].timer), model[i].is_set);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_begin, lab_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(they_fire_in_the_order_of_their_deadlines),
        TEST(at_the_same_deadline_who_was_set_first_fires_first),
        TEST(a_timer_that_is_set_again_goes_behind_its_equals),
        TEST(one_fires_at_its_deadline_not_before_and_once),
        TEST(the_next_deadline_is_the_earliest),
        TEST(one_can_be_moved_both_ways),
        TEST(a_stopped_one_does_not_fire_and_may_be_stopped_twice),
        TEST(one_that_fires_may_stop_another_that_is_due),
        TEST(one_that_sets_itself_waits_for_the_next_call),
        TEST(one_that_sets_itself_into_the_past_does_not_hold_up_those_that_are_due),
        TEST(one_that_is_moved_while_others_fire_waits_for_the_next_call),
        TEST(the_room_grows_and_keeps_what_is_set),
        TEST(random_operations_agree_with_a_naive_model),
    };
    return cmocka_run_group_tests_name("timers", tests, NULL, NULL);
}
