/* SPDX-License-Identifier: MIT */
#include "probe/controls.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Milliseconds; the machine has been up for a while. */
static struct instant at(int64_t ms)
{
    return (struct instant){(5000000 + ms) * NS_PER_MS};
}

/* --- witnesses ---------------------------------------------------------------------- */

static struct controls controls;
static int64_t since_ms; /* witnesses count that answered since then */

static int begin(void **state)
{
    (void)state;
    controls = (struct controls){0};
    since_ms = 0;
    return 0;
}

static uint16_t next_witness(uint16_t except, int64_t ms)
{
    const struct witness *witness =
        controls_next_witness(&controls, except, at(since_ms), at(ms));
    return witness ? witness->port : 0;
}

/* Asks, as the engine does. */
static uint16_t ask(uint16_t except, int64_t ms)
{
    struct witness *witness =
        controls_next_witness(&controls, except, at(since_ms), at(ms));
    if (!witness)
        return 0;
    witness->asked_at = at(ms);
    return witness->port;
}

static void an_address_without_answers_has_no_witness(void **state)
{
    (void)state;
    assert_int_equal(next_witness(0, 0), 0);
    assert_false(controls_was_open(&controls, 0, at(0)));
    assert_false(controls_was_open(&controls, 80, at(0)));
}

static void open_ports_are_asked_first_and_in_turn(void **state)
{
    (void)state;
    controls_answered(&controls, 20, false, at(0));
    assert_int_equal(next_witness(0, 1), 20);
    controls_answered(&controls, 30, true, at(1));
    controls_answered(&controls, 31, true, at(2));
    controls_answered(&controls, 32, true, at(3));
    static const uint16_t turns[] = {30, 31, 32, 30, 31, 32, 30};
    for (int i = 0; i < 7; i++)
        assert_int_equal(ask(0, 10 + i), turns[i]);
}

static void the_port_in_question_is_no_witness_unless_it_is_the_only_one(void **state)
{
    (void)state;
    controls_answered(&controls, 30, true, at(0));
    assert_int_equal(next_witness(30, 1), 30);
    controls_answered(&controls, 20, false, at(1));
    assert_int_equal(next_witness(30, 2), 30); /* better than one that refuses */
    controls_answered(&controls, 31, true, at(2));
    for (int i = 0; i < 5; i++)
        assert_int_equal(ask(30, 10 + i), 31);
    for (int i = 0; i < 5; i++)
        assert_int_equal(ask(31, 20 + i), 30);
}

static void a_witness_counts_for_a_minute(void **state)
{
    (void)state;
    controls_answered(&controls, 30, true, at(0));
    assert_int_equal(next_witness(0, 59999), 30);
    assert_true(controls_was_open(&controls, 30, at(59999)));
    assert_int_equal(next_witness(0, 60000), 0);
    assert_false(controls_was_open(&controls, 30, at(60000)));
    controls_answered(&controls, 30, true, at(61000));
    assert_int_equal(next_witness(0, 120999), 30);
}

static void only_those_that_answered_since_then_are_asked(void **state)
{
    (void)state;
    controls_answered(&controls, 30, true, at(0));
    controls_answered(&controls, 31, true, at(10));
    since_ms = 1;
    assert_int_equal(next_witness(0, 20), 31);
    assert_int_equal(next_witness(31, 20), 31);
    since_ms = 10;
    assert_int_equal(next_witness(0, 20), 31);
    since_ms = 11;
    assert_int_equal(next_witness(0, 20), 0);
    assert_true(controls_was_open(&controls, 30, at(20))); /* it was, all the same */
}

static void a_port_that_refuses_is_open_no_more(void **state)
{
    (void)state;
    controls_answered(&controls, 30, true, at(0));
    assert_true(controls_was_open(&controls, 30, at(1)));
    controls_answered(&controls, 30, false, at(1));
    assert_false(controls_was_open(&controls, 30, at(2)));
    assert_int_equal(next_witness(0, 2), 30);
    controls_answered(&controls, 30, true, at(3));
    assert_true(controls_was_open(&controls, 30, at(4)));
}

static void a_port_answers_twice_and_is_one_witness(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        controls_answered(&controls, 30, true, at(i));
    controls_answered(&controls, 31, true, at(100));
    assert_int_equal(ask(0, 200), 30);
    assert_int_equal(ask(0, 201), 31);
    assert_int_equal(ask(0, 202), 30);
}

static size_t count_open(int64_t ms)
{
    size_t count = 0;
    for (unsigned port = 1; port <= UINT16_MAX; port++)
        count += controls_was_open(&controls, (uint16_t)port, at(ms));
    return count;
}

static void the_longest_silent_gives_way(void **state)
{
    (void)state;
    for (int i = 0; i < CONTROLS_WITNESSES; i++)
        controls_answered(&controls, (uint16_t)(100 + i), true, at(i));
    controls_answered(&controls, 100, true, at(50)); /* now 101 is the oldest */
    controls_answered(&controls, 200, true, at(60));
    assert_int_equal(count_open(70), CONTROLS_WITNESSES);
    assert_true(controls_was_open(&controls, 100, at(70)));
    assert_false(controls_was_open(&controls, 101, at(70)));
    assert_true(controls_was_open(&controls, 200, at(70)));
}

static void
one_that_refused_gives_way_to_open_ones_and_never_takes_their_place(void **state)
{
    (void)state;
    for (int i = 0; i < CONTROLS_WITNESSES - 1; i++)
        controls_answered(&controls, (uint16_t)(100 + i), true, at(i));
    controls_answered(&controls, 50, false, at(90)); /* into the last free place */
    controls_answered(&controls, 200, true, at(100));
    assert_int_equal(count_open(110), CONTROLS_WITNESSES);
    controls_answered(&controls, 51, false, at(120));
    assert_int_equal(count_open(130), CONTROLS_WITNESSES);
    for (int i = 0; i < 2 * CONTROLS_WITNESSES; i++)
        assert_in_range(ask(0, 140 + i), 100, 200);
}

/* --- where they go ------------------------------------------------------------------ */

/* xorshift64, as the engine has it. */
static uint64_t random_state = 88172645463325252u;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* A wave of `wave` SYNs: how many controls leave in each of the wave + 1 gaps. */
static unsigned wave_run(struct control_plan *plan, size_t wave, unsigned gaps[])
{
    unsigned sum = 0;
    for (size_t i = 0; i < wave; i++) {
        unsigned before = 99, after = 99;
        control_plan_next(plan, wave, random_next(), &before, &after);
        gaps[i] += before;
        gaps[i + 1] += after;
        sum += before + after;
    }
    return sum;
}

static void each_wave_has_two_controls(void **state)
{
    (void)state;
    for (size_t wave = 1; wave <= 2 * CONTROLS_BLOCK_MAX; wave += wave == 1 ? 1 : 2)
        for (int i = 0; i < 300; i++) {
            struct control_plan plan = {0};
            unsigned gaps[64] = {0};
            assert_int_equal(wave_run(&plan, wave, gaps), CONTROLS_PER_WAVE);
        }
}

/* An odd one leaves a block that goes on in the next wave: never fewer than the share. */
static void an_odd_wave_has_its_share(void **state)
{
    (void)state;
    for (size_t wave = 3; wave < 2 * CONTROLS_BLOCK_MAX; wave += 2) {
        struct control_plan plan = {0};
        unsigned gaps[64] = {0}, sum = 0;
        for (int i = 0; i < 400; i++)
            sum += wave_run(&plan, wave, gaps);
        assert_in_range(sum, 800, 400 * wave / (wave / 2) + 1);
    }
}

static void a_single_syn_has_one_on_either_side(void **state)
{
    (void)state;
    struct control_plan plan = {0};
    for (int i = 0; i < 20; i++) {
        unsigned gaps[2] = {0};
        wave_run(&plan, 1, gaps);
        assert_int_equal(gaps[0], 1);
        assert_int_equal(gaps[1], 1);
    }
}

static void a_large_wave_has_one_in_each_sixteen(void **state)
{
    (void)state;
    struct control_plan plan = {0};
    unsigned gaps[1601] = {0};
    assert_int_equal(wave_run(&plan, 1600, gaps), 100);
    for (size_t from = 0; from < 1600; from += CONTROLS_BLOCK_MAX) {
        unsigned inside = 0;
        for (size_t i = from; i <= from + CONTROLS_BLOCK_MAX; i++)
            inside += gaps[i];
        assert_in_range(inside, 1, 3); /* its own, and its neighbours' at the borders */
    }
}

/* Ten SYNs: two blocks of five, each with six gaps, of which the middle one is common. */
static void the_places_are_equally_likely(void **state)
{
    (void)state;
    enum { RUNS = 12000 };
    unsigned gaps[11] = {0};
    for (int i = 0; i < RUNS; i++) {
        struct control_plan plan = {0};
        wave_run(&plan, 10, gaps);
    }
    for (int i = 0; i < 11; i++) {
        unsigned share = i == 5 ? RUNS / 3 : RUNS / 6;
        assert_in_range(gaps[i], share * 9 / 10, share * 11 / 10); /* > 4.4 sigma */
    }
}

static void both_controls_stay_apart(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        struct control_plan plan = {0};
        unsigned gaps[11] = {0}, first = 0, second = 0;
        wave_run(&plan, 10, gaps);
        for (int gap = 0; gap <= 5; gap++)
            first += gaps[gap];
        for (int gap = 5; gap <= 10; gap++)
            second += gaps[gap];
        assert_true(first >= 1 && second >= 1);
    }
}

/* --- what they told ----------------------------------------------------------------- */

static struct control_tally tally(int64_t since, int64_t now)
{
    return controls_tally(&controls, at(since), at(now));
}

static void assert_tally(struct control_tally got, struct control_tally wanted)
{
    if (memcmp(&got, &wanted, sizeof got) != 0)
        fail_msg("%u pending, %u handshakes, %u answered, %u refused, %u denied, %u missed",
                 got.pending, got.handshakes, got.answered, got.refused, got.denied,
                 got.missed);
}

static void each_result_counts_as_what_it_is(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        enum control_result result;
        struct control_tally tally;
    } rows[] = {
        {CONTROL_PENDING,   {.pending = 1}},
        {CONTROL_HANDSHAKE, {.handshakes = 1, .answered = 1}},
        {CONTROL_AGAIN,     {.answered = 1}},
        {CONTROL_REFUSED,   {.refused = 1}},
        {CONTROL_DENIED,    {.denied = 1}},
        {CONTROL_MISSED,    {.missed = 1}},
        {CONTROL_VOID,      {0}},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        controls = (struct controls){0};
        controls_tell(&controls, controls_sent(&controls, at(0)), rows[i].result);
        assert_tally(tally(0, 1), rows[i].tally);
    }
    controls = (struct controls){0};
    assert_tally(tally(0, 1), (struct control_tally){0});
}

static void a_late_answer_corrects_a_miss(void **state)
{
    (void)state;
    unsigned first = controls_sent(&controls, at(0));
    unsigned second = controls_sent(&controls, at(1));
    controls_tell(&controls, first, CONTROL_MISSED);
    controls_tell(&controls, second, CONTROL_HANDSHAKE);
    assert_tally(tally(0, 300),
                 (struct control_tally){.handshakes = 1, .answered = 1, .missed = 1});
    controls_tell(&controls, first, CONTROL_HANDSHAKE);
    assert_tally(tally(0, 600), (struct control_tally){.handshakes = 2, .answered = 2});
}

static void those_sent_since_count_and_none_older_than_a_minute(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        controls_tell(&controls, controls_sent(&controls, at(10 * i)), CONTROL_MISSED);
    assert_int_equal(tally(0, 40).missed, 4);
    assert_int_equal(tally(1, 40).missed, 3);
    assert_int_equal(tally(30, 40).missed, 1);
    assert_int_equal(tally(31, 40).missed, 0);
    assert_int_equal(tally(0, 60000).missed, 3);
    assert_int_equal(tally(0, 60030).missed, 0);
}

static void the_latest_are_kept(void **state)
{
    (void)state;
    unsigned first = controls_sent(&controls, at(0));
    for (int i = 1; i < CONTROLS_LOGGED; i++)
        controls_tell(&controls, controls_sent(&controls, at(i)), CONTROL_HANDSHAKE);
    assert_int_equal(tally(0, 40).pending, 1);
    controls_tell(&controls, first, CONTROL_MISSED); /* the oldest that is kept */
    assert_int_equal(tally(0, 40).missed, 1);

    unsigned last = controls_sent(&controls, at(CONTROLS_LOGGED));
    controls_tell(&controls, first, CONTROL_REFUSED); /* its place is another's now */
    assert_tally(tally(0, 40), (struct control_tally){.pending = 1,
                                                      .handshakes = CONTROLS_LOGGED - 1,
                                                      .answered = CONTROLS_LOGGED - 1});
    controls_tell(&controls, last, CONTROL_MISSED);
    assert_int_equal(tally(0, 40).missed, 1);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_address_without_answers_has_no_witness),
        TEST(open_ports_are_asked_first_and_in_turn),
        TEST(the_port_in_question_is_no_witness_unless_it_is_the_only_one),
        TEST(a_witness_counts_for_a_minute),
        TEST(only_those_that_answered_since_then_are_asked),
        TEST(a_port_that_refuses_is_open_no_more),
        TEST(a_port_answers_twice_and_is_one_witness),
        TEST(the_longest_silent_gives_way),
        TEST(one_that_refused_gives_way_to_open_ones_and_never_takes_their_place),
        TEST(each_wave_has_two_controls),
        TEST(an_odd_wave_has_its_share),
        TEST(a_single_syn_has_one_on_either_side),
        TEST(a_large_wave_has_one_in_each_sixteen),
        TEST(the_places_are_equally_likely),
        TEST(both_controls_stay_apart),
        TEST(each_result_counts_as_what_it_is),
        TEST(a_late_answer_corrects_a_miss),
        TEST(those_sent_since_count_and_none_older_than_a_minute),
        TEST(the_latest_are_kept),
    };
    return cmocka_run_group_tests_name("controls", tests, NULL, NULL);
}
