/* SPDX-License-Identifier: MIT
 *
 * Several jobs at a limited address, one after the other and at the same time; few sockets.
 */
#include "limited_lab.h"
#include "probe/pace.h"

static void with_two_sockets_a_limit_is_found_out_all_the_same(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 20);
    assert_true(firewall(SYNS "limit rate over 5/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    rig->limit.max = 2;
    struct check *check = rig_check(rig, THERE, ports, 20, 9000);
    rig_run(rig);
    assert_int_equal(count_state(check, PORT_STATE_FILTERED), 0);
    assert_int_equal(count_state(check, PORT_STATE_CLOSED), 0);
    assert_true(count_state(check, PORT_STATE_OPEN) >= 5);
    assert_in_range(rig->in_flight_max, 1, 2);
    rig_free(rig);
}

static void jobs_at_a_limited_address_take_turns(void **state)
{
    (void)state;
    need_lab();
    enum { JOBS = 5, EACH = 12 };
    open_ports(FIRST, JOBS * EACH);
    assert_true(firewall(SYNS "limit rate over 10/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    struct check *checks[JOBS];
    for (size_t i = 0; i < JOBS; i++)
        checks[i] = rig_check(rig, THERE, ports + EACH * i, EACH, 8000);
    rig_run(rig);
    for (size_t i = 0; i < JOBS; i++) {
        assert_open_or_limited(checks[i], ETIMEDOUT);
        for (size_t n = 0; n < 4; n++)
            assert_state(checks[i], n, PORT_STATE_OPEN);
    }
    rig_free(rig);
}

static void assert_first_were_asked(const struct check *check)
{
    for (size_t i = 0; i < 4; i++)
        assert_true(check->verdicts[i].state == PORT_STATE_OPEN ||
                    check->verdicts[i].duration.ns > 0);
}

static struct check *joined;

static void join(struct timer *timer)
{
    struct rig *rig = rig_of(timer);
    joined = rig_check(rig, THERE, ports + 100, 30, 5000);
}

/* It does not find out again what is known: all it sends is paced. */
static void a_job_that_joins_is_limited_from_the_start(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 130);
    assert_true(firewall(COUNT_SYNS SYNS "limit rate over 4/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 40, 8000);
    rig_after(rig, 3000, join);
    rig_run(rig);
    assert_open_or_limited(check, ETIMEDOUT);
    assert_open_or_limited(joined, ETIMEDOUT);
    assert_int_equal(joined->result.limit.answered, 0);
    assert_first_were_asked(joined);
    rig_free(rig);
}

/* From one attempt to the next, by the loop's clock: 0 in the same turn. */
static struct instant attempted_at;
static int64_t gap_least;

static void note_gap(struct rig *rig)
{
    int64_t gap = instant_since(loop_now(rig->loop), attempted_at).ns;
    if (attempted_at.ns != 0 && gap < gap_least)
        gap_least = gap;
    attempted_at = loop_now(rig->loop);
}

static long syns_before;
static int sent_before;

static void check_again(struct rig *rig)
{
    assert_int_equal(gap_least, 0); /* no limit was known */
    gap_least = INT64_MAX;
    rig->delays = 0;
    rig->delay_max = (struct span){0};
    syns_before = syns_there();
    sent_before = rig->attempted + rig->controls;
    joined = rig_check(rig, THERE, ports + 100, 30, 4000);
    rig_tick_set(rig); /* this function itself is no delay */
}

static void so_is_one_that_follows_it(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 130);
    assert_true(firewall(COUNT_SYNS SYNS "limit rate over 4/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 40, 5000);
    attempted_at = (struct instant){0};
    gap_least = INT64_MAX;
    rig->on_attempt = note_gap;
    rig->on_idle = check_again;
    rig_watch_delays(rig);
    rig_run(rig);
    assert_true(count_state(check, PORT_STATE_LIMITED) > 0);
    assert_open_or_limited(joined, ETIMEDOUT);
    assert_first_were_asked(joined);

    /* Paced: at the highest pace there is, a SYN follows the one before after half of the
     * gap, from the first one on. */
    int sent = rig->attempted + rig->controls - sent_before;
    assert_true(sent >= 5);
    assert_true(gap_least >= (int64_t)(NS_PER_SECOND / PACE_FREE / 2));

    /* No SYN twice: the kernel's repetitions would use up what the limit allows. It repeats
     * after a second what is to be closed after 950 ms, so only where this program was late
     * by 50 ms: at most one SYN, and one more for each 50 ms. The result of the last
     * controls may not be known yet. */
    long repeated = syns_there() - syns_before - sent;
    long late = rig->delays * (1 + rig->delay_max.ns / (50 * NS_PER_MS));
    assert_in_range(repeated, 0, 2 + late);
    rig_free(rig);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_begin, lab_end)

int main(void)
{
    has_lab = lab_enter() && firewall("") && own_firewall("");
    const struct CMUnitTest tests[] = {
        TEST(with_two_sockets_a_limit_is_found_out_all_the_same),
        TEST(jobs_at_a_limited_address_take_turns),
        TEST(a_job_that_joins_is_limited_from_the_start),
        TEST(so_is_one_that_follows_it),
    };
    return cmocka_run_group_tests_name("engine_limited_jobs", tests, NULL, NULL);
}
