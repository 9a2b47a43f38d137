/* SPDX-License-Identifier: MIT
 *
 * Neighbours and gateways that do not answer: the former are unreachable, the latter are
 * this machine's own trouble.
 */
#include "engine_lab.h"

static bool has_lab;

static void need_lab(void)
{
    if (!has_lab)
        skip();
}

static void a_neighbour_that_does_not_answer_is_unreachable(void **state)
{
    (void)state;
    need_lab();
    static const char *const targets[] = {"10.77.0.50", "fd77::50"};
    for (int i = 0; i < 2; i++) {
        struct rig *rig = rig_new();
        rig->config.timeout = span_seconds(5);
        struct check *check = rig_check_one(rig, targets[i], 80);
        rig_run(rig);
        assert_state(check, 0, PORT_STATE_UNREACHABLE);
        assert_int_equal(check->verdicts[0].errnum, EHOSTUNREACH);
        assert_int_equal(rig->faults, 0);
        rig_free(rig);
    }
}

static void a_gateway_that_does_not_answer_is_our_own_trouble(void **state)
{
    (void)state;
    need_lab();
    static const char *const targets[] = {"10.88.1.2", "fd88::2"};
    for (int i = 0; i < 2; i++) {
        struct rig *rig = rig_new();
        struct check *check = rig_check(rig, targets[i], (uint16_t[]){80, 81, 82}, 3, 2000);
        rig_run(rig);
        assert_int_equal(check->settled, 0);
        assert_int_equal(check->result.end, JOB_FAULT);
        assert_int_equal(check->result.reason.errnum, EHOSTUNREACH);
        assert_non_null(strstr(check->result.reason.message, "this checker"));
        assert_true(rig->faults > 0);
        rig_free(rig);
    }
}

/* As they are by default: three requests, a second apart. The kernel repeats SYNs while
 * the first still waits for the neighbour, and holds them back. */
static bool neighbours_take_their_time(bool is_on)
{
    return shell(is_on ? "cd /proc/sys/net && for family in ipv4 ipv6; do "
                         "echo 3 >$family/neigh/here/mcast_solicit && "
                         "echo 1000 >$family/neigh/here/retrans_time_ms || exit; done"
                       : "cd /proc/sys/net && for family in ipv4 ipv6; do "
                         "echo 1 >$family/neigh/here/mcast_solicit && "
                         "echo 100 >$family/neigh/here/retrans_time_ms || exit; done");
}

static void neighbours_that_are_given_up_late_are_unreachable_as_well(void **state)
{
    (void)state;
    need_lab();
    assert_true(neighbours_take_their_time(true));
    struct rig *rig = rig_new();
    rig->config.timeout = span_seconds(5);
    struct check *v4 = rig_check(rig, "10.77.0.51", (uint16_t[]){80, 443}, 2, 20000);
    struct check *v6 = rig_check(rig, "fd77::51", (uint16_t[]){80, 443}, 2, 20000);
    rig_run(rig);
    assert_true(neighbours_take_their_time(false));
    assert_int_equal(count_state(v4, PORT_STATE_UNREACHABLE), 2);
    assert_int_equal(count_state(v6, PORT_STATE_UNREACHABLE), 2);
    assert_int_equal(rig->suspected, 0);
    rig_free(rig);
}

static void a_gateway_that_is_given_up_late_is_our_own_trouble_as_well(void **state)
{
    (void)state;
    need_lab();
    assert_true(neighbours_take_their_time(true));
    struct rig *rig = rig_new();
    struct check *v4 = rig_check(rig, "10.88.1.3", (uint16_t[]){80, 443}, 2, 4500);
    struct check *v6 = rig_check(rig, "fd88::3", (uint16_t[]){80, 443}, 2, 4500);
    rig_run(rig);
    assert_true(neighbours_take_their_time(false));
    assert_int_equal(v4->result.end, JOB_FAULT);
    assert_int_equal(v6->result.end, JOB_FAULT);
    assert_int_equal(v4->settled + v6->settled, 0);
    rig_free(rig);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    has_lab = lab_enter() && firewall("");
    const struct CMUnitTest tests[] = {
        TEST(a_neighbour_that_does_not_answer_is_unreachable),
        TEST(a_gateway_that_does_not_answer_is_our_own_trouble),
        TEST(neighbours_that_are_given_up_late_are_unreachable_as_well),
        TEST(a_gateway_that_is_given_up_late_is_our_own_trouble_as_well),
    };
    return cmocka_run_group_tests_name("engine_neighbours", tests, NULL, NULL);
}
