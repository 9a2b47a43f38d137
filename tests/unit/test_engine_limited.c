/* SPDX-License-Identifier: MIT
 *
 * Addresses that answer some ports and drop the SYNs to the others: rate limits. Ports that
 * they keep unknown must be LIMITED, never FILTERED or CLOSED.
 */
#include "limited_lab.h"

/* In which order the ports were settled. */
static size_t order[PORTS_MAX], order_count;

static void note_order(struct check *check)
{
    order[order_count++] = check->last_index;
}

static void a_rate_limit_that_drops_is_kept_to(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 25);
    assert_true(firewall(COUNT_SYNS SYNS "limit rate over 10/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 25, 15000);
    order_count = 0;
    check->on_settled = note_order;
    rig_run(rig);
    assert_open(check);
    for (size_t i = 0; i < 4; i++)
        assert_in_range(order[i], 0, 3);
    assert_true(rig->controls > rig->controls_answered);
    assert_int_equal(rig->suspected, 0);
    rig_free(rig);
}

static void what_a_slow_limit_leaves_unknown_is_limited(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 60);
    assert_true(firewall(COUNT_SYNS SYNS "limit rate over 1/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 60, 8000);
    rig_run(rig);
    assert_open_or_limited(check, ETIMEDOUT);
    for (size_t i = 0; i < 4; i++)
        assert_state(check, i, PORT_STATE_OPEN);
    /* Five at first, then one a second at most. */
    assert_in_range(count_state(check, PORT_STATE_LIMITED), 40, 55);
    assert_in_range(check->result.limit.answered, 4, count_state(check, PORT_STATE_OPEN));
    assert_in_range(rig_age_ms(rig, check->done_at), 8000, 11999);
    assert_int_equal(rig->suspected, 0);
    rig_free(rig);
}

/* Ports that really refuse are among those that the limit drops: it is silence that limits,
 * and their resets are answers like others. */
static void closed_ports_behind_a_limit_that_drops_are_closed(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 10);
    assert_true(firewall(SYNS "limit rate over 5/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 20, 20000);
    rig_run(rig);
    for (size_t i = 0; i < 20; i++)
        if (check->verdicts[i].state == PORT_STATE_LIMITED)
            assert_int_equal(check->verdicts[i].errnum, ETIMEDOUT);
        else
            assert_state(check, i, i < 10 ? PORT_STATE_OPEN : PORT_STATE_CLOSED);
    assert_true(count_state(check, PORT_STATE_OPEN) >= 7);
    assert_true(count_state(check, PORT_STATE_CLOSED) >= 3);
    rig_free(rig);
}

/* The other ports are judged as if nothing had been. */
static void when_the_limit_has_gone_the_usual_rules_apply(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 30);
    assert_true(firewall(COUNT_SYNS SYNS "limit rate over 5/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 40, 25000);
    rig_after(rig, 2500, come_back);
    rig_run(rig);
    for (size_t i = 0; i < 40; i++)
        assert_state(check, i, i < 30 ? PORT_STATE_OPEN : PORT_STATE_CLOSED);
    assert_false(check->result.limit.is_there);
    rig_free(rig);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_begin, lab_end)

int main(void)
{
    has_lab = lab_enter() && firewall("") && own_firewall("");
    const struct CMUnitTest tests[] = {
        TEST(a_rate_limit_that_drops_is_kept_to),
        TEST(what_a_slow_limit_leaves_unknown_is_limited),
        TEST(closed_ports_behind_a_limit_that_drops_are_closed),
        TEST(when_the_limit_has_gone_the_usual_rules_apply),
    };
    return cmocka_run_group_tests_name("engine_limited", tests, NULL, NULL);
}
