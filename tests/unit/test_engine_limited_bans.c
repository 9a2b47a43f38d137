/* SPDX-License-Identifier: MIT
 *
 * Addresses that answer some ports and then nothing: bans and outages.
 */
#include "limited_lab.h"

static int attempted_then;

static void count_them(struct timer *timer)
{
    attempted_then = rig_of(timer)->attempted;
}

static void a_ban_is_no_verdict_and_is_not_prolonged(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 40);
    assert_true(firewall(COUNT_SYNS SYNS "limit rate over 1/hour burst 9 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 40, 9500);
    rig_after(rig, 6500, count_them);
    rig_run(rig);
    /* Since then only controls left; not five SYNs, two a second. */
    assert_in_range(rig->attempted, attempted_then, attempted_then + 2);
    assert_open_or_limited(check, ETIMEDOUT);
    assert_in_range(count_state(check, PORT_STATE_OPEN), 4, 10);
    for (size_t i = 0; i < 4; i++)
        assert_state(check, i, PORT_STATE_OPEN);
    assert_true(check->result.limit.rate == 0);
    assert_int_equal(rig->suspected, 0);
    rig_free(rig);
}

static size_t down_after;

static void go_down(struct check *check)
{
    if (check->settled == down_after)
        assert_true(firewall(COUNT_SYNS "tcp flags syn drop"));
}

static void a_host_that_goes_down_in_the_middle_blames_no_port(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 200);
    assert_true(firewall(""));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 200, 6000);
    down_after = 10;
    check->on_settled = go_down;
    rig_run(rig);
    assert_open_or_limited(check, ETIMEDOUT);
    assert_in_range(count_state(check, PORT_STATE_OPEN), 10, 199);
    assert_int_equal(check->result.limit.answered, count_state(check, PORT_STATE_OPEN));
    assert_true(check->result.limit.rate == 0);
    assert_int_equal(rig->suspected, 0);
    rig_free(rig);
}

static void an_outage_blames_no_port(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 102);
    assert_true(firewall(""));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 102, 25000);
    down_after = 50;
    check->on_settled = go_down;
    rig_after(rig, 2500, come_back);
    rig_run(rig);
    assert_open(check);
    rig_free(rig);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_begin, lab_end)

int main(void)
{
    has_lab = lab_enter() && firewall("") && own_firewall("");
    const struct CMUnitTest tests[] = {
        TEST(a_ban_is_no_verdict_and_is_not_prolonged),
        TEST(a_host_that_goes_down_in_the_middle_blames_no_port),
        TEST(an_outage_blames_no_port),
    };
    return cmocka_run_group_tests_name("engine_limited_bans", tests, NULL, NULL);
}
