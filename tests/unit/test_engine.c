/* SPDX-License-Identifier: MIT
 *
 * Verdicts about real targets, in network namespaces of this program's own.
 */
#include "engine_lab.h"

#include <limits.h>

static bool has_lab;

static void need_lab(void)
{
    if (!has_lab)
        skip();
}

/* --- what a target can do ----------------------------------------------------------- */

#define V4 "meta nfproto ipv4 tcp dport "
#define V6 "meta nfproto ipv6 tcp dport "

static const char *const every_answer = "tcp dport 1000 drop\n"
                                        "tcp dport 1001 reject with tcp reset\n" /**/
    V4 "1002 reject with icmp type port-unreachable\n"                           /**/
    V4 "1003 reject with icmp type host-unreachable\n"                           /**/
    V4 "1004 reject with icmp type net-unreachable\n"                            /**/
    V4 "1005 reject with icmp type admin-prohibited\n"                           /**/
    V4 "1006 reject with icmp type host-prohibited\n"                            /**/
    V4 "1007 reject with icmp type net-prohibited\n"                             /**/
    V6 "1002 reject with icmpv6 type port-unreachable\n"                         /**/
    V6 "1003 reject with icmpv6 type addr-unreachable\n"                         /**/
    V6 "1004 reject with icmpv6 type no-route\n"                                 /**/
    V6 "1005 reject with icmpv6 type admin-prohibited\n"                         /**/
    V6 "1006 reject with icmpv6 type policy-fail\n"                              /**/
    V6 "1007 reject with icmpv6 type reject-route\n";

static void a_verdict_is_what_the_target_did(void **state)
{
    (void)state;
    need_lab();
    /* clang-format off */
    static const struct {
        const char *what, *target;
        uint16_t port;
        enum port_state state;
        int errnum;
        int attempts;
    } rows[] = {
        {"open",                 THERE,  999,  PORT_STATE_OPEN,        0,            1},
        {"no listener",          THERE,  998,  PORT_STATE_CLOSED,      ECONNREFUSED, 1},
        {"dropped",              THERE,  1000, PORT_STATE_FILTERED,    ETIMEDOUT,    2},
        {"rejected, reset",      THERE,  1001, PORT_STATE_CLOSED,      ECONNREFUSED, 1},
        {"port unreachable",     THERE,  1002, PORT_STATE_CLOSED,      ECONNREFUSED, 1},
        {"host unreachable",     THERE,  1003, PORT_STATE_UNREACHABLE, EHOSTUNREACH, 2},
        {"net unreachable",      THERE,  1004, PORT_STATE_UNREACHABLE, ENETUNREACH,  2},
        {"admin prohibited",     THERE,  1005, PORT_STATE_UNREACHABLE, EHOSTUNREACH, 2},
        {"host prohibited",      THERE,  1006, PORT_STATE_UNREACHABLE, EHOSTUNREACH, 2},
        {"net prohibited",       THERE,  1007, PORT_STATE_UNREACHABLE, EHOSTUNREACH, 2},
        {"open, v6",             THERE6, 999,  PORT_STATE_OPEN,        0,            1},
        {"no listener, v6",      THERE6, 998,  PORT_STATE_CLOSED,      ECONNREFUSED, 1},
        {"dropped, v6",          THERE6, 1000, PORT_STATE_FILTERED,    ETIMEDOUT,    2},
        {"rejected, reset, v6",  THERE6, 1001, PORT_STATE_CLOSED,      ECONNREFUSED, 1},
        {"port unreachable, v6", THERE6, 1002, PORT_STATE_CLOSED,      ECONNREFUSED, 1},
        {"addr unreachable, v6", THERE6, 1003, PORT_STATE_UNREACHABLE, EHOSTUNREACH, 2},
        {"no route, v6",         THERE6, 1004, PORT_STATE_UNREACHABLE, ENETUNREACH,  2},
        {"admin prohibited, v6", THERE6, 1005, PORT_STATE_UNREACHABLE, EACCES,       2},
        {"policy fail, v6",      THERE6, 1006, PORT_STATE_UNREACHABLE, EACCES,       2},
        {"reject route, v6",     THERE6, 1007, PORT_STATE_UNREACHABLE, EACCES,       2},
    };
    /* clang-format on */
    assert_true(firewall(every_answer));
    int v4 = listener_there(THERE, 999, 8), v6 = listener_there(THERE6, 999, 8);

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig *rig = rig_new();
        struct check *check = rig_check_one(rig, rows[i].target, rows[i].port);
        rig_run(rig);
        const struct port_verdict *verdict = &check->verdicts[0];
        if (check->result.end != JOB_JUDGED || verdict->state != rows[i].state ||
            verdict->errnum != rows[i].errnum || rig->attempted != rows[i].attempts)
            fail_msg("%s: end %d, %s, errno %d, %d attempts, %s", rows[i].what,
                     (int)check->result.end, port_state_text(verdict->state),
                     verdict->errnum, rig->attempted, check->result.reason.message);
        assert_int_equal(rig->settled, 1);
        assert_int_equal(check->result.untried, 0);
        rig_free(rig);
    }
    close(v4);
    close(v6);
}

static void an_answer_tells_the_round_trip_time(void **state)
{
    (void)state;
    need_lab();
    assert_true(firewall(""));
    int fd = listener_there(THERE, 999, 8);
    struct rig *rig = rig_new();
    struct check *check = rig_check(rig, THERE, (uint16_t[]){999, 998}, 2, 5000);
    rig_run(rig);
    for (int i = 0; i < 2; i++) {
        assert_true(check->verdicts[i].has_rtt);
        assert_true(check->verdicts[i].rtt.ns > 0);
        assert_true(check->verdicts[i].rtt.ns <
                    instant_since(check->done_at, rig->started_at).ns);
    }
    rig_free(rig);
    close(fd);
}

static void silence_lasts_as_long_as_the_setting_says(void **state)
{
    (void)state;
    need_lab();
    assert_true(firewall("tcp dport 1000 drop"));
    struct rig *rig = rig_new();
    rig->config.timeout = span_ms(800);
    struct check *check = rig_check_one(rig, THERE, 1000);
    rig_run(rig);
    assert_state(check, 0, PORT_STATE_FILTERED);
    /* A silent host takes 4 seconds otherwise. */
    assert_in_range(rig_age_ms(rig, check->done_at), 800, 3999);
    assert_in_range(check->verdicts[0].duration.ns / NS_PER_MS, 800, 3999);
    assert_false(check->verdicts[0].has_rtt);
    rig_free(rig);
}

static void every_port_of_a_mixed_job_gets_its_own_verdict(void **state)
{
    (void)state;
    need_lab();
    enum { PORTS = 300 };
    uint16_t ports[PORTS];
    int fds[PORTS] = {0};
    assert_true(firewall("tcp dport 20000-20299 tcp dport & 3 == 2 drop"));
    for (size_t i = 0; i < PORTS; i++) {
        ports[i] = (uint16_t)(20000 + i * 7 % PORTS);
        if (ports[i] % 4 == 0)
            fds[i] = listener_there(THERE, ports[i], 8);
    }
    struct rig *rig = rig_new();
    struct check *check = rig_check(rig, THERE, ports, PORTS, 10000);
    rig_run(rig);
    for (size_t i = 0; i < PORTS; i++) {
        assert_int_equal(check->verdicts[i].port, ports[i]);
        assert_state(check, i,
                     ports[i] % 4 == 0   ? PORT_STATE_OPEN
                     : ports[i] % 4 == 2 ? PORT_STATE_FILTERED
                                         : PORT_STATE_CLOSED);
    }
    assert_int_equal(rig->settled, PORTS);
    rig_free(rig);
    for (size_t i = 0; i < PORTS; i++)
        if (fds[i])
            close(fds[i]);
}

/* --- the target's application ------------------------------------------------------- */

static int plain_connect(const char *target, uint16_t port)
{
    struct address address = address_and_port(target, port);
    int fd = socket(address.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval limit = {.tv_sec = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
    if (connect(fd, &address.sa, address.len) == 0)
        return fd;
    close(fd);
    return -1;
}

static int accept_all(int fd)
{
    int count = 0;
    for (int server; (server = accept(fd, NULL, NULL)) >= 0; count++)
        close(server);
    assert_int_equal(errno, EAGAIN);
    return count;
}

/* Returns how many of them the listener noticed. */
static int probe_two_hundred_times(int fd)
{
    struct rig *rig = rig_new();
    for (int i = 0; i < 200; i++)
        rig_check_one(rig, THERE, 999);
    rig_run(rig);
    for (size_t i = 0; i < rig->check_count; i++)
        assert_state(&rig->checks[i], 0, PORT_STATE_OPEN);
    rig_free(rig);
    return accept_all(fd);
}

/* The best of some runs counts: on a busy machine a probe may not be reset within 40 ms,
 * and then the kernel acknowledges the handshake after all. */
static void two_hundred_probes_and_the_listener_accepts_none(void **state)
{
    (void)state;
    need_lab();
    assert_true(firewall(""));
    int fd = listener_there(THERE, 999, 512);
    int fewest = INT_MAX;
    for (int i = 0; i < 100 && fewest > 0; i++) {
        int accepted = probe_two_hundred_times(fd);
        fewest = accepted < fewest ? accepted : fewest;
    }
    assert_int_equal(fewest, 0);

    int client = plain_connect(THERE, 999);
    assert_true(client >= 0);
    int server = accept(fd, NULL, NULL);
    assert_true(server >= 0);
    close(server);
    close(client);
    close(fd);
}

static void a_full_accept_queue_is_silence_and_a_drained_one_is_open(void **state)
{
    (void)state;
    need_lab();
    assert_true(firewall(""));
    int fd = listener_there(THERE, 999, 1);
    int clients[8], count = 0;
    while (count < 8 && (clients[count] = plain_connect(THERE, 999)) >= 0)
        count++;
    assert_in_range(count, 1, 7);

    struct rig *rig = rig_new();
    struct check *check = rig_check_one(rig, THERE, 999);
    rig_run(rig);
    assert_state(check, 0, PORT_STATE_FILTERED);
    rig_free(rig);

    assert_true(accept_all(fd) >= count);
    rig = rig_new();
    check = rig_check_one(rig, THERE, 999);
    rig_run(rig);
    assert_state(check, 0, PORT_STATE_OPEN);
    rig_free(rig);

    for (int i = 0; i < count; i++)
        close(clients[i]);
    close(fd);
}

static void a_second_socket_finds_a_port_that_lost_the_first_syn(void **state)
{
    (void)state;
    need_lab();
    /* All but the first SYN are let in. */
    assert_true(
        firewall("tcp dport 999 ct state new limit rate over 1/hour burst 1 packets "
                 "accept\ntcp dport 999 drop"));
    int fd = listener_there(THERE, 999, 8);
    struct rig *rig = rig_new();
    rig->config.timeout = span_seconds(5);
    struct check *check = rig_check_one(rig, THERE, 999);
    rig_run(rig);
    assert_state(check, 0, PORT_STATE_OPEN);
    assert_int_equal(rig->attempted, 2);
    assert_true(rig_age_ms(rig, check->done_at) >= 300);
    assert_true(check->verdicts[0]
                    .has_rtt); /* not of an answer to a SYN that the kernel repeated */
    rig_free(rig);
    close(fd);
}

/* The late answer is for the first socket, although a second one has been tried since. */
static void the_kernels_second_syn_finds_a_port_that_lost_the_first(void **state)
{
    (void)state;
    need_lab();
    /* Each source port is let in with its second SYN. */
    assert_true(firewall("tcp dport 999 meter seen { tcp sport limit rate over 1/hour "
                         "burst 1 packets } accept\ntcp dport 999 drop"));
    int fd = listener_there(THERE, 999, 8);
    struct rig *rig = rig_new();
    rig->config.timeout = span_seconds(5);
    struct check *check = rig_check_one(rig, THERE, 999);
    rig_run(rig);
    assert_state(check, 0, PORT_STATE_OPEN);
    assert_int_equal(rig->attempted, 2);
    assert_true(rig_age_ms(rig, check->done_at) >= 900);
    assert_false(check->verdicts[0].has_rtt);
    rig_free(rig);
    close(fd);
}

/* --- refusals ----------------------------------------------------------------------- */

static void three_refusals_are_asked_for_with_pauses_between(void **state)
{
    (void)state;
    need_lab();
    assert_true(firewall(""));
    long resets = tcp_counter_there("OutRsts");
    struct rig *rig = rig_new();
    rig->config.refusals_needed = 3;
    rig->config.refusal_delay = span_ms(150);
    rig->config.timeout = span_seconds(5);
    struct check *check = rig_check_one(rig, THERE, 998);
    rig_run(rig);
    assert_state(check, 0, PORT_STATE_CLOSED);
    assert_int_equal(rig->attempted, 3);
    assert_int_equal(tcp_counter_there("OutRsts") - resets, 3);
    assert_in_range(rig_age_ms(rig, check->done_at), 300, 4999); /* the timeout */
    rig_free(rig);
}

static void a_port_that_opens_after_a_refusal_is_open(void **state)
{
    (void)state;
    need_lab();
    assert_true(firewall("tcp dport 999 limit rate over 1/hour burst 1 packets accept\n"
                         "tcp dport 999 reject with tcp reset"));
    int fd = listener_there(THERE, 999, 8);
    struct rig *rig = rig_new();
    rig->config.refusals_needed = 2;
    rig->config.timeout = span_seconds(5);
    struct check *check = rig_check_one(rig, THERE, 999);
    rig_run(rig);
    assert_state(check, 0, PORT_STATE_OPEN);
    assert_int_equal(rig->attempted, 2);
    rig_free(rig);
    close(fd);
}

static void one_refusal_is_closed_when_time_is_up(void **state)
{
    (void)state;
    need_lab();
    assert_true(firewall(""));
    struct rig *rig = rig_new();
    rig->config.refusals_needed = 2;
    rig->config.refusal_delay = span_seconds(3);
    struct check *check = rig_check_one(rig, THERE, 998);
    rig_run(rig);
    assert_state(check, 0, PORT_STATE_CLOSED);
    assert_int_equal(rig->attempted, 1);
    assert_in_range(rig_age_ms(rig, check->done_at), 500, 2999); /* the pause */
    rig_free(rig);
}

/* --- many at once ------------------------------------------------------------------- */

/* `check` came second; nothing of the first is known yet. */
static void nothing_else_is_settled(struct check *check)
{
    assert_int_equal(check->rig->checks[0].settled, 0);
}

static void a_job_of_one_does_not_wait_for_a_thousand_silent_ports(void **state)
{
    (void)state;
    need_lab();
    uint16_t ports[1000];
    count_ports(ports, 1000, 20000);
    assert_true(firewall("tcp dport 20000-20999 drop"));
    int fd = listener_there(THERE, 999, 8);
    struct rig *rig = rig_new();
    rig->config.timeout = span_ms(700);
    struct check *large = rig_check(rig, THERE, ports, 1000, 20000);
    struct check *small = rig_check_one(rig, THERE, 999);
    small->on_settled = nothing_else_is_settled;
    rig_run(rig);
    assert_int_equal(count_state(large, PORT_STATE_FILTERED), 1000);
    assert_state(small, 0, PORT_STATE_OPEN);
    assert_true(rig_age_ms(rig, large->done_at) > 700);
    rig_free(rig);
    close(fd);
}

static struct check *late_check;

static void start_late_check(struct check *check)
{
    if (check->settled == 300)
        late_check = rig_check_one(check->rig, THERE, 999);
}

/* A target that sends at most 200 resets a second, as FreeBSD does, then none. */
static void ports_are_closed_though_the_target_limits_its_resets(void **state)
{
    (void)state;
    need_lab();
    uint16_t ports[600];
    count_ports(ports, 600, 20000);
    assert_true(firewall("tcp dport 20000-20599 limit rate 200/second burst 200 packets "
                         "reject with tcp reset\n"
                         "tcp dport 20000-20599 drop"));
    int fd = listener_there(THERE, 999, 8);
    struct rig *rig = rig_new();
    rig->config.timeout = span_seconds(5);
    struct check *check = rig_check(rig, THERE, ports, 600, 20000);
    check->on_settled = start_late_check;
    rig_run(rig);
    assert_int_equal(count_state(check, PORT_STATE_CLOSED), 600);
    assert_state(late_check, 0, PORT_STATE_OPEN);
    assert_true(instant_before(late_check->done_at, check->done_at));
    rig_free(rig);
    close(fd);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    has_lab = lab_enter() && firewall("");
    const struct CMUnitTest tests[] = {
        TEST(a_verdict_is_what_the_target_did),
        TEST(an_answer_tells_the_round_trip_time),
        TEST(silence_lasts_as_long_as_the_setting_says),
        TEST(every_port_of_a_mixed_job_gets_its_own_verdict),
        TEST(two_hundred_probes_and_the_listener_accepts_none),
        TEST(a_full_accept_queue_is_silence_and_a_drained_one_is_open),
        TEST(a_second_socket_finds_a_port_that_lost_the_first_syn),
        TEST(the_kernels_second_syn_finds_a_port_that_lost_the_first),
        TEST(three_refusals_are_asked_for_with_pauses_between),
        TEST(a_port_that_opens_after_a_refusal_is_open),
        TEST(one_refusal_is_closed_when_time_is_up),
        TEST(a_job_of_one_does_not_wait_for_a_thousand_silent_ports),
        TEST(ports_are_closed_though_the_target_limits_its_resets),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
