/* SPDX-License-Identifier: MIT */
#include "probe/host.h"

#include "addresses.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define ENTRIES 1024

static struct {
    struct host_table *table;
    struct host *host;
    struct window_entry entries[ENTRIES];
    size_t started;
    int64_t now_ms;
} lab;

static int lab_begin(void **state)
{
    (void)state;
    memset(&lab, 0, sizeof lab);
    struct address address = address_of("192.0.2.1");
    if (!host_table_new(8, &lab.table, NULL))
        return -1;
    lab.host = host_table_get(lab.table, &address);
    lab.now_ms = 100000;
    return lab.host ? 0 : -1;
}

static int lab_end(void **state)
{
    (void)state;
    host_table_free(lab.table);
    return 0;
}

static struct instant now(void)
{
    return (struct instant){lab.now_ms * NS_PER_MS};
}

static bool may_start(int64_t *ret_until_ms)
{
    struct instant until = {-1};
    bool may = host_may_start(lab.host, now(), &until);
    if (!may)
        *ret_until_ms = until.ns / NS_PER_MS;
    return may;
}

/* Starts as many as may start now, but at most `most`. */
static size_t start_all(size_t most)
{
    size_t count = 0;
    int64_t until;
    for (; count < most && lab.started < ENTRIES && may_start(&until); count++)
        host_started(lab.host, &lab.entries[lab.started++], true, now());
    return count;
}

static void answer(size_t index, bool was_repeated)
{
    host_ended(lab.host, &lab.entries[index]);
    host_answered(lab.host, NULL, was_repeated ? 2 : 1, was_repeated ? 1 : 0, now());
}

/* --- the window --------------------------------------------------------------------- */

static void the_first_window_is_128(void **state)
{
    (void)state;
    int64_t until = 0;
    assert_int_equal(start_all(ENTRIES), HOST_WINDOW_FIRST);
    assert_false(may_start(&until));
    assert_int_equal(until, lab.now_ms + 300);
    assert_int_equal(lab.host->unanswered, HOST_WINDOW_FIRST);
}

static void an_answer_makes_room_and_widens_the_window_up_to_256(void **state)
{
    (void)state;
    start_all(ENTRIES);
    answer(0, false);
    assert_int_equal(start_all(ENTRIES), 2);
    for (size_t i = 1; i < 128; i++)
        answer(i, false);
    start_all(ENTRIES);
    assert_int_equal(lab.host->window_max, 256);
    assert_int_equal(lab.host->in_window, 256);
    answer(200, false);
    assert_int_equal(lab.host->window_max, 256);
}

static void silence_leaves_the_window_when_an_answer_is_overdue(void **state)
{
    (void)state;
    start_all(100);
    lab.now_ms += 50;
    assert_int_equal(start_all(ENTRIES), 28);
    lab.now_ms += 249;
    assert_int_equal(start_all(ENTRIES), 0);
    lab.now_ms += 1;
    assert_int_equal(start_all(ENTRIES), 100);
    assert_int_equal(lab.host->in_window, 128);
    assert_int_equal(lab.host->unanswered, 228);
}

static void a_slow_address_is_given_longer(void **state)
{
    (void)state;
    int64_t until = 0;
    const struct span slow = span_ms(200); /* 200 + 4 * 100 */
    host_answered(lab.host, &slow, 1, 0, now());
    start_all(ENTRIES);
    assert_false(may_start(&until));
    assert_int_equal(until, lab.now_ms + 600);
}

static void an_answer_to_a_repeated_syn_halves_the_window_once_a_round_trip(void **state)
{
    (void)state;
    start_all(ENTRIES);
    answer(0, true);
    assert_int_equal(lab.host->window_max, 64);
    answer(1, true);
    assert_int_equal(lab.host->window_max, 64);
    lab.now_ms += 300;
    answer(2, true);
    assert_int_equal(lab.host->window_max, 32);
    lab.now_ms += 300;
    answer(3, true);
    assert_int_equal(lab.host->window_max, HOST_WINDOW_MIN);
}

static void one_that_left_the_window_and_then_ends_is_not_counted_twice(void **state)
{
    (void)state;
    start_all(ENTRIES);
    lab.now_ms += 300;
    int64_t until;
    assert_true(may_start(&until));
    assert_int_equal(lab.host->in_window, 0);
    for (size_t i = 0; i < 128; i++)
        host_ended(lab.host, &lab.entries[i]);
    assert_int_equal(lab.host->in_window, 0);
    assert_int_equal(lab.host->unanswered, 0);
}

/* --- the pace ----------------------------------------------------------------------- */

/* 128 silent attempts that have left the window. */
static void let_some_be_silent(void)
{
    start_all(ENTRIES);
    lab.now_ms += 300;
}

static bool resets(int count)
{
    bool has_begun = false;
    for (int i = 0; i < count; i++)
        has_begun |= host_reset(lab.host, now());
    return has_begun;
}

static void many_resets_beside_silence_set_the_pace(void **state)
{
    (void)state;
    let_some_be_silent();
    assert_false(resets(149));
    assert_true(resets(1));
    assert_false(resets(50)); /* told once */

    size_t count = 0;
    for (int ms = 0; ms < 1000; ms++, lab.now_ms++)
        count += start_all(ENTRIES);
    assert_in_range(count, 140, 151); /* one each 6.7 ms, asked for each ms */
}

static void resets_without_silence_do_not(void **state)
{
    (void)state;
    start_all(100);
    assert_false(resets(1000));
    assert_int_equal(start_all(ENTRIES), 28);
}

static void resets_that_come_slowly_do_not(void **state)
{
    (void)state;
    let_some_be_silent();
    for (int i = 0; i < 10; i++, lab.now_ms += 1000)
        assert_false(resets(149));
}

static void the_pace_ends_ten_seconds_after_the_last_reset(void **state)
{
    (void)state;
    let_some_be_silent();
    assert_true(resets(150));
    lab.now_ms += 9000;
    assert_false(resets(1));
    lab.now_ms += 9999;
    assert_int_equal(start_all(ENTRIES), 1);
    lab.now_ms += 1;
    assert_int_equal(start_all(ENTRIES), 127);
}

static void a_paced_address_says_when_to_come_again(void **state)
{
    (void)state;
    int64_t until = 0;
    let_some_be_silent();
    assert_true(resets(150));
    assert_int_equal(start_all(ENTRIES), 1);
    assert_false(may_start(&until));
    assert_int_equal(until, lab.now_ms + 6); /* a 150th of a second, cut to whole ms */
}

/* --- alive, silent ------------------------------------------------------------------ */

static void an_address_is_answering_for_ten_seconds(void **state)
{
    (void)state;
    assert_false(host_is_answering(lab.host, now()));
    start_all(1);
    assert_false(host_is_answering(lab.host, now()));
    answer(0, false);
    assert_true(host_is_answering(lab.host, now()));
    lab.now_ms += 9999;
    assert_true(host_is_answering(lab.host, now()));
    lab.now_ms += 1;
    assert_false(host_is_answering(lab.host, now()));
}

static void one_that_answered_and_does_not_any_more_fell_silent(void **state)
{
    (void)state;
    start_all(1);
    answer(0, false);
    lab.now_ms += 20000;
    assert_false(host_fell_silent(lab.host, now())); /* no port of it is being probed */
    start_all(1);
    lab.now_ms += 1499;
    assert_false(host_fell_silent(lab.host, now()));
    lab.now_ms += 1;
    assert_true(host_fell_silent(lab.host, now()));

    host_ended(lab.host, &lab.entries[1]);
    assert_false(host_fell_silent(lab.host, now()));
    host_started(lab.host, &lab.entries[1], false, now()); /* the same port, again */
    assert_true(host_fell_silent(lab.host, now()));
    lab.now_ms += 60000 - 21500;
    assert_false(host_fell_silent(lab.host, now())); /* it is a minute ago */
}

static void one_that_never_answered_did_not_fall_silent(void **state)
{
    (void)state;
    start_all(1);
    lab.now_ms += 10000;
    assert_false(host_fell_silent(lab.host, now()));
}

static void ports_that_are_silent_while_others_answer_are_filtered(void **state)
{
    (void)state;
    start_all(5);
    lab.now_ms += 2;
    answer(0, false);
    lab.now_ms += 10000;
    host_started(lab.host, &lab.entries[10], false, now());
    assert_false(host_fell_silent(lab.host, now()));

    host_started(lab.host, &lab.entries[11], true, now()); /* a port not asked before */
    lab.now_ms += 1500;
    assert_true(host_fell_silent(lab.host, now()));
    answer(10, false);
    assert_false(host_fell_silent(lab.host, now()));
}

static void a_port_asked_after_a_rest_is_given_its_time(void **state)
{
    (void)state;
    start_all(1);
    answer(0, false);
    start_all(1);
    lab.now_ms += 5000;
    host_ended(lab.host, &lab.entries[1]); /* filtered */
    lab.now_ms += 5000;
    start_all(1);
    assert_false(host_fell_silent(lab.host, now()));
    lab.now_ms += 1500;
    assert_true(host_fell_silent(lab.host, now()));
}

/* --- the table ---------------------------------------------------------------------- */

static struct host *visit(const char *text)
{
    struct address address = address_of(text);
    struct host *host = host_table_get(lab.table, &address);
    assert_non_null(host);
    assert_true(address_equals(&host->address, &address));
    return host;
}

/* Marks the entry, so that it is known again. */
static void visit_and_mark(const char *text, unsigned mark)
{
    struct host *host = visit(text);
    host->window_max = mark;
    host_table_put(lab.table, host);
}

static unsigned mark_of(const char *text)
{
    struct host *host = visit(text);
    unsigned mark = host->window_max;
    host_table_put(lab.table, host);
    return mark;
}

static void addresses_are_told_apart_by_every_byte_and_by_family(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "1.2.3.4", "1.2.3.5", "4.3.2.1", "::102:304", "2001:db8::1", "2001:db8::1:0",
    };
    for (unsigned i = 0; i < 6; i++)
        visit_and_mark(texts[i], 1000 + i);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(mark_of(texts[i]), 1000 + i);
}

static void the_port_of_an_address_does_not_matter(void **state)
{
    (void)state;
    struct address address = address_of("192.0.2.1");
    address_set_port(&address, 80);
    assert_ptr_equal(host_table_get(lab.table, &address), lab.host);
}

static void what_was_learnt_stays_after_the_last_user_has_gone(void **state)
{
    (void)state;
    visit_and_mark("192.0.2.7", 77);
    assert_int_equal(mark_of("192.0.2.7"), 77);
}

static void the_one_unused_for_the_longest_is_forgotten_first(void **state)
{
    (void)state;
    char text[32];
    for (unsigned i = 0; i < 7; i++) { /* with the lab's own the table is full */
        snprintf(text, sizeof text, "10.0.0.%u", i);
        visit_and_mark(text, 1000 + i);
    }
    assert_int_equal(mark_of("10.0.0.0"), 1000);
    visit_and_mark("10.0.0.100", 1100);
    assert_int_equal(mark_of("10.0.0.0"), 1000);
    assert_int_equal(mark_of("10.0.0.100"), 1100);
    assert_int_equal(mark_of("10.0.0.1"), HOST_WINDOW_FIRST); /* was forgotten */
}

static void one_in_use_is_never_forgotten(void **state)
{
    (void)state;
    char text[32];
    lab.host->window_max = 99;
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "10.1.%u.%u", i / 250, i % 250);
        visit_and_mark(text, 1);
    }
    assert_int_equal(mark_of("192.0.2.1"), 99);
}

static void a_table_that_had_to_pass_its_limit_comes_back_to_it(void **state)
{
    (void)state;
    char text[32];
    struct host *held[100];
    for (unsigned i = 0; i < 100; i++) {
        snprintf(text, sizeof text, "10.2.0.%u", i);
        held[i] = visit(text);
        held[i]->window_max = 1;
    }
    for (unsigned i = 0; i < 100; i++)
        host_table_put(lab.table, held[i]);

    visit_and_mark("10.3.0.1", 1);
    unsigned kept = 0;
    for (unsigned i = 0; i < 100; i++) {
        snprintf(text, sizeof text, "10.2.0.%u", 99 - i);
        kept += mark_of(text) == 1;
    }
    assert_in_range(kept, 1, 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_begin, lab_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_window_is_128),
        TEST(an_answer_makes_room_and_widens_the_window_up_to_256),
        TEST(silence_leaves_the_window_when_an_answer_is_overdue),
        TEST(a_slow_address_is_given_longer),
        TEST(an_answer_to_a_repeated_syn_halves_the_window_once_a_round_trip),
        TEST(one_that_left_the_window_and_then_ends_is_not_counted_twice),
        TEST(many_resets_beside_silence_set_the_pace),
        TEST(resets_without_silence_do_not),
        TEST(resets_that_come_slowly_do_not),
        TEST(the_pace_ends_ten_seconds_after_the_last_reset),
        TEST(a_paced_address_says_when_to_come_again),
        TEST(an_address_is_answering_for_ten_seconds),
        TEST(one_that_answered_and_does_not_any_more_fell_silent),
        TEST(one_that_never_answered_did_not_fall_silent),
        TEST(ports_that_are_silent_while_others_answer_are_filtered),
        TEST(a_port_asked_after_a_rest_is_given_its_time),
        TEST(addresses_are_told_apart_by_every_byte_and_by_family),
        TEST(the_port_of_an_address_does_not_matter),
        TEST(what_was_learnt_stays_after_the_last_user_has_gone),
        TEST(the_one_unused_for_the_longest_is_forgotten_first),
        TEST(one_in_use_is_never_forgotten),
        TEST(a_table_that_had_to_pass_its_limit_comes_back_to_it),
    };
    return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
