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

static void answer_and_open(void)
{
    host_heard(lab.host, NULL, now());
    host_witnessed(lab.host, 81, true, now());
}

/* --- sessions ----------------------------------------------------------------------- */

static void what_answered_in_an_earlier_session_does_not_count(void **state)
{
    (void)state;
    host_session_begin(lab.host, now());
    assert_false(host_is_answering(lab.host));
    assert_false(host_has_opened(lab.host));
    start_all(1);
    assert_false(host_is_answering(lab.host));
    lab.now_ms++;
    answer(0, false);
    assert_true(host_is_answering(lab.host));
    assert_false(host_has_opened(lab.host));
    host_witnessed(lab.host, 80, false, now());
    assert_false(host_has_opened(lab.host));
    host_witnessed(lab.host, 81, true, now());
    assert_true(host_has_opened(lab.host));
    lab.now_ms += 3600000;
    assert_true(host_is_answering(lab.host)); /* a session has no length */

    lab.now_ms++;
    answer_and_open();
    host_session_begin(lab.host, now()); /* in the very turn of that answer */
    assert_false(host_is_answering(lab.host));
    assert_false(host_has_opened(lab.host));
    assert_true(controls_was_open(&lab.host->controls, 81, now())); /* still a witness */
}

static void an_answered_control_is_no_trial(void **state)
{
    (void)state;
    unsigned trials, losses;
    const struct span sample = span_ms(200);
    host_session_begin(lab.host, now());
    lab.now_ms++;
    start_all(1);
    host_heard(lab.host, &sample, now());
    loss_counts(&lab.host->loss, now(), &trials, &losses);
    assert_int_equal(trials, 0);
    assert_true(lab.host->rtt.is_known);
    assert_true(host_is_answering(lab.host));
    assert_int_equal(lab.host->window_max, HOST_WINDOW_FIRST);
    lab.now_ms += 5000;
    assert_false(host_fell_silent(lab.host, now())); /* it was heard after the SYN */

    answer(0, true);
    loss_counts(&lab.host->loss, now(), &trials, &losses);
    assert_int_equal(trials, 2);
    assert_int_equal(losses, 1);
}

/* --- its limit ---------------------------------------------------------------------- */

static struct limit *limit_on(void)
{
    struct limit *limit = &lab.host->limit;
    host_witnessed(lab.host, 80, true, now());
    limit->is_on = true;
    limit->pace = pace_begin();
    limit->began_at = limit->used_at = limit->heard_at = now();
    return limit;
}

static void a_limit_is_remembered_for_a_minute_without_probes(void **state)
{
    (void)state;
    struct limit *limit = limit_on();
    for (int i = 0; i < 4; i++) { /* each use begins the minute anew */
        lab.now_ms += 59999;
        host_session_begin(lab.host, now());
        assert_true(limit->is_on);
        limit->used_at = now();
    }
    assert_non_null(host_next_witness(lab.host, 0, now()));
    lab.now_ms += 60000;
    host_session_begin(lab.host, now());
    assert_false(limit->is_on);
    assert_null(host_next_witness(lab.host, 0, now()));
}

static void one_that_has_not_answered_for_five_minutes_has_no_limit(void **state)
{
    (void)state;
    struct limit *limit = limit_on();
    lab.now_ms += 299999;
    limit->used_at = now();
    host_session_begin(lab.host, now());
    assert_true(limit->is_on);
    lab.now_ms += 1;
    limit->used_at = now();
    host_session_begin(lab.host, now());
    assert_false(limit->is_on);
}

static void only_witnesses_of_the_session_are_asked(void **state)
{
    (void)state;
    host_witnessed(lab.host, 80, true, now());
    lab.now_ms += 10000;
    host_session_begin(lab.host, now());
    assert_null(host_next_witness(lab.host, 0, now()));
    lab.now_ms += 1;
    host_witnessed(lab.host, 81, true, now());
    assert_int_equal(host_next_witness(lab.host, 0, now())->port, 81);
    host_witnessed(lab.host, 80, true, now()); /* it answers again */
    assert_int_equal(host_next_witness(lab.host, 81, now())->port, 80);
}

/* However long the limit lasts, those that answered shortly before it stay witnesses. */
static void a_limited_address_keeps_its_witnesses(void **state)
{
    (void)state;
    host_witnessed(lab.host, 79, true, now());
    lab.now_ms += 60000;
    limit_on();
    for (int i = 0; i < 10; i++) {
        lab.now_ms += 50000;
        lab.host->limit.used_at = lab.host->limit.heard_at = now();
        host_session_begin(lab.host, now());
        assert_int_equal(host_next_witness(lab.host, 80, now())->port, 80);
    }
}

static void an_answer_tells_what_was_heard(void **state)
{
    (void)state;
    struct limit *limit = limit_on();
    limit->unheard = 4;
    limit->is_held_back = true;
    lab.now_ms += 700;
    host_limit_heard(lab.host, 7, false, now());
    assert_int_equal(limit->heard, 7);
    assert_int_equal(limit->unheard, 0);
    assert_int_equal(limit->heard_at.ns, now().ns);
    assert_false(limit->is_held_back);
    host_limit_heard(lab.host, 5, false, now()); /* a late one takes nothing back */
    assert_int_equal(limit->heard, 7);

    host_limit_missed(lab.host, 9, now());
    assert_int_equal(limit->missed, 9);
    host_limit_missed(lab.host, 8, now());
    assert_int_equal(limit->missed, 9);
    assert_int_equal(limit->heard, 7);
}

static void controls_and_streaks_raise_the_pace(void **state)
{
    (void)state;
    struct limit *limit = limit_on();
    double rate = limit->pace.rate;
    unsigned number = 0;
    host_limit_heard(lab.host, ++number, true, now());
    assert_true(limit->pace.rate > rate);

    /* The control began the streak. */
    rate = limit->pace.rate;
    for (int i = 0; i < HOST_STREAK - 2; i++)
        host_limit_heard(lab.host, ++number, false, now());
    assert_true(limit->pace.rate <= rate);
    host_limit_heard(lab.host, ++number, false, now());
    assert_true(limit->pace.rate > rate);

    /* It begins anew after that, and after a SYN that was not answered. */
    rate = limit->pace.rate;
    for (int i = 0; i < HOST_STREAK - 1; i++)
        host_limit_heard(lab.host, ++number, false, now());
    number++;
    for (int i = 0; i < HOST_STREAK - 1; i++)
        host_limit_heard(lab.host, ++number, false, now());
    assert_true(limit->pace.rate <= rate);
    host_limit_heard(lab.host, ++number, false, now());
    assert_true(limit->pace.rate > rate);
}

static void a_missed_control_counts_the_silence_from_the_last_answer(void **state)
{
    (void)state;
    struct limit *limit = limit_on();
    for (unsigned i = 1; i <= 4; i++) {
        lab.now_ms += 600;
        host_limit_missed(lab.host, i, now());
        assert_false(pace_is_waiting(&limit->pace)); /* 2.4 seconds */
    }
    lab.now_ms += 100;
    host_limit_missed(lab.host, 5, now());
    assert_true(pace_is_waiting(&limit->pace));
    host_limit_heard(lab.host, 6, false, now());
    assert_false(pace_is_waiting(&limit->pace));
}

/* --- silent ------------------------------------------------------------------------- */

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
        TEST(what_answered_in_an_earlier_session_does_not_count),
        TEST(an_answered_control_is_no_trial),
        TEST(a_limit_is_remembered_for_a_minute_without_probes),
        TEST(one_that_has_not_answered_for_five_minutes_has_no_limit),
        TEST(only_witnesses_of_the_session_are_asked),
        TEST(a_limited_address_keeps_its_witnesses),
        TEST(an_answer_tells_what_was_heard),
        TEST(controls_and_streaks_raise_the_pace),
        TEST(a_missed_control_counts_the_silence_from_the_last_answer),
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
