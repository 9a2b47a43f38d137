/* SPDX-License-Identifier: MIT
 *
 * This checker's own problems, which must never become a verdict about a target; and jobs
 * that end early.
 */
#include "engine_lab.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define PORT_RANGE "/proc/sys/net/ipv4/ip_local_port_range"

static bool has_lab;

static void need_lab(void)
{
    if (!has_lab)
        skip();
}

static void count_open(const struct check *check, size_t expected)
{
    assert_true(check->is_done);
    if (check->result.end != JOB_JUDGED)
        fail_msg("end %d: %s", (int)check->result.end, check->result.reason.message);
    assert_int_equal(count_state(check, PORT_STATE_OPEN), expected);
}

/* --- descriptors and quota ---------------------------------------------------------- */

static void a_thousand_open_ports_are_open_with_thirty_descriptors(void **state)
{
    (void)state;
    need_lab();
    enum { PORTS = 1000 };
    uint16_t ports[PORTS];
    int fds[PORTS];
    struct rlimit before, tight;
    count_ports(ports, PORTS, 20000);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = before.rlim_max < 4096 ? before.rlim_max : 4096;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    for (size_t i = 0; i < PORTS; i++)
        fds[i] = listener("127.0.0.1", ports[i], 8);

    struct rig *rig = rig_new();
    struct check *check = rig_check(rig, "127.0.0.1", ports, PORTS, 20000);
    int first_free = dup(0);
    close(first_free);
    tight.rlim_cur = (rlim_t)first_free + 30;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    rig_run(rig);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);

    count_open(check, PORTS);
    assert_true(rig->deferred_ever > 0);
    assert_int_equal(rig->last_fault, EMFILE);
    rig_free(rig);
    for (size_t i = 0; i < PORTS; i++)
        close(fds[i]);
}

static void without_descriptors_the_deadline_brings_a_fault_not_a_verdict(void **state)
{
    (void)state;
    need_lab();
    struct rlimit before, tight;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rig *rig = rig_new();
    struct check *check = rig_check(rig, "127.0.0.1", (uint16_t[]){1, 2, 3}, 3, 700);
    int first_free = dup(0);
    close(first_free);
    tight = before;
    tight.rlim_cur = (rlim_t)first_free;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    rig_run(rig);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);

    assert_int_equal(check->settled, 0);
    assert_int_equal(check->result.end, JOB_FAULT);
    assert_int_equal(check->result.reason.errnum, EMFILE);
    assert_int_equal(check->result.untried, 3);
    assert_int_equal(rig->attempted, 0);
    rig_free(rig);
}

static struct rlimit wide;

static void widen(struct timer *timer)
{
    (void)timer;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &wide), 0);
}

/* Its one silent port is tried as soon as descriptors are available again; when the
 * deadline comes, only time is short. */
static void a_fault_that_was_overcome_is_not_what_the_deadline_blames(void **state)
{
    (void)state;
    need_lab();
    assert_true(firewall("tcp dport 1000 drop"));
    struct rig *rig = rig_new();
    rig->config.timeout = span_seconds(9);
    struct check *check = rig_check(rig, THERE, (uint16_t[]){1000}, 1, 2000);
    timer_init(&rig->extra, widen);
    assert_true(
        loop_timer_set(rig->loop, &rig->extra, instant_add(clock_now(), span_ms(200))));
    int first_free = dup(0);
    close(first_free);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &wide), 0);
    struct rlimit tight = wide;
    tight.rlim_cur = (rlim_t)first_free;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    rig_run(rig);

    assert_true(rig->faults > 0);
    assert_int_equal(rig->last_fault, EMFILE);
    assert_true(rig->attempted > 0);
    assert_int_equal(check->settled, 0);
    assert_int_equal(check->result.end, JOB_OVERLOADED);
    assert_non_null(strstr(check->result.reason.message, "1 of 1 ports"));
    rig_free(rig);
}

static void no_more_sockets_are_in_flight_than_the_shared_limit_allows(void **state)
{
    (void)state;
    need_lab();
    uint16_t ports[200];
    count_ports(ports, 200, 20000);
    assert_true(firewall("tcp dport 20000-20003 drop"));
    struct rig *rig = rig_new();
    rig->limit.max = 4;
    struct check *check = rig_check(rig, THERE, ports, 200, 20000);
    struct check *local = rig_check(rig, "127.0.0.1", ports, 200, 20000);
    rig_run(rig);
    assert_int_equal(count_state(check, PORT_STATE_FILTERED), 4);
    assert_int_equal(count_state(check, PORT_STATE_CLOSED), 196);
    assert_int_equal(count_state(local, PORT_STATE_CLOSED), 200);
    assert_in_range(rig->in_flight_max, 1, 4);
    assert_int_equal(rig->faults, 0);
    rig_free(rig);
}

static void a_limit_used_up_by_others_is_overload(void **state)
{
    (void)state;
    need_lab();
    struct rig *rig = rig_new();
    atomic_store(&rig->limit.in_flight, rig->limit.max);
    struct check *check = rig_check(rig, "127.0.0.1", (uint16_t[]){1, 2}, 2, 300);
    rig_run(rig);
    assert_int_equal(check->result.end, JOB_OVERLOADED);
    assert_int_equal(check->result.untried, 2);
    assert_int_equal(check->settled, 0);
    assert_true(rig_age_ms(rig, check->done_at) >= 300);
    atomic_fetch_sub(&rig->limit.in_flight, rig->limit.max);
    rig_free(rig);
}

/* --- source ports ------------------------------------------------------------------- */

static void ten_source_ports_serve_two_hundred_jobs_at_one_port(void **state)
{
    (void)state;
    need_lab();
    assert_true(firewall(""));
    int fd = listener_there(THERE, 999, 512);
    assert_true(write_file(PORT_RANGE, "40000 40009"));
    struct rig *rig = rig_new();
    for (int i = 0; i < 200; i++)
        rig_check_one(rig, THERE, 999);
    rig_run(rig);
    assert_true(write_file(PORT_RANGE, "32768 60999"));
    for (size_t i = 0; i < rig->check_count; i++)
        assert_state(&rig->checks[i], 0, PORT_STATE_OPEN);
    assert_true(rig->faults > 0);
    assert_int_equal(rig->last_fault, EADDRNOTAVAIL);
    rig_free(rig);
    close(fd);
}

static void silent_jobs_that_take_all_source_ports_are_still_judged(void **state)
{
    (void)state;
    need_lab();
    assert_true(firewall("tcp dport 1000 drop"));
    assert_true(write_file(PORT_RANGE, "40000 40009"));
    struct rig *rig = rig_new();
    for (int i = 0; i < 30; i++)
        rig_check_one(rig, THERE, 1000);
    rig_run(rig);
    assert_true(write_file(PORT_RANGE, "32768 60999"));
    for (size_t i = 0; i < rig->check_count; i++)
        assert_state(&rig->checks[i], 0, PORT_STATE_FILTERED);
    assert_true(rig->faults > 0);
    rig_free(rig);
}

/* The only source port is the closed port itself, so every attempt connects to itself. */
static void a_socket_that_connects_to_itself_does_not_make_a_port_open(void **state)
{
    (void)state;
    need_lab();
    assert_true(write_file(PORT_RANGE, "40001 40001"));
    struct rig *rig = rig_new();
    struct check *check = rig_check_one(rig, "127.0.0.1", 40001);
    rig_run(rig);
    assert_true(write_file(PORT_RANGE, "32768 60999"));
    assert_state(check, 0, PORT_STATE_CLOSED);
    assert_int_equal(check->verdicts[0].errnum, ECONNREFUSED);
    assert_int_equal(rig->attempted, 4);
    rig_free(rig);
}

/* --- routes ------------------------------------------------------------------------- */

static void an_address_without_a_route_ends_the_job_at_once(void **state)
{
    (void)state;
    need_lab();
    static const struct {
        const char *target, *words;
    } rows[] = {
        {"10.1.2.3", "this checker has no IPv4 route"},
        {"2001:db8::1", "this checker has no IPv6 route"},
        {"10.98.0.1", "this checker has no IPv4 route"},
        {"fd98::1", "this checker has no IPv6 route"},
        {"10.99.0.1", "forbids it to reach the IPv4"},
        {"fd99::1", "forbids it to reach the IPv6"},
    };
    assert_true(shell("ip route replace unreachable 10.98.0.0/16 && "
                      "ip -6 route replace unreachable fd98::/64 && "
                      "ip route replace prohibit 10.99.0.0/16 && "
                      "ip -6 route replace prohibit fd99::/64"));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig *rig = rig_new();
        struct check *check =
            rig_check(rig, rows[i].target, (uint16_t[]){1, 2, 3}, 3, 9000);
        rig_run(rig);
        assert_int_equal(check->result.end, JOB_NO_ROUTE);
        assert_non_null(strstr(check->result.reason.message, rows[i].words));
        assert_int_equal(check->result.untried, 3);
        assert_int_equal(check->settled, 0);
        assert_int_equal(rig->attempted, 0);
        assert_int_equal(rig->faults, 1);
        assert_true(rig_age_ms(rig, check->done_at) < 9000); /* the deadline */
        rig_free(rig);
    }
}

static void a_checker_without_ipv6_says_so(void **state)
{
    (void)state;
    need_lab();
    assert_true(write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"));
    struct rig *rig = rig_new();
    struct check *outside = rig_check_one(rig, "2001:db8::1", 80);
    struct check *loopback = rig_check_one(rig, "::1", 80);
    rig_run(rig);
    assert_true(write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0"));
    assert_int_equal(outside->result.end, JOB_NO_ROUTE);
    assert_int_equal(loopback->result.end, JOB_NO_ROUTE);
    assert_non_null(strstr(outside->result.reason.message, "no IPv6 route"));
    assert_true(rig_age_ms(rig, loopback->done_at) < 20000); /* the deadline */
    rig_free(rig);
}

/* --- early ends --------------------------------------------------------------------- */

static void the_deadline_ends_a_job_without_a_verdict(void **state)
{
    (void)state;
    need_lab();
    assert_true(firewall("tcp dport 1000 drop"));
    struct rig *rig = rig_new();
    rig->config.timeout = span_seconds(5);
    /* Enough for the port that refuses, too little for the one that is silent. */
    struct check *check = rig_check(rig, THERE, (uint16_t[]){998, 1000}, 2, 900);
    rig_run(rig);
    assert_int_equal(check->result.end, JOB_OVERLOADED);
    assert_non_null(strstr(check->result.reason.message, "1 of 2 ports"));
    assert_int_equal(check->result.untried, 0);
    assert_int_equal(check->settled, 1);
    assert_true(rig_age_ms(rig, check->done_at) >= 900);
    rig_free(rig);
}

static void cancel_it(struct check *check)
{
    check->on_settled = NULL;
    check_cancel(check);
}

static void a_job_may_be_cancelled_by_its_own_verdict(void **state)
{
    (void)state;
    need_lab();
    uint16_t ports[200];
    count_ports(ports, 200, 20000);
    assert_true(firewall("tcp dport 20100-20199 drop"));
    struct rig *rig = rig_new();
    struct check *many = rig_check(rig, THERE, ports, 200, 20000);
    struct check *one = rig_check_one(rig, THERE, 998);
    struct check *other = rig_check_one(rig, THERE, 997);
    many->on_settled = cancel_it;
    one->on_settled = cancel_it;
    rig_run(rig);
    assert_int_equal(many->settled, 1);
    assert_false(many->is_done);
    assert_int_equal(one->settled, 1);
    assert_false(one->is_done);
    assert_state(other, 0, PORT_STATE_CLOSED);
    rig_free(rig);
}

static struct check *victim;

static void cancel_victim(struct timer *timer)
{
    (void)timer;
    check_cancel(victim);
}

static void cancel_with_many(struct rig *rig)
{
    if (rig->attempted <= 100)
        return;
    rig->on_attempt = NULL;
    timer_init(&rig->extra, cancel_victim);
    assert_true(loop_timer_set(rig->loop, &rig->extra, clock_now()));
}

static void a_job_that_is_cancelled_in_flight_leaves_nothing_behind(void **state)
{
    (void)state;
    need_lab();
    uint16_t ports[1000];
    count_ports(ports, 1000, 20000);
    assert_true(firewall("tcp dport 20000-20999 drop"));
    struct rig *rig = rig_new();
    victim = rig_check(rig, THERE, ports, 1000, 20000);
    rig->on_attempt = cancel_with_many;
    rig_run(rig);
    assert_int_equal(victim->settled, 0);
    assert_false(victim->is_done);
    assert_true(rig->attempted > 100);
    rig_free(rig);
}

static void cancelling_tells_how_many_ports_were_never_tried(void **state)
{
    (void)state;
    need_lab();
    uint16_t ports[50];
    count_ports(ports, 50, 20000);
    struct rig *rig = rig_new();
    struct check *check = rig_check(rig, THERE, ports, 50, 20000);
    assert_int_equal(engine_jobs(rig->engine), 1);
    assert_int_equal(engine_cancel(check->job, NULL), 50);
    rig_free(rig);
}

static void free_the_rest(struct check *check)
{
    loop_stop(check->rig->loop);
}

static void an_engine_is_freed_with_jobs_in_flight(void **state)
{
    (void)state;
    need_lab();
    uint16_t ports[300];
    count_ports(ports, 300, 20000);
    assert_true(firewall("tcp dport 20000-20299 drop"));
    struct rig *rig = rig_new();
    rig->config.timeout = span_ms(600);
    for (int i = 0; i < 3; i++)
        rig_check(rig, THERE, ports, 300, 20000);
    rig->checks[0].on_settled = free_the_rest;
    rig_run(rig);
    assert_int_equal(engine_jobs(rig->engine), 3);
    assert_true(atomic_load(&rig->limit.in_flight) > 0);
    rig->engine = engine_free(rig->engine);
    rig_free(rig);
}

static void an_engine_that_has_too_many_ports_takes_no_more(void **state)
{
    (void)state;
    need_lab();
    static uint16_t ports[60000];
    struct err err;
    count_ports(ports, 60000, 1);
    struct rig *rig = rig_new();
    const struct job_request request = {
        .target = address_of(THERE),
        .ports = ports,
        .port_count = 60000,
        .deadline = instant_add(clock_now(), span_seconds(20)),
        .done = check_done,
    };
    struct job *jobs[5];
    assert_true(engine_new(rig->loop, &rig->config, &rig->engine, NULL));
    for (int i = 0; i < 4; i++)
        assert_true(engine_start(rig->engine, &request, &jobs[i], NULL));
    assert_false(engine_start(rig->engine, &request, &jobs[4], &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    engine_cancel(jobs[0], NULL);
    assert_true(engine_start(rig->engine, &request, &jobs[4], NULL));
    rig->engine = engine_free(rig->engine);
    rig_free(rig);
}

/* --- a checker that stood still ----------------------------------------------------- */

static int ready_pipe[2];

static void tell_parent(struct rig *rig)
{
    (void)rig;
    if (write(ready_pipe[1], "r", 1) != 1)
        abort();
}

/* In a child: one silent port with 1.2 seconds to answer. Returns whether it was judged
 * as expected, after at least `wall_ms`. */
static void probe_as_child(enum port_state expected, int64_t wall_ms)
{
    struct rig *rig = rig_with_ms(1200);
    rig->on_attempt = tell_parent;
    struct check *check = rig_check_one(rig, THERE, 1000);
    rig_run(rig);
    bool is_right = check->is_done && check->result.end == JOB_JUDGED &&
                    check->verdicts[0].state == expected &&
                    rig_age_ms(rig, check->done_at) >= wall_ms;
    _exit(is_right ? 0 : 1);
}

/* Stops the child for 1.5 seconds once its SYN is out; `meanwhile` is the firewall that it
 * finds when it continues. */
static void probe_with_a_pause(enum port_state expected, int64_t wall_ms,
                               const char *meanwhile)
{
    char ready;
    int status;
    assert_true(firewall("tcp dport 1000 drop"));
    assert_int_equal(pipe2(ready_pipe, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        probe_as_child(expected, wall_ms);
    assert_int_equal(read(ready_pipe[0], &ready, 1), 1);
    assert_int_equal(kill(child, SIGSTOP), 0);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));

    assert_true(firewall(meanwhile));
    const struct timespec pause = {.tv_sec = 1, .tv_nsec = 500000000};
    nanosleep(&pause, NULL); /* the pause is the thing tested */
    assert_int_equal(kill(child, SIGCONT), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    close(ready_pipe[0]);
    close(ready_pipe[1]);
}

static void time_in_which_we_did_not_listen_is_not_silence(void **state)
{
    (void)state;
    need_lab();
    probe_with_a_pause(PORT_STATE_FILTERED, 2550, "tcp dport 1000 drop");
}

static void an_answer_that_came_during_the_pause_counts(void **state)
{
    (void)state;
    need_lab();
    int fd = listener_there(THERE, 1000, 8);
    probe_with_a_pause(PORT_STATE_OPEN, 1500, "");
    close(fd);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    has_lab = lab_enter() && firewall("");
    const struct CMUnitTest tests[] = {
        TEST(a_thousand_open_ports_are_open_with_thirty_descriptors),
        TEST(without_descriptors_the_deadline_brings_a_fault_not_a_verdict),
        TEST(a_fault_that_was_overcome_is_not_what_the_deadline_blames),
        TEST(no_more_sockets_are_in_flight_than_the_shared_limit_allows),
        TEST(a_limit_used_up_by_others_is_overload),
        TEST(ten_source_ports_serve_two_hundred_jobs_at_one_port),
        TEST(silent_jobs_that_take_all_source_ports_are_still_judged),
        TEST(a_socket_that_connects_to_itself_does_not_make_a_port_open),
        TEST(an_address_without_a_route_ends_the_job_at_once),
        TEST(a_checker_without_ipv6_says_so),
        TEST(the_deadline_ends_a_job_without_a_verdict),
        TEST(a_job_may_be_cancelled_by_its_own_verdict),
        TEST(a_job_that_is_cancelled_in_flight_leaves_nothing_behind),
        TEST(cancelling_tells_how_many_ports_were_never_tried),
        TEST(an_engine_is_freed_with_jobs_in_flight),
        TEST(an_engine_that_has_too_many_ports_takes_no_more),
        TEST(time_in_which_we_did_not_listen_is_not_silence),
        TEST(an_answer_that_came_during_the_pause_counts),
    };
    return cmocka_run_group_tests_name("engine_faults", tests, NULL, NULL);
}
