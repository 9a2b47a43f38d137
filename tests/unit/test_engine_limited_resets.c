/* SPDX-License-Identifier: MIT
 *
 * Addresses that refuse: closed ports, and limits and bans that reset, whose ports must be
 * LIMITED, never CLOSED.
 */
#include "limited_lab.h"

/* --- limits that reset -------------------------------------------------------------- */

static void a_rate_limit_that_resets_closes_nothing(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 25);
    assert_true(
        firewall(SYNS "limit rate over 10/second burst 5 packets reject with tcp reset"));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 25, 15000);
    rig_run(rig);
    assert_open(check);
    rig_free(rig);
}

static void what_a_slow_limit_resets_is_limited(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 40);
    assert_true(
        firewall(SYNS "limit rate over 1/second burst 5 packets reject with tcp reset"));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 40, 4000);
    rig_run(rig);
    assert_open_or_limited(check, ECONNREFUSED);
    assert_true(count_state(check, PORT_STATE_OPEN) >= 4);
    assert_true(count_state(check, PORT_STATE_LIMITED) >= 20);
    rig_free(rig);
}

/* As `ufw limit` does. The resets of a ban are no answers. */
static void a_ban_that_resets_closes_nothing(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 20);
    assert_true(
        firewall(SYNS "limit rate over 1/hour burst 9 packets reject with tcp reset"));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 20, 7000);
    rig_run(rig);
    assert_open_or_limited(check, ECONNREFUSED);
    for (size_t i = 0; i < 4; i++)
        assert_state(check, i, PORT_STATE_OPEN);
    assert_true(check->result.limit.rate == 0);
    rig_free(rig);
}

/* A half-open connection that was reset is off the count. */
static void a_limit_of_connections_closes_nothing(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 60);
    if (!firewall(SYNS "ct state new ct count over 8 reject with tcp reset"))
        skip();
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 60, 25000);
    rig_run(rig);
    assert_open(check);
    rig_free(rig);
}

/* --- refusals ----------------------------------------------------------------------- */

static void a_refusal_beside_open_ports_is_looked_at_again_with_controls(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 2);
    assert_true(firewall(""));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 5, 5000);
    rig_watch_delays(rig);
    rig_run(rig);
    for (size_t i = 0; i < 5; i++)
        assert_state(check, i, i < 2 ? PORT_STATE_OPEN : PORT_STATE_CLOSED);
    assert_in_range(rig->attempted, 2 + 3 * 2, 2 + 3 * 4);
    assert_true(rig->controls_answered >= 2);
    if (rig->delay_max.ns < 100 * NS_PER_MS) /* an answer after 200 ms is a missed one */
        assert_int_equal(rig->controls, rig->controls_answered);
    rig_free(rig);
}

static void a_refusal_of_an_address_that_opens_nothing_is_believed(void **state)
{
    (void)state;
    need_lab();
    assert_true(firewall(COUNT_SYNS));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 20, 5000);
    rig_run(rig);
    assert_int_equal(count_state(check, PORT_STATE_CLOSED), 20);
    assert_int_equal(rig->attempted, 20);
    assert_int_equal(syns_there(), 20);
    rig_free(rig);
}

static void of_many_refusals_a_sample_is_looked_at_again(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 1);
    assert_true(firewall(COUNT_SYNS));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 151, 10000);
    rig_run(rig);
    for (size_t i = 0; i < 151; i++)
        assert_state(check, i, i < 1 ? PORT_STATE_OPEN : PORT_STATE_CLOSED);
    assert_in_range(rig->attempted, 151 + 8, 151 + 75); /* not 150 */
    assert_true(rig->controls >= 2);
    rig_free(rig);
}

static bool refuse_first_syns(unsigned count)
{
    char rules[1500] = COUNT_SYNS;
    for (unsigned i = 0; i < count; i++)
        snprintf(rules + strlen(rules), sizeof rules - strlen(rules),
                 "tcp dport %u limit rate 1/hour burst 1 packets reject with tcp reset\n",
                 FIRST + 4 + i);
    return firewall(rules);
}

/* Four open ports, then `turned` that refuse once, then seven closed ones: with one turned
 * port, all eight that refuse are in the sample. */
static struct check *check_of_turned(struct rig *rig, unsigned turned)
{
    assert_true(refuse_first_syns(turned));
    struct check *check = rig_check(rig, THERE, ports, 4 + turned + 7, 7000);
    rig_run(rig);
    for (size_t i = 0; i < 4; i++)
        assert_state(check, i, PORT_STATE_OPEN);
    return check;
}

static void one_port_that_refuses_once_is_open(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 5);
    struct rig *rig = rig_of_five_seconds();
    struct check *check = check_of_turned(rig, 1);
    assert_state(check, 4, PORT_STATE_OPEN);
    assert_int_equal(count_state(check, PORT_STATE_CLOSED), 7);
    assert_in_range(rig_age_ms(rig, check->done_at), 0, 4999); /* it is not limited */
    rig_free(rig);
}

static void so_are_several_and_then_refusals_are_doubted(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 9);
    struct rig *rig = rig_of_five_seconds();
    struct check *check = check_of_turned(rig, 5);
    for (size_t i = 4; i < 16; i++)
        if (check->verdicts[i].state != (i < 9 ? PORT_STATE_OPEN : PORT_STATE_CLOSED))
            assert_state(check, i, PORT_STATE_LIMITED);

    /* Two looks at each closed port do not suffice, as they would with one that has turned.
     * One that has turned and is open had two, one that is limited at least one. */
    size_t closed = count_state(check, PORT_STATE_CLOSED);
    size_t turned = count_state(check, PORT_STATE_OPEN) - 4;
    size_t limited = count_state(check, PORT_STATE_LIMITED);
    size_t two_looks = 4 + 2 * turned + limited + 2 * closed;
    assert_true(closed == 0 || rig->attempted > (int)two_looks);
    rig_free(rig);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_begin, lab_end)

int main(void)
{
    has_lab = lab_enter() && firewall("") && own_firewall("");
    const struct CMUnitTest tests[] = {
        TEST(a_rate_limit_that_resets_closes_nothing),
        TEST(what_a_slow_limit_resets_is_limited),
        TEST(a_limit_of_connections_closes_nothing),
        TEST(a_ban_that_resets_closes_nothing),
        TEST(a_refusal_beside_open_ports_is_looked_at_again_with_controls),
        TEST(a_refusal_of_an_address_that_opens_nothing_is_believed),
        TEST(of_many_refusals_a_sample_is_looked_at_again),
        TEST(one_port_that_refuses_once_is_open),
        TEST(so_are_several_and_then_refusals_are_doubted),
    };
    return cmocka_run_group_tests_name("engine_limited_resets", tests, NULL, NULL);
}
