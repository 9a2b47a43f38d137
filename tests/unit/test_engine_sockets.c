/* SPDX-License-Identifier: MIT
 *
 * Silent ports when there are too few sockets for all of them.
 */
#include "engine_lab.h"

static bool has_lab;

static void need_lab(void)
{
    if (!has_lab)
        skip();
}

static void fifty_silent_ports_are_judged_with_eight_sockets(void **state)
{
    (void)state;
    need_lab();
    uint16_t ports[50];
    count_ports(ports, 50, 20000);
    assert_true(firewall("tcp dport 20000-20049 drop"));
    struct rig *rig = rig_new();
    rig->limit.max = 8;
    struct check *check = rig_check(rig, THERE, ports, 50, 20000);
    rig_run(rig);
    assert_int_equal(check->result.end, JOB_JUDGED);
    assert_int_equal(count_state(check, PORT_STATE_FILTERED), 50);
    assert_in_range(rig->in_flight_max, 1, 8);
    assert_int_equal(rig->faults, 0);
    rig_free(rig);
}

/* Two jobs: the one at the head of the queue has a port to begin and no socket; the ports
 * of the other hold all sockets and queue behind it for one more. */
static void ports_that_hold_all_sockets_do_not_wait_for_each_other(void **state)
{
    (void)state;
    need_lab();
    uint16_t ports[40];
    count_ports(ports, 40, 20000);
    assert_true(firewall("tcp dport 20000-20039 drop"));
    struct rig *rig = rig_new();
    rig->limit.max = 3;
    struct check *checks[4];
    for (int i = 0; i < 4; i++)
        checks[i] = rig_check(rig, THERE, ports + 10 * i, 10, 25000);
    rig_run(rig);
    for (int i = 0; i < 4; i++)
        assert_int_equal(count_state(checks[i], PORT_STATE_FILTERED), 10);
    rig_free(rig);
}

static struct check *late_check;

static void start_late_check(struct timer *timer)
{
    struct rig *rig = (void *)((char *)timer - offsetof(struct rig, extra));
    late_check = rig_check_one(rig, THERE, 998);
}

/* Soon after the silent ports have as many sockets as they may. */
static void start_soon(struct rig *rig)
{
    if (rig->in_flight_max < 6)
        return;
    rig->on_attempt = NULL;
    timer_init(&rig->extra, start_late_check);
    assert_true(
        loop_timer_set(rig->loop, &rig->extra, instant_add(clock_now(), span_ms(700))));
}

/* Further attempts leave a quarter of the sockets to ports that have none. */
static void silent_ports_leave_sockets_to_others(void **state)
{
    (void)state;
    need_lab();
    uint16_t ports[4];
    count_ports(ports, 4, 20000);
    assert_true(firewall("tcp dport 20000-20003 drop"));
    struct rig *rig = rig_with_ms(5000);
    rig->limit.max = 8;
    struct check *silent = rig_check(rig, THERE, ports, 4, 20000);
    rig->on_attempt = start_soon;
    rig_run(rig);
    assert_int_equal(count_state(silent, PORT_STATE_FILTERED), 4);
    assert_state(late_check, 0, PORT_STATE_CLOSED);
    assert_true(instant_before(late_check->done_at, silent->done_at));
    assert_in_range(rig->in_flight_max, 6, 7);
    rig_free(rig);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    has_lab = lab_enter() && firewall("");
    const struct CMUnitTest tests[] = {
        TEST(fifty_silent_ports_are_judged_with_eight_sockets),
        TEST(silent_ports_leave_sockets_to_others),
        TEST(ports_that_hold_all_sockets_do_not_wait_for_each_other),
    };
    return cmocka_run_group_tests_name("engine_sockets", tests, NULL, NULL);
}
