/* SPDX-License-Identifier: MIT
 *
 * What the tests of the mapper share: the mapper against a scripted router (gateway_lab.h),
 * in real time: leases are a second or two. A limit from above is the time after which a
 * faulty mapper would do it, so that a busy machine does not matter.
 */
#pragma once

#include "gateway_lab.h"
#include "router/call.h"
#include "router/mapper.h"

#define PORTS 102
#define FIRST 50800

static struct {
    struct loop *loop;
    struct gateway *gateway;
    struct mapper *mapper;
    struct mapper_config config;
    struct mapping_port ports[PORTS];
    size_t count;
    int settled, removed;
    int stop_at; /* the loop stops at this `settled` */
    struct mapping_news news;
    struct instant started_at, settled_at;
    struct timer timer, guard;
    void (*then)(void);
    void (*at_first)(void); /* after the first `settled`, from the loop */
} lab;

/* A loop that was stopped cannot run again: what a test does later, it does in a function
 * that is called from the loop. */
static inline void after(int64_t ms, void (*then)(void))
{
    lab.then = then;
    assert_true(
        loop_timer_set(lab.loop, &lab.timer, instant_add(clock_now(), span_ms(ms))));
}

static inline void settled(void *ctx, const struct mapping_news *news)
{
    (void)ctx;
    lab.settled++;
    lab.news = *news;
    lab.settled_at = clock_now();
    assert_int_equal(news->is_first, lab.settled == 1);
    assert_int_equal(lab.removed, 0);
    gateway_next_round(lab.gateway);
    if (news->is_first && lab.at_first)
        after(0, lab.at_first);
    if (lab.settled == lab.stop_at)
        loop_stop(lab.loop);
}

static inline void removed(void *ctx)
{
    (void)ctx;
    lab.removed++;
    loop_stop(lab.loop);
}

static inline void guard(struct timer *timer)
{
    (void)timer;
    fail_msg("not within 60 seconds");
}

static inline void later(struct timer *timer)
{
    (void)timer;
    lab.then();
}

static inline int lab_begin(void **state)
{
    (void)state;
    memset(&lab, 0, sizeof lab);
    if (!loop_new(&lab.loop, NULL))
        return -1;
    lab.gateway = gateway_new(lab.loop, "127.0.0.1");
    lab.config = (struct mapper_config){
        .protocol = ROUTER_PCP,
        .router = lab.gateway->address,
        .nonce = {"abcdefghijkl"},
        .lease = MAPPER_LEASE_SECONDS,
        .deadline = instant_add(clock_now(), span_seconds(60)),
        .silent_by = instant_add(clock_now(), span_seconds(60)),
        .settled = settled,
        .removed = removed,
    };
    lab.count = PORTS;
    for (size_t i = 0; i < PORTS; i++)
        lab.ports[i] = (struct mapping_port){.inner = (uint16_t)(FIRST + i),
                                             .outer = (uint16_t)(FIRST + i)};
    timer_init(&lab.timer, later);
    timer_init(&lab.guard, guard);
    return loop_timer_set(lab.loop, &lab.guard, instant_add(clock_now(), span_seconds(60)))
               ? 0
               : -1;
}

static inline int lab_end(void **state)
{
    (void)state;
    lab.mapper = mapper_free(lab.mapper);
    gateway_free(lab.gateway);
    loop_free(lab.loop);
    return 0;
}

/* --- steps ---------------------------------------------------------------------------- */

static inline void start(void)
{
    lab.started_at = clock_now();
    assert_true(mapper_new(lab.loop, &lab.config, lab.ports, lab.count, &lab.mapper, NULL));
}

static inline void run_until(int settled_count)
{
    lab.stop_at = settled_count;
    assert_true(loop_run(lab.loop, NULL));
}

static inline void stop(void)
{
    loop_stop(lab.loop);
}

static inline void remove_all(void)
{
    gateway_next_round(lab.gateway);
    mapper_remove(lab.mapper, span_ms(MAPPER_REMOVE_MS));
}

static inline const struct mapping *mapping_of(size_t index)
{
    return mapper_mapping(lab.mapper, index);
}

static inline size_t count_of(enum mapping_state state)
{
    size_t count = 0;
    for (size_t i = 0; i < lab.count; i++)
        count += mapping_of(i)->state == state;
    return count;
}

/* Since start(). */
static inline int64_t age_ms(void)
{
    return instant_since(clock_now(), lab.started_at).ns / NS_PER_MS;
}

static inline bool is_in_future(struct instant at)
{
    return instant_before(clock_now(), at);
}

static inline void check_all_are_mapped(void)
{
    assert_int_equal(count_of(MAPPING_MAPPED), lab.count);
    assert_int_equal(lab.gateway->table_count, lab.count);
    for (size_t i = 0; i < lab.count; i++) {
        assert_int_equal(gateway_outer(lab.gateway, lab.ports[i].inner),
                         lab.ports[i].outer);
        assert_true(mapping_of(i)->is_held);
        assert_true(is_in_future(mapping_of(i)->expires));
    }
}

static inline void become_honest(void)
{
    lab.gateway->manner = GATEWAY_HONEST;
}

static inline void become_silent(void)
{
    lab.gateway->manner = GATEWAY_SILENT;
}
