/* SPDX-License-Identifier: MIT
 *
 * The engine when sockets are short: callers share them, whatever number of jobs, ports and
 * workers they use.
 */
#include "engine_lab.h"

#define MANY 200

static bool has_lab;

static void need_lab(void)
{
    if (!has_lab)
        skip();
}

/* Ports from 20000 on are silent, the others refuse; a port has five seconds. */
static struct rig *short_rig(size_t max)
{
    need_lab();
    assert_true(firewall("tcp dport 20000-20999 drop"));
    struct rig *rig = rig_new();
    rig->config.timeout = span_seconds(5);
    rig->limit.max = max;
    return rig;
}

static struct check *silent_check(struct rig *rig, const char *caller, size_t count,
                                  int64_t deadline_ms)
{
    static uint16_t ports[MANY];
    count_ports(ports, MANY, 20000);
    rig->caller = caller;
    return rig_check(rig, THERE, ports, count, deadline_ms);
}

/* --- who gets how many -------------------------------------------------------------- */

static size_t held_wanted;
static timer_fn *when_held;

/* Somewhat later the ports want further sockets; it is still long before a silent port is
 * settled and returns one. */
static void call_soon_if_held(struct rig *rig)
{
    if (rig->in_flight_max < held_wanted)
        return;
    rig->on_attempt = NULL;
    timer_init(&rig->extra, when_held);
    assert_true(
        loop_timer_set(rig->loop, &rig->extra, instant_add(clock_now(), span_ms(700))));
}

/* Calls `then` soon after so many sockets are in flight for the first time. */
static void run_until_held(struct rig *rig, size_t held, timer_fn *then)
{
    held_wanted = held;
    when_held = then;
    rig->on_attempt = call_soon_if_held;
    rig_run(rig);
}

static void stop(struct timer *timer)
{
    struct rig *rig = (void *)((char *)timer - offsetof(struct rig, extra));
    for (size_t i = 0; i < rig->check_count; i++)
        check_cancel(&rig->checks[i]);
}

static void callers_that_want_all_leave_some(void **state)
{
    (void)state;
    static const struct {
        size_t max;
        const char *callers[5];
        size_t held;
    } rows[] = {
        {64, {"192.0.2.1"}, 53},
        {64, {"192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1"}, 53},
        {64, {"2001:db8::1", "2001:db8::2"}, 53},
        {64, {"192.0.2.1", "192.0.3.1"}, 56},
        {64, {"192.0.2.1", "192.0.2.1", "2001:db8:1::1", "2001:db8:2::1"}, 57},
        {64, {"192.0.2.1", "192.0.3.1", "192.0.4.1", "192.0.5.1"}, 58},
        {4, {"192.0.2.1", "192.0.3.1", "192.0.4.1"}, 3},
        {4, {"192.0.2.1", "192.0.3.1", "192.0.4.1", "192.0.5.1"}, 4},
        /* one network */
        {64, {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}, 53},
        {64, {"2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:ffff::1"}, 53},
        {4, {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}, 4},
        {2, {"192.0.2.1"}, 1},
        {1, {"192.0.2.1"}, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig *rig = short_rig(rows[i].max);
        for (size_t n = 0; rows[i].callers[n]; n++)
            silent_check(rig, rows[i].callers[n], MANY, 20000);
        run_until_held(rig, rows[i].held, stop);
        assert_int_equal(rig->in_flight_max, rows[i].held);
        rig_free(rig);
    }
}

/* --- a caller that comes later ------------------------------------------------------ */

static struct engine *second_engine;
static struct check *late_check;

static void start_late_check(struct timer *timer)
{
    struct rig *rig = (void *)((char *)timer - offsetof(struct rig, extra));
    struct engine *first = rig->engine;
    if (second_engine)
        rig->engine = second_engine;
    rig->caller = "192.0.2.99";
    late_check = rig_check_one(rig, THERE, 998);
    rig->engine = first;
}

static void no_port_is_settled_before_it(struct check *check)
{
    (void)check;
    assert_true(late_check && late_check->settled == 1);
}

static void run_with_late_check(struct rig *rig)
{
    late_check = NULL;
    for (size_t i = 0; i < rig->check_count; i++)
        rig->checks[i].on_settled = no_port_is_settled_before_it;
    run_until_held(rig, 56, start_late_check);
    assert_non_null(late_check);
    assert_state(late_check, 0, PORT_STATE_CLOSED);
    for (size_t i = 0; i < rig->check_count; i++)
        assert_int_equal(rig->checks[i].result.end, JOB_JUDGED);
}

static void a_newcomer_does_not_wait_for_those_that_hold_all(void **state)
{
    (void)state;
    struct rig *rig = short_rig(64);
    silent_check(rig, "192.0.2.1", 40, 20000);
    silent_check(rig, "192.0.3.1", 40, 20000);
    run_with_late_check(rig);
    rig_free(rig);
}

static void nor_for_those_of_another_worker(void **state)
{
    (void)state;
    struct rig *rig = short_rig(64);
    silent_check(rig, "192.0.2.1", 40, 20000);
    silent_check(rig, "192.0.3.1", 40, 20000);
    assert_true(engine_new(rig->loop, &rig->config, &second_engine, NULL));
    run_with_late_check(rig);
    second_engine = engine_free(second_engine);
    rig_free(rig);
}

static int attempted_before_it;

static void note_attempts(struct check *check)
{
    attempted_before_it = check->rig->attempted;
    for (size_t i = 0; i < check->rig->check_count; i++)
        if (&check->rig->checks[i] != check && check->rig->checks[i].job)
            check_cancel(&check->rig->checks[i]);
}

/* It came last. The engine starts a part of the others in each turn. */
static void a_caller_of_another_network_comes_first(void **state)
{
    (void)state;
    enum { CALLERS = 200 };
    char callers[CALLERS][32];
    struct rig *rig = short_rig(4096);
    for (int i = 0; i < CALLERS; i++) {
        snprintf(callers[i], sizeof callers[i], "2001:db8:0:%x::1", i);
        silent_check(rig, callers[i], 1, 20000);
    }
    rig->caller = "2001:db8:1::1";
    struct check *check = rig_check_one(rig, THERE, 998);
    check->on_settled = note_attempts;
    rig_run(rig);
    assert_state(check, 0, PORT_STATE_CLOSED);
    assert_in_range(attempted_before_it, 1, CALLERS / 2);
    rig_free(rig);
}

/* What it cannot get makes a check late or an overload, never a verdict. */
static void a_port_without_a_socket_is_not_blamed(void **state)
{
    (void)state;
    struct rig *rig = short_rig(64);
    silent_check(rig, "192.0.2.1", MANY, 1500);
    struct check *check = rig_check(rig, THERE, (uint16_t[]){998, 999}, 2, 1500);
    atomic_store(&rig->limit.in_flight, rig->limit.max);
    rig_run(rig);
    atomic_fetch_sub(&rig->limit.in_flight, rig->limit.max);
    assert_int_equal(check->result.end, JOB_OVERLOADED);
    assert_int_equal(check->result.untried, 2);
    assert_int_equal(check->result.silent, 0);
    rig_free(rig);
}

/* --- what has not answered ---------------------------------------------------------- */

static void silent_ports_are_counted(void **state)
{
    (void)state;
    struct rig *rig = short_rig(64);
    rig->config.timeout = span_ms(500);
    struct check *check = rig_check(rig, THERE, (uint16_t[]){20000, 998, 20001}, 3, 20000);
    rig_run(rig);
    assert_int_equal(count_state(check, PORT_STATE_FILTERED), 2);
    assert_int_equal(check->result.silent, 2);
    rig_free(rig);
}

static struct check *cancelled;
static size_t cancelled_silent;

static void cancel(struct timer *timer)
{
    (void)timer;
    assert_int_equal(engine_cancel(cancelled->job, &cancelled_silent), 0);
    check_end(cancelled);
}

/* The only port that answers has done so. */
static void cancel_next(struct check *check)
{
    timer_init(&check->rig->extra, cancel);
    assert_true(loop_timer_set(check->rig->loop, &check->rig->extra, clock_now()));
}

static void ports_that_had_not_answered_when_cancelled_are_counted(void **state)
{
    (void)state;
    struct rig *rig = short_rig(64);
    cancelled = rig_check(rig, THERE, (uint16_t[]){20000, 998, 20001}, 3, 20000);
    cancelled->on_settled = cancel_next;
    rig_run(rig);
    assert_int_equal(cancelled_silent, 2);
    rig_free(rig);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    has_lab = lab_enter() && firewall("");
    const struct CMUnitTest tests[] = {
        TEST(callers_that_want_all_leave_some),
        TEST(a_newcomer_does_not_wait_for_those_that_hold_all),
        TEST(nor_for_those_of_another_worker),
        TEST(a_caller_of_another_network_comes_first),
        TEST(a_port_without_a_socket_is_not_blamed),
        TEST(silent_ports_are_counted),
        TEST(ports_that_had_not_answered_when_cancelled_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
