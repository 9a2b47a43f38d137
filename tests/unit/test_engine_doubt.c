/* SPDX-License-Identifier: MIT
 *
 * Silence that is this machine's own fault must never become a verdict; and what other
 * programs, or probes of other addresses, fail to send must not delay any verdict.
 */
#include "engine_lab.h"

#include <sys/resource.h>

static bool has_lab;

static void need_lab(void)
{
    if (!has_lab)
        skip();
}

/* The firewall on our own output; "" removes it. */
static bool own_firewall(const char *rules)
{
    char command[1000];
    snprintf(command, sizeof command,
             "nft -f - <<'END'\n"
             "flush ruleset\n"
             "table inet own { chain out { type filter hook output priority 0\n"
             "%s\n"
             "}\n}\nEND",
             rules);
    return shell(command);
}

/* --- our own output ----------------------------------------------------------------- */

static void a_firewall_on_our_output_is_a_fault_not_a_verdict(void **state)
{
    (void)state;
    need_lab();
    static const char *const targets[] = {THERE, THERE6};
    assert_true(firewall(""));
    assert_true(own_firewall("tcp dport 1000 drop"));
    for (int i = 0; i < 2; i++) {
        struct rig *rig = rig_with_ms(5000);
        struct check *check =
            rig_check(rig, targets[i], (uint16_t[]){998, 1000, 997}, 3, 4000);
        rig_run(rig);
        assert_self_doubt(check, 2);
        assert_true(rig->suspected > 0);
        rig_free(rig);
    }
    assert_true(own_firewall(""));
}

static void so_it_is_when_the_time_is_up_first(void **state)
{
    (void)state;
    need_lab();
    assert_true(own_firewall("tcp dport 1000 drop"));
    struct rig *rig = rig_with_ms(1200);
    struct check *check = rig_check(rig, THERE, (uint16_t[]){1000}, 1, 3000);
    rig_run(rig);
    assert_self_doubt(check, 0);
    assert_in_range(rig->suspected, 1, 3); /* once in 1.2 seconds */
    rig_free(rig);
    assert_true(own_firewall(""));
}

/* Looks every 10 ms. */
static void heal_once_suspected(struct timer *timer)
{
    struct rig *rig = (void *)((char *)timer - offsetof(struct rig, extra));
    if (rig->suspected > 0)
        assert_true(own_firewall(""));
    else
        assert_true(
            loop_timer_set(rig->loop, timer, instant_add(clock_now(), span_ms(10))));
}

static void when_our_output_heals_the_port_is_judged(void **state)
{
    (void)state;
    need_lab();
    assert_true(firewall("tcp dport 1000 drop"));
    assert_true(own_firewall("tcp dport { 999, 1000 } drop"));
    int fd = listener_there(THERE, 999, 8);
    struct rig *rig = rig_with_ms(5000);
    /* A port that answers makes the others' silence short; 999 would be filtered after
     * 1.75 seconds. */
    struct check *check = rig_check(rig, THERE, (uint16_t[]){998, 999, 1000}, 3, 20000);
    timer_init(&rig->extra, heal_once_suspected);
    heal_once_suspected(&rig->extra);
    rig_run(rig);
    assert_state(check, 0, PORT_STATE_CLOSED);
    assert_state(check, 1, PORT_STATE_OPEN);
    assert_state(check, 2, PORT_STATE_FILTERED);
    assert_true(rig->suspected > 0);
    rig_free(rig);
    close(fd);
}

static void heal_when_suspected(struct rig *rig)
{
    if (rig->suspected == 0)
        return;
    rig->on_attempt = NULL;
    assert_true(own_firewall(""));
}

/* The first SYN after the doubt is lost as well, the next one is refused; further refusals
 * are still needed when the deadline comes. */
static void an_answer_ends_what_the_deadline_would_blame(void **state)
{
    (void)state;
    need_lab();
    assert_true(firewall(""));
    assert_true(own_firewall("tcp dport 1000 drop"));
    struct rig *rig = rig_with_ms(2000);
    rig->config.refusals_needed = 4;
    rig->config.refusal_delay = span_seconds(9);
    rig->on_attempt = heal_when_suspected;
    struct check *check = rig_check(rig, THERE, (uint16_t[]){1000}, 1, 3900);
    rig_run(rig);
    assert_int_equal(rig->suspected, 1);
    assert_int_equal(check->settled, 0);
    assert_int_equal(check->result.end, JOB_OVERLOADED);
    rig_free(rig);
}

static struct rlimit wide;

/* Every 10 ms: from the doubt to the first fault there are no descriptors. */
static void starve_once_suspected(struct timer *timer)
{
    struct rig *rig = (void *)((char *)timer - offsetof(struct rig, extra));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &wide), 0);
    if (rig->faults > 0)
        return;
    if (rig->suspected > 0) {
        struct rlimit tight = wide;
        int first_free = dup(0);
        close(first_free);
        tight.rlim_cur = (rlim_t)first_free;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    }
    assert_true(loop_timer_set(rig->loop, timer, instant_add(clock_now(), span_ms(10))));
}

/* Once the port is in doubt, no further attempt can be opened for a while; the next one
 * leaves and is lost as well. */
static void a_fault_that_was_overcome_does_not_hide_the_doubt_before_it(void **state)
{
    (void)state;
    need_lab();
    assert_true(own_firewall("tcp dport 1000 drop"));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &wide), 0);
    struct rig *rig = rig_with_ms(1200);
    struct check *check = rig_check(rig, THERE, (uint16_t[]){1000}, 1, 3000);
    timer_init(&rig->extra, starve_once_suspected);
    starve_once_suspected(&rig->extra);
    rig_run(rig);
    assert_true(rig->suspected > 0);
    assert_true(rig->faults > 0);
    assert_int_equal(rig->last_fault, EMFILE);
    assert_self_doubt(check, 0);
    rig_free(rig);
    assert_true(own_firewall(""));
}

/* A caller that names an address that our own firewall drops must not keep the silent ports
 * of other callers from being judged. */
static void one_address_that_we_may_not_reach_does_not_hold_up_another(void **state)
{
    (void)state;
    need_lab();
    assert_true(firewall("tcp dport 1000 drop"));
    assert_true(own_firewall("ip daddr 10.77.0.3 drop"));
    struct rig *rig = rig_with_ms(5000);
    uint16_t ports[20];
    count_ports(ports, 20, 1000);
    struct check *dropped = rig_check(rig, "10.77.0.3", ports, 20, 6000);
    struct check *check = rig_check(rig, THERE, (uint16_t[]){998, 1000}, 2, 20000);
    rig_run(rig);
    assert_self_doubt(dropped, 0);
    assert_state(check, 0, PORT_STATE_CLOSED);
    assert_state(check, 1, PORT_STATE_FILTERED);
    assert_in_range(check->verdicts[1].duration.ns / NS_PER_MS, 1000, 4999);
    rig_free(rig);
    assert_true(own_firewall(""));
}

static void lose_route(struct timer *timer)
{
    (void)timer;
    assert_true(shell("ip route del 10.89.0.0/16"));
}

/* Once both of its attempts are out; a third one would leave at 1.65 seconds. */
static void lose_route_soon(struct rig *rig)
{
    if (rig->attempted < 2)
        return;
    rig->on_attempt = NULL;
    timer_init(&rig->extra, lose_route);
    assert_true(
        loop_timer_set(rig->loop, &rig->extra, instant_add(clock_now(), span_ms(100))));
}

/* No counter of the machine moves then. */
static void a_route_that_vanishes_meanwhile_is_our_own_trouble(void **state)
{
    (void)state;
    need_lab();
    assert_true(firewall(""));
    assert_true(shell("ip route add 10.89.0.0/16 via " THERE));
    struct rig *rig = rig_with_ms(1500);
    struct check *check = rig_check_one(rig, "10.89.0.1", 1000);
    rig->on_attempt = lose_route_soon;
    rig_run(rig);
    assert_int_equal(check->result.end, JOB_NO_ROUTE);
    assert_int_equal(check->settled, 0);
    assert_in_range(rig_age_ms(rig, check->done_at), 1500, 19999); /* the deadline */
    rig_free(rig);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    has_lab = lab_enter() && firewall("");
    const struct CMUnitTest tests[] = {
        TEST(a_firewall_on_our_output_is_a_fault_not_a_verdict),
        TEST(so_it_is_when_the_time_is_up_first),
        TEST(when_our_output_heals_the_port_is_judged),
        TEST(an_answer_ends_what_the_deadline_would_blame),
        TEST(a_fault_that_was_overcome_does_not_hide_the_doubt_before_it),
        TEST(one_address_that_we_may_not_reach_does_not_hold_up_another),
        TEST(a_route_that_vanishes_meanwhile_is_our_own_trouble),
    };
    return cmocka_run_group_tests_name("engine_doubt", tests, NULL, NULL);
}
