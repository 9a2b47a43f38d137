/* SPDX-License-Identifier: MIT
 *
 * Trouble of this machine while an address is limited: it must not become LIMITED.
 */
#include "limited_lab.h"

static void lose_our_output(struct timer *timer)
{
    (void)timer;
    assert_true(own_firewall(SYNS "drop"));
}

static void what_this_machine_drops_while_limited_is_a_fault(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 40);
    assert_true(firewall(BAN));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 40, 13000);
    rig_after(rig, 3000, lose_our_output);
    rig_run(rig);
    assert_fault(check, "lose what it sends");
    rig_free(rig);
}

static void kill_gateway(struct timer *timer)
{
    (void)timer;
    assert_true(there("ip addr del 10.77.0.2/24 dev there"));
    assert_true(shell("ip neigh flush dev here"));
}

/* Behind a gateway, that gateway is ours. */
static void a_gateway_that_dies_while_limited_is_a_fault(void **state)
{
    (void)state;
    need_lab();
    assert_true(there("ip addr add 10.66.0.1/32 dev lo") &&
                shell("ip route add 10.66.0.0/16 via 10.77.0.2"));
    go(lab_there_ns);
    for (size_t i = 0; i < 40; i++)
        listeners[listener_count++] = listener("10.66.0.1", ports[i], 64);
    go(lab_here_ns);
    assert_true(firewall(BAN));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, "10.66.0.1", ports, 40, 8000);
    rig_after(rig, 3000, kill_gateway);
    rig_run(rig);
    assert_true(
        there("ip addr add 10.77.0.2/24 dev there; ip addr del 10.66.0.1/32 dev lo") &&
        shell("ip route del 10.66.0.0/16"));
    assert_int_equal(count_state(check, PORT_STATE_LIMITED), 0);
    assert_int_equal(check->result.end, JOB_FAULT);
    rig_free(rig);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_begin, lab_end)

int main(void)
{
    has_lab = lab_enter() && firewall("") && own_firewall("");
    const struct CMUnitTest tests[] = {
        TEST(what_this_machine_drops_while_limited_is_a_fault),
        TEST(a_gateway_that_dies_while_limited_is_a_fault),
    };
    return cmocka_run_group_tests_name("engine_limited_faults", tests, NULL, NULL);
}
