/* SPDX-License-Identifier: MIT
 *
 * No socket can be had any more while an address is limited: this machine must not call its
 * ports LIMITED for that reason.
 */
#include "limited_lab.h"

#include <sys/resource.h>

/* In the first row, ports and controls are asked. In the second, a ban has lasted for so
 * long that only controls leave, the next one within three seconds. */
static const struct {
    const char *rules;
    int64_t after_ms, deadline_ms;
} rows[] = {
    {SYNS "limit rate over 3/second burst 9 packets drop", 3000, 5500},
    {BAN, 5000, 9500},
};

static void exhaust_descriptors(struct timer *timer)
{
    (void)timer;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* No socket could be opened in the last seconds: that the rest is unknown is our doing. */
static void without_descriptors_it_is_a_fault(size_t row)
{
    need_lab();
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    open_ports(FIRST, 40);
    assert_true(firewall(rows[row].rules));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 40, rows[row].deadline_ms);
    rig_after(rig, rows[row].after_ms, exhaust_descriptors);
    rig_run(rig);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_fault(check, "could not open a connection");
    rig_free(rig);
}

static void no_descriptors_while_limited_are_a_fault(void **state)
{
    (void)state;
    without_descriptors_it_is_a_fault(0);
}

static void also_if_only_controls_are_to_leave(void **state)
{
    (void)state;
    without_descriptors_it_is_a_fault(1);
}

static void take_all_quota(struct timer *timer)
{
    struct rig *rig = rig_of(timer);
    rig->limit.max = 0; /* others hold it */
}

/* Nothing can be sent any more for want of quota: this checker is too busy. */
static void without_quota_it_is_overload(size_t row)
{
    need_lab();
    open_ports(FIRST, 40);
    assert_true(firewall(rows[row].rules));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 40, rows[row].deadline_ms);
    rig_after(rig, rows[row].after_ms, take_all_quota);
    rig_run(rig);
    assert_int_equal(count_state(check, PORT_STATE_LIMITED), 0);
    assert_int_equal(check->result.end, JOB_OVERLOADED);
    rig_free(rig);
}

static void no_quota_while_limited_is_overload(void **state)
{
    (void)state;
    without_quota_it_is_overload(0);
}

static void so_it_is_if_only_controls_are_to_leave(void **state)
{
    (void)state;
    without_quota_it_is_overload(1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_begin, lab_end)

int main(void)
{
    has_lab = lab_enter() && firewall("") && own_firewall("");
    const struct CMUnitTest tests[] = {
        TEST(no_descriptors_while_limited_are_a_fault),
        TEST(also_if_only_controls_are_to_leave),
        TEST(no_quota_while_limited_is_overload),
        TEST(so_it_is_if_only_controls_are_to_leave),
    };
    return cmocka_run_group_tests_name("engine_limited_short", tests, NULL, NULL);
}
