/* SPDX-License-Identifier: MIT
 *
 * Addresses that answer some ports and then no more: rate limits, bans, outages. What they
 * do not let us know must be LIMITED, never FILTERED or CLOSED; what this machine causes
 * must be neither.
 */
#include "engine_lab.h"

#include <sys/epoll.h>
#include <sys/resource.h>

static bool has_lab;

static void need_lab(void)
{
    if (!has_lab)
        skip();
}

#define FIRST     20000 /* the first port of each check */
#define PORTS_MAX 200

static uint16_t ports[PORTS_MAX];
static int listeners[PORTS_MAX];
static size_t listener_count;

static void open_ports(uint16_t first, size_t count)
{
    for (size_t i = 0; i < count; i++)
        listeners[listener_count++] = listener_there(THERE, (uint16_t)(first + i), 64);
}

static void close_ports(void)
{
    while (listener_count > 0)
        close(listeners[--listener_count]);
}

/* The firewall on our own output; "" takes it away. */
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

static int begin(void **state)
{
    (void)state;
    count_ports(ports, PORTS_MAX, FIRST);
    return 0;
}

static int end(void **state)
{
    (void)state;
    close_ports();
    return has_lab && !(own_firewall("") && firewall("")) ? -1 : 0;
}

static struct rig *rig_of_five_seconds(void)
{
    struct rig *rig = rig_new();
    rig->config.timeout = span_seconds(5);
    return rig;
}

/* `extra` fires after so many milliseconds. */
static void rig_after(struct rig *rig, int64_t ms, timer_fn *fire)
{
    timer_init(&rig->extra, fire);
    assert_true(
        loop_timer_set(rig->loop, &rig->extra, instant_add(clock_now(), span_ms(ms))));
}

static struct rig *rig_of(struct timer *timer)
{
    return (void *)((char *)timer - offsetof(struct rig, extra));
}

/* In which order the ports were settled. */
static size_t order[PORTS_MAX], order_count;

static void note_order(struct check *check)
{
    order[order_count++] = check->last_index;
}

/* Each verdict is OPEN or LIMITED, and what belongs to it is right. */
static void assert_open_or_limited(const struct check *check, int errnum)
{
    assert_state(check, 0, check->verdicts[0].state);
    int64_t lasted = instant_since(check->done_at, check->rig->started_at).ns;
    for (size_t i = 0; i < check->count; i++) {
        const struct port_verdict *verdict = &check->verdicts[i];
        if (verdict->state != PORT_STATE_OPEN)
            assert_state(check, i, PORT_STATE_LIMITED);
        assert_int_equal(verdict->errnum, verdict->state == PORT_STATE_OPEN ? 0 : errnum);
        assert_false(verdict->icmp.is_there);
        if (verdict->duration.ns < 0 || verdict->duration.ns > lasted)
            fail_msg("port %u took %lld ms", (unsigned)verdict->port,
                     (long long)(verdict->duration.ns / NS_PER_MS));
    }
    assert_int_equal(check->result.limit.is_there,
                     count_state(check, PORT_STATE_LIMITED) > 0);
    assert_int_equal(check->result.untried > 0 &&
                         count_state(check, PORT_STATE_LIMITED) < check->result.untried,
                     false);
}

static void assert_open(const struct check *check)
{
    size_t open = count_state(check, PORT_STATE_OPEN);
    if (open != check->count)
        fail_msg("%zu of %zu are open, %zu limited, end %d", open, check->count,
                 count_state(check, PORT_STATE_LIMITED), (int)check->result.end);
    assert_open_or_limited(check, 0);
}

/* --- limits ------------------------------------------------------------------------- */

#define SYNS "tcp flags & (syn | ack) == syn "

static void a_rate_limit_that_drops_is_kept_to(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 25);
    assert_true(firewall(COUNT_SYNS SYNS "limit rate over 10/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 25, 15000);
    order_count = 0;
    check->on_settled = note_order;
    rig_run(rig);
    assert_open(check);
    for (size_t i = 0; i < 4; i++)
        assert_in_range(order[i], 0, 3);
    assert_true(rig->controls > rig->controls_answered);
    assert_int_equal(rig->suspected, 0);
    rig_free(rig);
}

static void what_a_slow_limit_leaves_unknown_is_limited(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 60);
    assert_true(firewall(COUNT_SYNS SYNS "limit rate over 1/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 60, 8000);
    rig_run(rig);
    assert_open_or_limited(check, ETIMEDOUT);
    for (size_t i = 0; i < 4; i++)
        assert_state(check, i, PORT_STATE_OPEN);
    assert_in_range(count_state(check, PORT_STATE_LIMITED), 40, 55);
    assert_in_range(check->result.limit.answered, 4, 6);
    assert_in_range(rig_age_ms(rig, check->done_at), 8000, 11999);
    assert_int_equal(rig->suspected, 0);
    rig_free(rig);
}

/* Ports that really refuse are among those that the limit drops: it is silence that limits,
 * and their resets are answers like others. */
static void closed_ports_behind_a_limit_that_drops_are_closed(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 10);
    assert_true(firewall(SYNS "limit rate over 5/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 20, 9000);
    rig_run(rig);
    for (size_t i = 0; i < 20; i++)
        if (check->verdicts[i].state == PORT_STATE_LIMITED)
            assert_int_equal(check->verdicts[i].errnum, ETIMEDOUT);
        else
            assert_state(check, i, i < 10 ? PORT_STATE_OPEN : PORT_STATE_CLOSED);
    assert_true(count_state(check, PORT_STATE_OPEN) >= 7);
    assert_true(count_state(check, PORT_STATE_CLOSED) >= 3);
    rig_free(rig);
}

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

/* A half-open connection that was reset is off the count. */
static void a_limit_of_connections_closes_nothing(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 60);
    if (!firewall(SYNS "ct state new ct count over 8 reject with tcp reset"))
        skip();
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 60, 15000);
    rig_run(rig);
    assert_open(check);
    rig_free(rig);
}

/* --- bans and outages --------------------------------------------------------------- */

static int attempted_then;

static void count_them(struct timer *timer)
{
    attempted_then = rig_of(timer)->attempted;
}

static void a_ban_is_no_verdict_and_is_not_prolonged(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 40);
    assert_true(firewall(COUNT_SYNS SYNS "limit rate over 1/hour burst 9 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 40, 8000);
    rig_after(rig, 5500, count_them);
    rig_run(rig);
    assert_int_equal(rig->attempted, attempted_then); /* only controls left since then */
    assert_open_or_limited(check, ETIMEDOUT);
    assert_in_range(count_state(check, PORT_STATE_OPEN), 4, 10);
    for (size_t i = 0; i < 4; i++)
        assert_state(check, i, PORT_STATE_OPEN);
    assert_true(check->result.limit.rate == 0);
    assert_int_equal(rig->suspected, 0);
    rig_free(rig);
}

static size_t down_after;

static void go_down(struct check *check)
{
    if (check->settled == down_after)
        assert_true(firewall(COUNT_SYNS "tcp flags syn drop"));
}

static void come_back(struct timer *timer)
{
    (void)timer;
    assert_true(firewall(COUNT_SYNS));
}

static void a_host_that_goes_down_in_the_middle_blames_no_port(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 200);
    assert_true(firewall(""));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 200, 6000);
    down_after = 10;
    check->on_settled = go_down;
    rig_run(rig);
    assert_open_or_limited(check, ETIMEDOUT);
    assert_in_range(count_state(check, PORT_STATE_OPEN), 10, 199);
    assert_int_equal(check->result.limit.answered, count_state(check, PORT_STATE_OPEN));
    assert_true(check->result.limit.rate == 0);
    assert_int_equal(rig->suspected, 0);
    rig_free(rig);
}

static void an_outage_blames_no_port(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 102);
    assert_true(firewall(""));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 102, 25000);
    down_after = 50;
    check->on_settled = go_down;
    rig_after(rig, 2500, come_back);
    rig_run(rig);
    assert_open(check);
    rig_free(rig);
}

/* --- leaving the limit -------------------------------------------------------------- */

/* The other ports are judged as if nothing had been. */
static void when_the_limit_has_gone_the_usual_rules_apply(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 30);
    assert_true(firewall(COUNT_SYNS SYNS "limit rate over 5/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    struct check *check = rig_check(rig, THERE, ports, 40, 25000);
    rig_after(rig, 2500, come_back);
    rig_run(rig);
    for (size_t i = 0; i < 40; i++)
        assert_state(check, i, i < 30 ? PORT_STATE_OPEN : PORT_STATE_CLOSED);
    assert_false(check->result.limit.is_there);
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
    rig_run(rig);
    for (size_t i = 0; i < 5; i++)
        assert_state(check, i, i < 2 ? PORT_STATE_OPEN : PORT_STATE_CLOSED);
    assert_in_range(rig->attempted, 2 + 3 * 2, 2 + 3 * 4);
    assert_true(rig->controls >= 2);
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

/* Four open ports, then `turned` that refuse once, then ten closed ones. */
static struct check *check_of_turned(struct rig *rig, unsigned turned)
{
    assert_true(refuse_first_syns(turned));
    struct check *check = rig_check(rig, THERE, ports, 4 + turned + 10, 7000);
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
    assert_int_equal(count_state(check, PORT_STATE_CLOSED), 10);
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
    for (size_t i = 4; i < 9; i++)
        if (check->verdicts[i].state != PORT_STATE_OPEN)
            assert_state(check, i, PORT_STATE_LIMITED);
    for (size_t i = 9; i < 19; i++)
        if (check->verdicts[i].state != PORT_STATE_CLOSED)
            assert_state(check, i, PORT_STATE_LIMITED);

    /* Two looks at each do not suffice, as they would with one such port. */
    assert_true(count_state(check, PORT_STATE_LIMITED) == 10 ||
                rig->attempted > 14 + 4 * 10);
    rig_free(rig);
}

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

#define BAN SYNS "limit rate over 1/hour burst 9 packets drop"

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
    struct check *check = rig_check(rig, THERE, ports, 40, 12000);
    rig_after(rig, 4000, lose_our_output);
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
    struct check *check = rig_check(rig, "10.66.0.1", ports, 40, 12000);
    rig_after(rig, 4000, kill_gateway);
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
    struct check *check = rig_check(rig, THERE, ports, 40, 12000);
    rig_after(rig, 5000, join);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    has_lab = lab_enter() && firewall("") && own_firewall("");
    const struct CMUnitTest tests[] = {
        TEST(a_rate_limit_that_drops_is_kept_to),
        TEST(what_a_slow_limit_leaves_unknown_is_limited),
        TEST(closed_ports_behind_a_limit_that_drops_are_closed),
        TEST(a_rate_limit_that_resets_closes_nothing),
        TEST(what_a_slow_limit_resets_is_limited),
        TEST(a_limit_of_connections_closes_nothing),
        TEST(a_ban_is_no_verdict_and_is_not_prolonged),
        TEST(a_host_that_goes_down_in_the_middle_blames_no_port),
        TEST(an_outage_blames_no_port),
        TEST(when_the_limit_has_gone_the_usual_rules_apply),
        TEST(a_refusal_beside_open_ports_is_looked_at_again_with_controls),
        TEST(a_refusal_of_an_address_that_opens_nothing_is_believed),
        TEST(of_many_refusals_a_sample_is_looked_at_again),
        TEST(one_port_that_refuses_once_is_open),
        TEST(so_are_several_and_then_refusals_are_doubted),
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
    cmocka_set_test_filter(getenv("ONLY")); /* for now */
    return cmocka_run_group_tests_name("engine_limited", tests, NULL, NULL);
}
