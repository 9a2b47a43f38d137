/* SPDX-License-Identifier: MIT
 *
 * Jobs at limited addresses that are cancelled, and engines that end meanwhile.
 */
#include "limited_lab.h"

#include <sys/epoll.h>

static struct check *to_cancel;

static void cancel_it(struct timer *timer)
{
    (void)timer;
    check_cancel(to_cancel);
}

static void a_job_may_be_cancelled_while_limited(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 60);
    assert_true(firewall(SYNS "limit rate over 4/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    to_cancel = rig_check(rig, THERE, ports, 40, 20000);
    struct check *other = rig_check(rig, THERE, ports + 40, 12, 20000);
    rig_after(rig, 3500, cancel_it);
    rig_run(rig);
    assert_false(to_cancel->is_done);
    assert_open_or_limited(other, ETIMEDOUT);
    for (size_t i = 0; i < 4; i++)
        assert_state(other, i, PORT_STATE_OPEN);
    rig_free(rig);
}

/* Alone: controls are under way, and nothing of the address is asked any more. */
static void so_may_the_only_one(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 40);
    assert_true(firewall(BAN));
    for (int64_t ms = 2700; ms < 3100; ms += 300) {
        struct rig *rig = rig_of_five_seconds();
        to_cancel = rig_check(rig, THERE, ports, 40, 20000);
        rig_after(rig, ms, cancel_it);
        rig_run(rig);
        assert_false(to_cancel->is_done);
        rig_free(rig);
        assert_true(firewall(BAN));
    }
}

static void a_settled_port_may_cancel_the_job_while_limited(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 40);
    for (size_t at = 7; at < 9; at++) {
        assert_true(firewall(SYNS "limit rate over 4/second burst 5 packets drop"));
        struct rig *rig = rig_of_five_seconds();
        check_cancelled(rig, PORT_STATE_OPEN, at, 15000);
        rig_free(rig);
    }
}

/* Closed ports are settled by the sorting of what was vouched for. */
static void so_may_one_that_is_closed_while_limited(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 10);
    assert_true(firewall(SYNS "limit rate over 4/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    check_cancelled(rig, PORT_STATE_CLOSED, 0, 20000);
    rig_free(rig);
}

/* Refused twice while its controls are refused: the address is to be limited. In that very
 * turn the job is cancelled. */
static struct {
    int pipe[2];
    struct loop_watch watch;
    struct check *check, *next;
} turn;

static void refuse_all(struct check *check)
{
    if (check->settled == 4)
        assert_true(firewall("tcp flags syn reject with tcp reset"));
}

static void cancel_by_pipe(void *ctx, uint32_t events)
{
    (void)ctx;
    (void)events;
    char byte;
    if (read(turn.pipe[0], &byte, 1) == 1)
        check_cancel(turn.check);
}

static void cancel_in_this_turn(struct rig *rig)
{
    const int second_look = 4 + 2;
    if (turn.check->job && rig->attempted == second_look)
        assert_int_equal(write(turn.pipe[1], "x", 1), 1);
}

static void check_next(struct rig *rig)
{
    assert_true(firewall("tcp dport 20005 drop"));
    turn.next = rig_check(rig, THERE, (uint16_t[]){FIRST, FIRST + 5}, 2, 8000);
}

static void a_job_cancelled_in_that_turn_leaves_no_limit_behind(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 4);
    assert_true(firewall(""));
    struct rig *rig = rig_of_five_seconds();
    turn.check = rig_check(rig, THERE, ports, 5, 9000);
    turn.check->on_settled = refuse_all;
    assert_int_equal(pipe2(turn.pipe, O_NONBLOCK | O_CLOEXEC), 0);
    assert_true(loop_watch_add(rig->loop, turn.pipe[0], EPOLLIN | EPOLLET, cancel_by_pipe,
                               NULL, &turn.watch, NULL));
    rig->on_attempt = cancel_in_this_turn;
    rig->on_idle = check_next;
    rig_run(rig);
    assert_int_equal(turn.check->settled, 4);
    assert_state(turn.next, 0, PORT_STATE_OPEN);
    assert_state(turn.next, 1, PORT_STATE_FILTERED);
    loop_watch_drop(rig->loop, turn.pipe[0], &turn.watch);
    close(turn.pipe[0]);
    close(turn.pipe[1]);
    rig_free(rig);
}

static void free_engine(struct timer *timer)
{
    struct rig *rig = rig_of(timer);
    assert_true(engine_jobs(rig->engine) > 0);
    rig->engine = engine_free(rig->engine);
    loop_stop(rig->loop);
}

static void an_engine_may_end_with_controls_under_way(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 40);
    for (int64_t ms = 700; ms < 3200; ms += 1000) {
        assert_true(firewall(BAN));
        struct rig *rig = rig_of_five_seconds();
        rig_check(rig, THERE, ports, 40, 20000);
        rig_check(rig, THERE, ports + 40, 10, 20000);
        rig_after(rig, ms, free_engine);
        rig_run(rig);
        rig_free(rig);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_begin, lab_end)

int main(void)
{
    has_lab = lab_enter() && firewall("") && own_firewall("");
    const struct CMUnitTest tests[] = {
        TEST(a_job_may_be_cancelled_while_limited),
        TEST(so_may_the_only_one),
        TEST(a_settled_port_may_cancel_the_job_while_limited),
        TEST(so_may_one_that_is_closed_while_limited),
        TEST(a_job_cancelled_in_that_turn_leaves_no_limit_behind),
        TEST(an_engine_may_end_with_controls_under_way),
    };
    return cmocka_run_group_tests_name("engine_limited_ends", tests, NULL, NULL);
}
