/* SPDX-License-Identifier: MIT
 *
 * What the tests of limited addresses share: open ports on the other side, firewalls on
 * both sides, and what a verdict may be there.
 */
#pragma once

#include "engine_lab.h"

#define SYNS "tcp flags & (syn | ack) == syn "
#define BAN  SYNS "limit rate over 1/hour burst 9 packets drop"

static bool has_lab;

static inline void need_lab(void)
{
    if (!has_lab)
        skip();
}

#define FIRST     20000 /* the first port of each check */
#define PORTS_MAX 200

static uint16_t ports[PORTS_MAX];
static int listeners[PORTS_MAX];
static size_t listener_count;

static inline void open_ports(uint16_t first, size_t count)
{
    for (size_t i = 0; i < count; i++)
        listeners[listener_count++] = listener_there(THERE, (uint16_t)(first + i), 64);
}

static inline void close_ports(void)
{
    while (listener_count > 0)
        close(listeners[--listener_count]);
}

/* The firewall on our own output; "" takes it away. */
static inline bool own_firewall(const char *rules)
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

static inline int lab_begin(void **state)
{
    (void)state;
    count_ports(ports, PORTS_MAX, FIRST);
    return 0;
}

static inline int lab_end(void **state)
{
    (void)state;
    close_ports();
    return has_lab && !(own_firewall("") && firewall("")) ? -1 : 0;
}

static inline struct rig *rig_of_five_seconds(void)
{
    struct rig *rig = rig_new();
    rig->config.timeout = span_seconds(5);
    return rig;
}

/* `extra` fires after so many milliseconds. */
static inline void rig_after(struct rig *rig, int64_t ms, timer_fn *fire)
{
    timer_init(&rig->extra, fire);
    assert_true(
        loop_timer_set(rig->loop, &rig->extra, instant_add(clock_now(), span_ms(ms))));
}

static inline struct rig *rig_of(struct timer *timer)
{
    return (void *)((char *)timer - offsetof(struct rig, extra));
}

/* For rig_after(): the limit, ban or outage has gone. */
static inline void come_back(struct timer *timer)
{
    (void)timer;
    assert_true(firewall(COUNT_SYNS));
}

/* Each verdict is OPEN or LIMITED, and what belongs to it is right. */
static inline void assert_open_or_limited(const struct check *check, int errnum)
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
    assert_true(check->result.untried <= count_state(check, PORT_STATE_LIMITED));
}

static inline void assert_open(const struct check *check)
{
    size_t open = count_state(check, PORT_STATE_OPEN);
    if (open != check->count)
        fail_msg("%zu of %zu are open, %zu limited, end %d", open, check->count,
                 count_state(check, PORT_STATE_LIMITED), (int)check->result.end);
    assert_open_or_limited(check, 0);
}

static size_t cancel_at;
static enum port_state cancel_state;

static inline void cancel_on_settled(struct check *check)
{
    if (check->verdicts[check->last_index].state == cancel_state && cancel_at-- == 0)
        check_cancel(check);
}

/* Runs a check of 40 ports that is cancelled when a port of that state is settled: the
 * first one if `at` is 0. */
static inline struct check *check_cancelled(struct rig *rig, enum port_state state,
                                            size_t at, int64_t deadline_ms)
{
    struct check *check = rig_check(rig, THERE, ports, 40, deadline_ms);
    check->on_settled = cancel_on_settled;
    cancel_state = state;
    cancel_at = at;
    rig_run(rig);
    assert_false(check->is_done);
    return check;
}

/* A fault of this machine, whose reason has these words, and nothing is said of the
 * address. */
static inline void assert_fault(const struct check *check, const char *words)
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
