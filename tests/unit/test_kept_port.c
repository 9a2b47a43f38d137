/* SPDX-License-Identifier: MIT
 *
 * When a mapping is asked for again, and what is said of it until then, by a clock of the
 * test's own.
 */
#include "router/kept_port.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define DAY 86400

static struct instant at(int64_t ms)
{
    return instant_add((struct instant){0}, span_ms(ms));
}

static struct kept_port granted(uint32_t lease, uint32_t lease_min, uint8_t jitter)
{
    struct kept_port port = kept_port_new(&(struct mapping_port){.inner = 7466});
    const struct kept_grant grant = {
        .lease = lease, .lease_min = lease_min, .asked_at = at(0), .jitter = jitter};
    kept_port_grant(&port, &grant, at(0));
    return port;
}

static void a_mapping_is_renewed_from_half_of_its_lease_on(void **state)
{
    static const struct {
        uint32_t lease;
        uint8_t jitter;
        int64_t due_ms;
    } rows[] = {
        {3600, 0, 1800000}, {3600, 255, 2250000},     {30, 0, 15000},
        {30, 255, 18750},   {2 * DAY, 0, DAY * 500l}, {UINT32_MAX, 255, DAY * 625l},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct kept_port port = granted(rows[i].lease, 30, rows[i].jitter);
        assert_int_equal(port.mapping.state, MAPPING_MAPPED);
        assert_int_equal(port.due.ns, at(rows[i].due_ms).ns);
        assert_true(port.mapping.is_held);
    }
}

/* Renewing them would never end. What the router has is removed at the end all the same. */
static void a_lease_that_is_too_short_is_not_kept(void **state)
{
    static const struct {
        uint32_t lease, lease_min;
        enum mapping_state state;
    } rows[] = {
        {0, 0, MAPPING_SHORT_LEASE},   {0, 30, MAPPING_SHORT_LEASE}, {1, 0, MAPPING_MAPPED},
        {29, 30, MAPPING_SHORT_LEASE}, {30, 30, MAPPING_MAPPED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct kept_port port = granted(rows[i].lease, rows[i].lease_min, 0);
        assert_int_equal(port.mapping.state, rows[i].state);
        assert_true(port.mapping.is_held);
        assert_int_equal(port.mapping.held_until.ns, at(rows[i].lease * 1000l).ns);
        if (rows[i].state == MAPPING_SHORT_LEASE)
            assert_int_equal(port.due.ns, at(KEPT_REFUSED_SECONDS * 1000l).ns);
    }
}

static void
a_permanent_mapping_is_renewed_as_if_it_had_the_lease_that_was_wished(void **state)
{
    (void)state;
    struct kept_port port = kept_port_new(&(struct mapping_port){.inner = 7466});
    const struct kept_grant grant = {
        .is_permanent = true, .renew_seconds = 3600, .lease_min = 30, .asked_at = at(0)};
    kept_port_grant(&port, &grant, at(0));
    assert_int_equal(port.mapping.state, MAPPING_MAPPED);
    assert_int_equal(port.due.ns, at(1800000).ns);
    assert_true(port.mapping.held_until.ns == INT64_MAX);
    kept_port_expire(&port, at(DAY * 1000l));
    assert_int_equal(port.mapping.state, MAPPING_MAPPED);
    kept_port_fail(&port, MAPPING_SILENT, 1, at(DAY * 1000l));
    assert_int_equal(port.mapping.state, MAPPING_MAPPED);
}

/* Half of the rest each time, at least a second, and never past its end. */
static void renewals_that_fail_are_repeated_until_the_lease_ends(void **state)
{
    struct kept_port port = granted(60, 30, 0);
    int64_t now_ms = 30000;
    size_t tries = 0;
    (void)state;
    assert_true(kept_port_tell(&port));
    while (kept_port_lasts(&port, at(now_ms))) {
        int64_t next_ms = port.due.ns / NS_PER_MS;
        assert_true(next_ms <= 60000);
        assert_true(next_ms >= now_ms + 1000 || next_ms == 60000);
        now_ms = next_ms;
        tries++;
    }
    assert_in_range(tries, 5, 7);
    assert_int_equal(now_ms, 60000);
    assert_false(kept_port_tell(&port));
    kept_port_expire(&port, at(now_ms));
    assert_int_equal(port.mapping.state, MAPPING_SILENT);
    assert_true(kept_port_tell(&port));
}

static void what_was_asked_for_may_be_held_for_the_longest_of_its_leases(void **state)
{
    (void)state;
    struct kept_port port = granted(3600, 30, 0);
    kept_port_hold(&port, at(1000), 60);
    assert_int_equal(port.mapping.held_until.ns, at(3600000).ns);
    kept_port_hold(&port, at(10000), 3600);
    assert_int_equal(port.mapping.held_until.ns, at(3610000).ns);
    kept_port_fail(&port, MAPPING_REFUSED, 5, at(3600000));
    assert_int_equal(port.mapping.state, MAPPING_REFUSED);
    assert_int_equal(port.due.ns, at(3605000).ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mapping_is_renewed_from_half_of_its_lease_on),
        cmocka_unit_test(a_lease_that_is_too_short_is_not_kept),
        cmocka_unit_test(
            a_permanent_mapping_is_renewed_as_if_it_had_the_lease_that_was_wished),
        cmocka_unit_test(renewals_that_fail_are_repeated_until_the_lease_ends),
        cmocka_unit_test(what_was_asked_for_may_be_held_for_the_longest_of_its_leases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
