/* SPDX-License-Identifier: MIT
 *
 * How silence becomes a verdict: how long it takes, and what it costs in SYNs.
 */
#include "engine_lab.h"

static bool has_lab;

static void need_lab(void)
{
    if (!has_lab)
        skip();
}

static int64_t duration_ms(const struct check *check, size_t index)
{
    return check->verdicts[index].duration.ns / NS_PER_MS;
}

/* --- a host that answers ------------------------------------------------------------ */

#define OPEN    61
#define CLOSED  20
#define DROPPED 21
#define ALL     (OPEN + CLOSED + DROPPED)

/* Lower limits hold whatever was late. Returns whether nothing seemed to be lost, and then
 * the engine must not have asked more than that takes. */
static bool judge_provider(void)
{
    uint16_t ports[ALL];
    count_ports(ports, ALL, 20000);
    assert_true(firewall("tcp dport 20000-20060 " COUNT_SYNS_AS("open")    /**/
                         "tcp dport 20081-20101 " COUNT_SYNS_AS("dropped") /**/
                         "tcp dport 20081-20101 drop"));
    struct rig *rig = rig_with_ms(5000);
    struct check *check = rig_check(rig, THERE, ports, ALL, 20000);
    rig_watch_delays(rig);
    rig_run(rig);
    for (size_t i = 0; i < ALL; i++)
        assert_state(check, i,
                     i < OPEN            ? PORT_STATE_OPEN
                     : i < OPEN + CLOSED ? PORT_STATE_CLOSED
                                         : PORT_STATE_FILTERED);

    /* One attempt at each open port, one to four at each that refuses, because others can
     * be opened, and four at each that is silent. */
    assert_true(rig->attempted >= OPEN + CLOSED + 8 + 4 * DROPPED);
    assert_true(rig->controls >= 2 + 3 * 2);
    assert_true(syns_there_as("dropped") >= 5 * DROPPED); /* with the kernel's */
    for (size_t i = OPEN + CLOSED; i < ALL; i++)
        assert_true(duration_ms(check, i) >= 1000);
    assert_int_equal(rig->suspected, 0);

    bool is_clean = rig->delay_max.ns < 80 * NS_PER_MS &&
                    rig->controls == rig->controls_answered &&
                    syns_there_as("open") == OPEN + rig->controls;
    if (is_clean) {
        int64_t seconds = rig_age_ms(rig, check->done_at) / 1000;
        assert_true(rig->attempted <= OPEN + 4 * CLOSED + 4 * DROPPED);
        assert_true(rig->controls <= CLOSED);
        assert_true(syns_there_as("dropped") <= 4 * DROPPED * (1 + seconds));
        for (size_t i = OPEN + CLOSED; i < ALL; i++)
            assert_true(duration_ms(check, i) < 3000); /* of a silent host */
    }
    rig_free(rig);
    return is_clean;
}

static void a_provider_with_closed_and_dropped_ports_is_judged_soon(void **state)
{
    (void)state;
    need_lab();
    int fds[OPEN];
    for (int i = 0; i < OPEN; i++)
        fds[i] = listener_there(THERE, (uint16_t)(20000 + i), 8);
    bool is_clean = false;
    for (int i = 0; i < 20 && !is_clean; i++)
        is_clean = judge_provider();
    assert_true(is_clean);
    for (int i = 0; i < OPEN; i++)
        close(fds[i]);
}

/* 30 ports that answer, and one that does not. */
static int64_t filtered_after_ms(const char *rules)
{
    uint16_t ports[31];
    count_ports(ports, 31, 20000);
    assert_true(firewall(rules));
    struct rig *rig = rig_with_ms(5000);
    struct check *check = rig_check(rig, THERE, ports, 31, 20000);
    rig_run(rig);
    assert_int_equal(count_state(check, PORT_STATE_CLOSED), 30);
    assert_state(check, 30, PORT_STATE_FILTERED);
    int64_t after = duration_ms(check, 30);
    rig_free(rig);
    return after;
}

static void a_loss_that_was_seen_makes_silence_take_longer(void **state)
{
    (void)state;
    need_lab();
    /* The fastest of some counts: on a busy machine it may come late. */
    int64_t fastest = INT64_MAX;
    for (int i = 0; i < 20 && fastest >= 1500; i++) {
        int64_t after = filtered_after_ms("tcp dport 20030 drop");
        assert_true(after >= 1000);
        fastest = after < fastest ? after : fastest;
    }
    assert_true(fastest < 1500);
    assert_in_range(filtered_after_ms("tcp dport 20030 drop\n"
                                      "tcp dport 20000 limit rate over 1/hour burst 1 "
                                      "packets accept\ntcp dport 20000 drop"),
                    1700, 4999);
}

/* What was sent and not answered before the answer came counts: one of the ports is let in
 * with its fifth SYN only, so that half of all is lost, and much more is asked. */
static void much_loss_makes_silence_take_much_longer(void **state)
{
    (void)state;
    need_lab();
    assert_true(firewall("tcp dport 20030 drop\n"
                         "tcp dport 20000 limit rate over 1/hour burst 4 packets accept\n"
                         "tcp dport 20000 drop"));
    struct rig *rig = rig_with_ms(9000);
    struct check *check =
        rig_check(rig, THERE, (uint16_t[]){20000, 20001, 20030}, 3, 20000);
    rig_run(rig);
    assert_state(check, 0, PORT_STATE_CLOSED);
    assert_state(check, 1, PORT_STATE_CLOSED);
    assert_state(check, 2, PORT_STATE_FILTERED);
    /* 0.36 is assumed: 10 SYNs, the tenth 2 seconds after the first. */
    assert_in_range(duration_ms(check, 2), 1990, 8999);
    rig_free(rig);
}

/* --- a host that does not ----------------------------------------------------------- */

static void a_silent_host_is_judged_before_the_timeout(void **state)
{
    (void)state;
    need_lab();
    static const uint16_t ports[] = {80, 443, 7466};
    assert_true(firewall(COUNT_SYNS "tcp flags syn drop"));
    struct rig *rig = rig_with_ms(10000);
    struct check *check = rig_check(rig, THERE, ports, 3, 20000);
    rig_run(rig);
    assert_int_equal(count_state(check, PORT_STATE_FILTERED), 3);
    assert_int_equal(rig->attempted, 12);
    assert_true(syns_there() >= 30);
    assert_in_range(rig_age_ms(rig, check->done_at), 3900, 9999);
    assert_int_equal(rig->suspected, 0);
    rig_free(rig);
}

static void silence_never_lasts_longer_than_the_timeout(void **state)
{
    (void)state;
    need_lab();
    assert_true(firewall("tcp flags syn drop"));
    struct rig *rig = rig_with_ms(2000);
    struct check *check = rig_check_one(rig, THERE, 1000);
    rig_run(rig);
    assert_state(check, 0, PORT_STATE_FILTERED);
    assert_in_range(rig_age_ms(rig, check->done_at), 2000, 3899);
    rig_free(rig);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    has_lab = lab_enter() && firewall("");
    const struct CMUnitTest tests[] = {
        TEST(a_provider_with_closed_and_dropped_ports_is_judged_soon),
        TEST(a_loss_that_was_seen_makes_silence_take_longer),
        TEST(much_loss_makes_silence_take_much_longer),
        TEST(a_silent_host_is_judged_before_the_timeout),
        TEST(silence_never_lasts_longer_than_the_timeout),
    };
    return cmocka_run_group_tests_name("engine_silence", tests, NULL, NULL);
}
