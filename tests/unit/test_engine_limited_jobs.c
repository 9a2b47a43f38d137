/* SPDX-License-Identifier: MIT
 *
 * Jobs at limited addresses: trouble of this machine, which must not become LIMITED;
 * several jobs at one address; jobs that end early; proofs.
 */
#include "limited_lab.h"

#include <sys/epoll.h>
#include <sys/resource.h>

/* --- our own trouble ---------------------------------------------------------------- */

static void assert_fault(const struct check *check, const char *words)
{
    assert_true(check->is_done);
    if (check->result.end != JOB_FAULT)
        fail_msg("end %d: %s; %zu are limited", (int)check->result.end,
                 check->result.reason.message, count_state(check, PORT_STATE_LIMITED));
    assert_non_null(strstr(check->result.reason.message, words));
    assert_int_equal(count_state(check, PORT_STATE_LIMITED), 0);
    assert_int_equal(count_state(check, PORT_STATE_FILTERED), 0);
    assert_int_equal(count_state(check, PORT_STATE_CLOSED), 0);
}

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
    struct check *check = rig_check(rig, THERE, ports, 40, 9000);
    rig_after(rig, 3000, lose_our_output);
    rig_run(rig);
    assert_fault(check, "lose what it sends");
    rig_free(rig);
}

static void exhaust_descriptors(struct timer *timer)
{
    (void)timer;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* No socket could be opened in the last seconds: that the rest is unknown is our doing. */
static void no_descriptors_while_limited_are_a_fault(void **state)
{
    (void)state;
    need_lab();
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    open_ports(FIRST, 40);
    assert_true(firewall(SYNS "limit rate over 3/second burst 9 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 40, 7000);
    rig_after(rig, 3500, exhaust_descriptors);
    rig_run(rig);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_fault(check, "could not open a connection");
    rig_free(rig);
}

static void take_all_quota(struct timer *timer)
{
    struct rig *rig = rig_of(timer);
    rig->limit.max = 0; /* others hold it */
}

/* Nothing can be sent any more for want of quota: this checker is too busy. */
static void no_quota_while_limited_is_overload(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 40);
    assert_true(firewall(SYNS "limit rate over 3/second burst 9 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 40, 7000);
    rig_after(rig, 3500, take_all_quota);
    rig_run(rig);
    assert_int_equal(count_state(check, PORT_STATE_LIMITED), 0);
    assert_int_equal(check->result.end, JOB_OVERLOADED);
    rig_free(rig);
}

static void with_two_sockets_a_limit_is_found_out_all_the_same(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 20);
    assert_true(firewall(SYNS "limit rate over 5/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    rig->limit.max = 2;
    struct check *check = rig_check(rig, THERE, ports, 20, 9000);
    rig_run(rig);
    assert_int_equal(count_state(check, PORT_STATE_FILTERED), 0);
    assert_int_equal(count_state(check, PORT_STATE_CLOSED), 0);
    assert_true(count_state(check, PORT_STATE_OPEN) >= 5);
    assert_in_range(rig->in_flight_max, 1, 2);
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

/* --- several jobs ------------------------------------------------------------------- */

static void jobs_at_a_limited_address_take_turns(void **state)
{
    (void)state;
    need_lab();
    enum { JOBS = 5, EACH = 12 };
    open_ports(FIRST, JOBS * EACH);
    assert_true(firewall(SYNS "limit rate over 10/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    struct check *checks[JOBS];
    for (size_t i = 0; i < JOBS; i++)
        checks[i] = rig_check(rig, THERE, ports + EACH * i, EACH, 8000);
    rig_run(rig);
    for (size_t i = 0; i < JOBS; i++) {
        assert_open_or_limited(checks[i], ETIMEDOUT);
        for (size_t n = 0; n < 4; n++)
            assert_state(checks[i], n, PORT_STATE_OPEN);
    }
    rig_free(rig);
}

static void assert_first_were_asked(const struct check *check)
{
    for (size_t i = 0; i < 4; i++)
        assert_true(check->verdicts[i].state == PORT_STATE_OPEN ||
                    check->verdicts[i].duration.ns > 0);
}

static struct check *joined;

static void join(struct timer *timer)
{
    struct rig *rig = rig_of(timer);
    joined = rig_check(rig, THERE, ports + 100, 30, 5000);
}

/* It does not find out again what is known: all it sends is paced. */
static void a_job_that_joins_is_limited_from_the_start(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 130);
    assert_true(firewall(COUNT_SYNS SYNS "limit rate over 4/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 40, 8000);
    rig_after(rig, 3000, join);
    rig_run(rig);
    assert_open_or_limited(check, ETIMEDOUT);
    assert_open_or_limited(joined, ETIMEDOUT);
    assert_int_equal(joined->result.limit.answered, 0);
    assert_first_were_asked(joined);
    rig_free(rig);
}

static long syns_before;
static int sent_before;

static void check_again(struct rig *rig)
{
    syns_before = syns_there();
    sent_before = rig->attempted + rig->controls;
    joined = rig_check(rig, THERE, ports + 100, 30, 4000);
}

static void so_is_one_that_follows_it(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 130);
    assert_true(firewall(COUNT_SYNS SYNS "limit rate over 4/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 40, 5000);
    rig->on_idle = check_again;
    rig_run(rig);
    assert_true(count_state(check, PORT_STATE_LIMITED) > 0);
    assert_open_or_limited(joined, ETIMEDOUT);
    assert_first_were_asked(joined);

    /* Paced, and no SYN twice: the kernel's repetitions would use up what the limit allows.
     * The result of the last controls may not be known yet. */
    long syns = syns_there() - syns_before;
    assert_in_range(syns, 5, 45); /* in 4 seconds */
    assert_in_range(syns - (rig->attempted + rig->controls - sent_before), 0, 2);
    rig_free(rig);
}

/* --- cancelled ---------------------------------------------------------------------- */

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
    struct check *other = rig_check(rig, THERE, ports + 40, 12, 9000);
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

static size_t cancel_at;
static enum port_state cancel_state;

static void cancel_on_settled(struct check *check)
{
    if (check->verdicts[check->last_index].state == cancel_state && cancel_at-- == 0)
        check_cancel(check);
}

static struct check *check_cancelled(struct rig *rig, enum port_state state, size_t at,
                                     int64_t deadline_ms)
{
    struct check *check = rig_check(rig, THERE, ports, 40, deadline_ms);
    check->on_settled = cancel_on_settled;
    cancel_state = state;
    cancel_at = at;
    rig_run(rig);
    assert_false(check->is_done);
    return check;
}

/* At its deadline, by its first limited port and by a later one. */
static void a_settled_port_may_cancel_the_job_at_its_deadline(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 40);
    static const size_t nths[] = {0, 20};
    for (size_t i = 0; i < 2; i++) {
        assert_true(firewall(BAN));
        struct rig *rig = rig_of_five_seconds();
        struct check *check = check_cancelled(rig, PORT_STATE_LIMITED, nths[i], 4000);
        assert_int_equal(count_state(check, PORT_STATE_LIMITED), nths[i] + 1);
        rig_free(rig);
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

/* --- proofs ------------------------------------------------------------------------- */

static const struct proof_token token = {"00112233445566778899aabbccddeeff"};

/* These listeners say nothing, so each proof lasts its 1.5 seconds. */
static void proofs_are_read_while_limited(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 16);
    assert_true(firewall(SYNS "limit rate over 10/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    rig->token = &token;
    struct check *check = rig_check(rig, THERE, ports, 16, 15000);
    rig_run(rig);
    assert_open(check);
    for (size_t i = 0; i < 16; i++)
        assert_int_equal(check->verdicts[i].proof, PROOF_SILENT);
    rig_free(rig);
}

static void a_deadline_ends_proofs_and_limits(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 40);
    assert_true(firewall(SYNS "limit rate over 4/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    rig->token = &token;
    struct check *check = rig_check(rig, THERE, ports, 40, 4000);
    rig_run(rig);
    assert_open_or_limited(check, ETIMEDOUT);
    assert_true(count_state(check, PORT_STATE_OPEN) >= 8);
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(check->verdicts[i].proof,
                         check->verdicts[i].state == PORT_STATE_OPEN ? PROOF_SILENT
                                                                     : PROOF_NONE);
    rig_free(rig);
}

/* An open port stays open when only its proof is late. */
static void a_deadline_settles_an_open_port_whose_proof_is_late(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 4);
    assert_true(firewall(""));
    struct rig *rig = rig_of_five_seconds();
    rig->token = &token;
    struct check *check = rig_check(rig, THERE, ports, 4, 700);
    rig_run(rig);
    assert_open(check);
    assert_in_range(rig_age_ms(rig, check->done_at), 700, 1499);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(check->verdicts[i].proof, PROOF_SILENT);
    rig_free(rig);
}

static void cancel_at_once(struct check *check)
{
    if (check->verdicts[check->last_index].state == PORT_STATE_OPEN)
        check_cancel(check);
}

static void one_of_them_may_cancel_the_job(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 4);
    assert_true(firewall(""));
    struct rig *rig = rig_of_five_seconds();
    rig->token = &token;
    struct check *check = rig_check(rig, THERE, ports, 4, 700);
    check->on_settled = cancel_at_once;
    rig_run(rig);
    assert_false(check->is_done);
    assert_int_equal(check->settled, 1);
    rig_free(rig);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_begin, lab_end)

int main(void)
{
    has_lab = lab_enter() && firewall("") && own_firewall("");
    const struct CMUnitTest tests[] = {
        TEST(what_this_machine_drops_while_limited_is_a_fault),
        TEST(no_descriptors_while_limited_are_a_fault),
        TEST(no_quota_while_limited_is_overload),
        TEST(with_two_sockets_a_limit_is_found_out_all_the_same),
        TEST(a_gateway_that_dies_while_limited_is_a_fault),
        TEST(jobs_at_a_limited_address_take_turns),
        TEST(a_job_that_joins_is_limited_from_the_start),
        TEST(so_is_one_that_follows_it),
        TEST(a_job_may_be_cancelled_while_limited),
        TEST(so_may_the_only_one),
        TEST(a_settled_port_may_cancel_the_job_at_its_deadline),
        TEST(a_settled_port_may_cancel_the_job_while_limited),
        TEST(so_may_one_that_is_closed_while_limited),
        TEST(a_job_cancelled_in_that_turn_leaves_no_limit_behind),
        TEST(an_engine_may_end_with_controls_under_way),
        TEST(proofs_are_read_while_limited),
        TEST(a_deadline_ends_proofs_and_limits),
        TEST(a_deadline_settles_an_open_port_whose_proof_is_late),
        TEST(one_of_them_may_cancel_the_job),
    };
    return cmocka_run_group_tests_name("engine_limited_jobs", tests, NULL, NULL);
}
