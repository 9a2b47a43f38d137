/* SPDX-License-Identifier: MIT
 *
 * Addresses in several networks that fall silent together: the uplink of this machine is
 * dead, which must never become a verdict.
 */
#include "engine_lab.h"

#include <limits.h>

static bool has_lab;

static void need_lab(void)
{
    if (!has_lab)
        skip();
}

#define NETWORKS 5

/* Addresses in separate networks, all of them on the other side. */
static const char *address_in(int network, char text[32])
{
    snprintf(text, 32, "10.90.%d.1", network);
    return text;
}

static bool networks_make(void)
{
    return shell("ip route replace 10.90.0.0/16 via " THERE) &&
           there("ip addr replace 10.90.1.1/32 dev lo && "
                 "ip addr replace 10.90.2.1/32 dev lo && "
                 "ip addr replace 10.90.3.1/32 dev lo && "
                 "ip addr replace 10.90.4.1/32 dev lo && "
                 "ip addr replace 10.90.5.1/32 dev lo && "
                 "ip addr replace 10.90.5.2/32 dev lo");
}

static struct check *check_network(struct rig *rig, int network, const uint16_t *ports,
                                   size_t count, int64_t deadline_ms)
{
    char text[32];
    return rig_check(rig, address_in(network, text), ports, count, deadline_ms);
}

/* All have answered; what `later` starts is the test. */
static struct rig *rig_with_networks(void (*later)(struct rig *rig))
{
    assert_true(networks_make());
    assert_true(firewall(""));
    struct rig *rig = rig_with_ms(5000);
    for (int i = 1; i <= NETWORKS; i++)
        check_network(rig, i, (uint16_t[]){998}, 1, 20000);
    rig_check_one(rig, "10.90.5.2", 998);
    rig->on_idle = later;
    rig_run(rig);
    for (size_t i = 0; i <= NETWORKS; i++)
        assert_state(&rig->checks[i], 0, PORT_STATE_CLOSED);
    return rig;
}
#define LATER(rig, index) (&(rig)->checks[NETWORKS + 1 + (index)])

static void silence_five(struct rig *rig)
{
    assert_true(firewall("tcp flags syn drop"));
    for (int i = 1; i <= NETWORKS; i++)
        check_network(rig, i, (uint16_t[]){998, 997}, 2, 7000);
}

static void five_networks_that_fall_silent_together_are_our_own_trouble(void **state)
{
    (void)state;
    need_lab();
    struct rig *rig = rig_with_networks(silence_five);
    for (int i = 0; i < NETWORKS; i++)
        assert_self_doubt(LATER(rig, i), 0);
    assert_true(rig->suspected >= 10);
    rig_free(rig);
}

/* Five addresses, but two of them in one network. */
static void silence_four(struct rig *rig)
{
    assert_true(firewall("tcp flags syn drop"));
    for (int i = 2; i <= NETWORKS; i++)
        check_network(rig, i, (uint16_t[]){998, 997}, 2, 20000);
    rig_check(rig, "10.90.5.2", (uint16_t[]){998, 997}, 2, 20000);
}

static void four_networks_may_fall_silent(void **state)
{
    (void)state;
    need_lab();
    struct rig *rig = rig_with_networks(silence_four);
    for (int i = 0; i < NETWORKS; i++)
        assert_int_equal(count_state(LATER(rig, i), PORT_STATE_FILTERED), 2);
    assert_int_equal(rig->suspected, 0);
    rig_free(rig);
}

static size_t answers;

/* Every third of a second, one target answers, as long as others are being probed. */
static void ask_again(struct timer *timer)
{
    struct rig *rig = (void *)((char *)timer - offsetof(struct rig, extra));
    if (rig->unfinished == 0)
        return;
    rig_check_one(rig, THERE, 997);
    answers++;
    assert_true(loop_timer_set(rig->loop, timer, instant_add(clock_now(), span_ms(300))));
}

static void silence_five_of_six(struct rig *rig)
{
    assert_true(firewall("ip daddr 10.90.0.0/16 tcp flags syn drop"));
    for (int i = 1; i <= NETWORKS; i++)
        check_network(rig, i, (uint16_t[]){998, 997}, 2, 20000);
    timer_init(&rig->extra, ask_again);
    ask_again(&rig->extra);
}

static void five_networks_may_while_another_one_answers(void **state)
{
    (void)state;
    need_lab();
    answers = 0;
    struct rig *rig = rig_with_networks(silence_five_of_six);
    assert_true(answers >= 3);
    for (int i = 0; i < NETWORKS; i++)
        assert_int_equal(count_state(LATER(rig, i), PORT_STATE_FILTERED), 2);
    assert_int_equal(rig->suspected, 0);
    loop_timer_stop(rig->loop, &rig->extra);
    rig_free(rig);
}

/* Five providers at a time, each with a port that answers and one that is filtered. Returns
 * how many times a port was suspected. */
static int judge_five(void)
{
    struct rig *rig = rig_with_ms(5000);
    struct check *checks[NETWORKS];
    for (int i = 0; i < NETWORKS; i++)
        checks[i] = check_network(rig, i + 1, (uint16_t[]){998, 1000}, 2, 20000);
    rig_run(rig);
    for (int i = 0; i < NETWORKS; i++) {
        assert_state(checks[i], 0, PORT_STATE_CLOSED);
        assert_state(checks[i], 1, PORT_STATE_FILTERED);
    }
    int suspected = rig->suspected;
    rig_free(rig);
    return suspected;
}

/* The best of some runs counts: where this program is late, the five are silent for long.
 */
static void five_networks_with_filtered_ports_are_judged(void **state)
{
    (void)state;
    need_lab();
    assert_true(networks_make());
    assert_true(firewall("tcp dport 1000 drop"));
    int fewest = INT_MAX;
    for (int i = 0; i < 10 && fewest > 0; i++) {
        int suspected = judge_five();
        fewest = suspected < fewest ? suspected : fewest;
    }
    assert_int_equal(fewest, 0);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    has_lab = lab_enter() && firewall("");
    const struct CMUnitTest tests[] = {
        TEST(five_networks_that_fall_silent_together_are_our_own_trouble),
        TEST(four_networks_may_fall_silent),
        TEST(five_networks_may_while_another_one_answers),
        TEST(five_networks_with_filtered_ports_are_judged),
    };
    return cmocka_run_group_tests_name("engine_uplink", tests, NULL, NULL);
}
