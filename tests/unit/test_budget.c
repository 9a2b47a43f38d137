/* SPDX-License-Identifier: MIT */
#include "policy/budget.h"

#include "addresses.h"
#include "base/err.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The rate and burst of most tests: 20 ports per second, as 1200/min means. */
#define RATE         20.0
#define BURST        100
#define PORT_NS      (NS_PER_SECOND / 20)

/* A fake clock. It starts late, like that of a machine that has been up for a month. */
static struct instant at_ms(int64_t ms)
{
    return (struct instant){INT64_C(2600000) * NS_PER_SECOND + ms * NS_PER_MS};
}

static struct budget *make(double rate, size_t burst, size_t entries_max)
{
    struct budget *budget;
    assert_true(budget_new(rate, burst, entries_max, &budget, NULL));
    return budget;
}

static struct budget_answer take(struct budget *budget, const char *caller, size_t ports,
                                 struct instant now)
{
    struct address address = address_of(caller);
    return budget_take(budget, &address, &address, false, ports, 1, now);
}

static struct budget_answer take_foreign(struct budget *budget, const char *caller,
                                         const char *target, size_t ports,
                                         struct instant now)
{
    struct address a = address_of(caller);
    struct address b = address_of(target);
    return budget_take(budget, &a, &b, true, ports, 1, now);
}

static void give_back(struct budget *budget, const char *caller, size_t ports,
                      struct instant now)
{
    struct address address = address_of(caller);
    budget_give_back(budget, &address, &address, false, ports, 1, now);
}

static void assert_granted(struct budget_answer answer)
{
    assert_int_equal(answer.denied, BUDGET_NONE);
    assert_int_equal(answer.retry_after.ns, 0);
}

static void assert_denied(struct budget_answer answer, enum budget_scope scope,
                          int64_t retry_after_ns)
{
    assert_int_equal(answer.denied, scope);
    assert_int_equal(answer.retry_after.ns, retry_after_ns);
}

/* Measures what is left by taking it: the bucket is empty afterwards. */
static size_t drain(struct budget *budget, const char *caller, struct instant now)
{
    size_t count = 0;
    while (take(budget, caller, 1, now).denied == BUDGET_NONE)
        count++;
    return count;
}

/* ---- one bucket --------------------------------------------------------------------- */

static void a_caller_has_the_burst_and_then_the_rate(void **state)
{
    (void)state;
    struct budget *budget = make(RATE, BURST, 16);
    assert_granted(take(budget, "192.0.2.1", 60, at_ms(0)));
    assert_granted(take(budget, "192.0.2.1", 40, at_ms(0)));
    assert_denied(take(budget, "192.0.2.1", 1, at_ms(0)), BUDGET_CALLER, PORT_NS);
    assert_denied(take(budget, "192.0.2.1", 1, at_ms(49)), BUDGET_CALLER, NS_PER_MS);
    assert_granted(take(budget, "192.0.2.1", 1, at_ms(50)));
    assert_denied(take(budget, "192.0.2.1", 1, at_ms(50)), BUDGET_CALLER, PORT_NS);
    assert_granted(take(budget, "192.0.2.1", 20, at_ms(1050)));
    assert_int_equal(drain(budget, "192.0.2.1", at_ms(1050)), 0);
    budget_free(budget);
}

static void no_caller_saves_more_than_the_burst(void **state)
{
    (void)state;
    struct budget *budget = make(RATE, BURST, 16);
    assert_granted(take(budget, "192.0.2.1", 100, at_ms(0)));
    assert_int_equal(drain(budget, "192.0.2.1", at_ms(3600 * 1000)), BURST);
    assert_int_equal(drain(budget, "192.0.2.1", at_ms(2 * 3600 * 1000)), BURST);
    budget_free(budget);
}

static void it_is_all_or_nothing(void **state)
{
    (void)state;
    struct budget *budget = make(RATE, BURST, 16);
    assert_granted(take(budget, "192.0.2.1", 70, at_ms(0)));
    assert_denied(take(budget, "192.0.2.1", 31, at_ms(0)), BUDGET_CALLER, PORT_NS);
    assert_denied(take(budget, "192.0.2.1", 100, at_ms(0)), BUDGET_CALLER, 70 * PORT_NS);
    assert_int_equal(drain(budget, "192.0.2.1", at_ms(0)), 30);
    budget_free(budget);
}

static void retry_after_is_exact_to_the_nanosecond(void **state)
{
    (void)state;
    static const double rates[] = {20.0,   1.0,           3.0, 7.0,
                                   1000.0, 1000.0 / 3600, 0.5, 123456.7};
    for (size_t i = 0; i < COUNT(rates); i++) {
        struct budget *budget = make(rates[i], BURST, 16);
        for (size_t ports = 1; ports <= BURST; ports += 33) {
            int64_t hours = (int64_t)ports * 1000;
            struct instant now = at_ms(hours * 3600 * 1000);
            assert_granted(take(budget, "192.0.2.1", BURST, now));
            now = instant_add(now, (struct span){321});

            struct budget_answer answer = take(budget, "192.0.2.1", ports, now);
            assert_int_equal(answer.denied, BUDGET_CALLER);
            assert_true(answer.retry_after.ns > 0);
            double seconds = span_to_seconds(answer.retry_after) + 321e-9;
            assert_true(fabs(seconds - (double)ports / rates[i]) < 1e-9 * BURST);

            struct instant then = instant_add(now, answer.retry_after);
            struct instant before = instant_back(then, (struct span){1});
            assert_denied(take(budget, "192.0.2.1", ports, before), BUDGET_CALLER, 1);
            assert_granted(take(budget, "192.0.2.1", ports, then));
        }
        budget_free(budget);
    }
}

static void more_than_the_burst_never_succeeds(void **state)
{
    (void)state;
    struct budget *budget = make(RATE, BURST, 16);
    assert_denied(take(budget, "192.0.2.1", BURST + 1, at_ms(0)), BUDGET_CALLER, -1);
    assert_denied(take(budget, "192.0.2.1", SIZE_MAX, at_ms(0)), BUDGET_CALLER, -1);
    assert_granted(take(budget, "192.0.2.1", BURST, at_ms(0)));
    budget_free(budget);
}

static void no_ports_cost_nothing(void **state)
{
    (void)state;
    struct budget *budget = make(RATE, BURST, 16);
    assert_granted(take(budget, "192.0.2.1", BURST, at_ms(0)));
    assert_granted(take(budget, "192.0.2.1", 0, at_ms(0)));
    assert_int_equal(budget_entries(budget), 1);
    budget_free(budget);
}

static void a_clock_that_two_threads_read_may_step_back_a_little(void **state)
{
    (void)state;
    struct budget *budget = make(RATE, BURST, 16);
    assert_granted(take(budget, "192.0.2.1", 100, at_ms(10)));
    assert_denied(take(budget, "192.0.2.1", 1, at_ms(0)), BUDGET_CALLER,
                  PORT_NS + 10 * NS_PER_MS);
    give_back(budget, "192.0.2.1", 100, at_ms(0));
    assert_int_equal(drain(budget, "192.0.2.1", at_ms(10)), BURST);
    budget_free(budget);
}

/* ---- giving back -------------------------------------------------------------------- */

static void ports_that_were_not_tried_are_given_back(void **state)
{
    (void)state;
    struct budget *budget = make(RATE, BURST, 16);
    assert_granted(take(budget, "192.0.2.1", 100, at_ms(0)));
    give_back(budget, "192.0.2.1", 30, at_ms(0));
    assert_int_equal(drain(budget, "192.0.2.1", at_ms(0)), 30);
    give_back(budget, "192.0.2.1", 0, at_ms(0));
    assert_int_equal(drain(budget, "192.0.2.1", at_ms(0)), 0);
    budget_free(budget);
}

static void giving_back_never_lifts_a_bucket_above_its_burst(void **state)
{
    (void)state;
    struct budget *budget = make(RATE, BURST, 16);
    assert_granted(take(budget, "192.0.2.1", 100, at_ms(0)));
    give_back(budget, "192.0.2.1", 100, at_ms(4000)); /* 80 have refilled */
    assert_int_equal(drain(budget, "192.0.2.1", at_ms(4000)), BURST);

    assert_granted(take(budget, "192.0.2.2", 1, at_ms(4000)));
    give_back(budget, "192.0.2.2", SIZE_MAX, at_ms(4000));
    assert_int_equal(drain(budget, "192.0.2.2", at_ms(4000)), BURST);

    give_back(budget, "192.0.2.3", 50, at_ms(4000)); /* it has taken nothing */
    assert_int_equal(drain(budget, "192.0.2.3", at_ms(4000)), BURST);
    budget_free(budget);
}

static void both_buckets_get_their_ports_back(void **state)
{
    (void)state;
    struct budget *budget = make(RATE, BURST, 16);
    struct address caller = address_of("192.0.2.1");
    struct address target = address_of("203.0.113.9");
    assert_granted(budget_take(budget, &caller, &target, true, 100, 1, at_ms(0)));
    budget_give_back(budget, &caller, &target, true, 100, 1, at_ms(0));
    assert_granted(take_foreign(budget, "192.0.2.2", "203.0.113.9", 100, at_ms(0)));
    assert_granted(take(budget, "192.0.2.1", 100, at_ms(0)));
    budget_free(budget);
}

/* ---- silent ports ------------------------------------------------------------------- */

static void silent_ports_cost_the_target_more(void **state)
{
    (void)state;
    static const struct {
        bool is_foreign;
        size_t ports, silent;
        int64_t wait; /* until the target's bucket has a port for a stranger, in ports */
    } rows[] = {
        {true, 100, 0, 1},      {true, 20, 20, 1},    {true, 21, 20, 2},
        {true, 100, 1, 5},      {true, 100, 25, 101}, {true, 100, 100, 401},
        {true, 99, 0, 0},       {false, 100, 100, 0}, {true, 1, 100, 302},
        {true, 100, 1000, 401},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct budget *budget = make(RATE, BURST, 16);
        struct address caller = address_of("192.0.2.1");
        struct address target = address_of("203.0.113.9");
        bool is_foreign = rows[i].is_foreign;
        assert_granted(
            budget_take(budget, &caller, &target, is_foreign, rows[i].ports, 1, at_ms(0)));
        budget_charge_silent(budget, &target, is_foreign, rows[i].silent, at_ms(0));

        struct budget_answer answer =
            take_foreign(budget, "192.0.2.2", "203.0.113.9", 1, at_ms(0));
        assert_int_equal(answer.denied, rows[i].wait > 0 ? BUDGET_TARGET : BUDGET_NONE);
        assert_int_equal(answer.retry_after.ns, rows[i].wait * PORT_NS);
        assert_granted(take(budget, "203.0.113.9", BURST, at_ms(0)));
        assert_int_equal(drain(budget, "192.0.2.1", at_ms(0)), BURST - rows[i].ports);
        if (rows[i].wait > 0)
            assert_granted(take_foreign(budget, "192.0.2.2", "203.0.113.9", 1,
                                        instant_add(at_ms(0), answer.retry_after)));
        budget_free(budget);
    }
}

static void a_debt_has_a_limit(void **state)
{
    (void)state;
    struct budget *budget = make(RATE, BURST, 16);
    struct address target = address_of("203.0.113.9");
    for (int i = 0; i < 10; i++)
        budget_charge_silent(budget, &target, true, BURST, at_ms(0));
    assert_denied(take_foreign(budget, "192.0.2.2", "203.0.113.9", BURST, at_ms(0)),
                  BUDGET_TARGET, (BUDGET_SILENT_PORT + 1) * BURST * PORT_NS);
    assert_int_equal(budget_entries(budget), 1);
    budget_free(budget);
}

static void a_debt_that_is_paid_leaves_no_bucket_behind(void **state)
{
    (void)state;
    struct budget *budget = make(RATE, BURST, 16);
    struct address target = address_of("203.0.113.9");
    budget_charge_silent(budget, &target, true, 10, at_ms(0));
    assert_int_equal(budget_entries(budget), 1);
    assert_granted(take(budget, "192.0.2.1", 1, at_ms(2000)));
    assert_int_equal(budget_entries(budget), 1); /* the caller's */
    budget_free(budget);
}

/* ---- whose bucket ------------------------------------------------------------------- */

static void addresses_share_a_bucket_when_they_have_one_owner(void **state)
{
    (void)state;
    static const struct {
        const char *one, *other;
        bool is_shared;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"192.0.2.1", "64:ff9b::192.0.2.1", true},
        {"192.0.2.1", "2002:c000:201::1", true},
        {"2002:c000:201:1::1", "2002:c000:201:2::1", true},
        {"64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2", false},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
        {"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
        {"2001:db8::1", "2001:db8:0:1::1", false},
        {"2001:db8:0:ff00::1", "2001:db8:0:ff01::1", false},
        {"2001:db8::1", "2001:db9::1", false},
        /* the same bytes in another family */
        {"32.1.13.184", "2001:db8::1", false},
        {"0.0.0.0", "::1", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct budget *budget = make(RATE, BURST, 16);
        assert_granted(take(budget, rows[i].one, 100, at_ms(0)));
        bool is_denied = take(budget, rows[i].other, 1, at_ms(0)).denied == BUDGET_CALLER;
        if (is_denied != rows[i].is_shared)
            fail_msg("%s and %s: shared must be %d", rows[i].one, rows[i].other,
                     rows[i].is_shared);
        budget_free(budget);
    }
}

static void strangers_cannot_use_up_the_owners_budget(void **state)
{
    (void)state;
    struct budget *budget = make(RATE, BURST, 16);
    assert_granted(take_foreign(budget, "198.51.100.1", "192.0.2.1", 60, at_ms(0)));
    assert_granted(take_foreign(budget, "198.51.100.2", "192.0.2.1", 40, at_ms(0)));
    assert_denied(take_foreign(budget, "198.51.100.3", "192.0.2.1", 1, at_ms(0)),
                  BUDGET_TARGET, PORT_NS);

    /* the owner still has all of its own budget */
    assert_int_equal(drain(budget, "192.0.2.1", at_ms(0)), BURST);
    /* and what the owner spends does not affect theirs */
    assert_denied(take_foreign(budget, "198.51.100.3", "192.0.2.1", 1, at_ms(0)),
                  BUDGET_TARGET, PORT_NS);
    assert_granted(take_foreign(budget, "198.51.100.3", "192.0.2.1", 1, at_ms(50)));
    budget_free(budget);
}

static void a_refusal_takes_from_neither_bucket(void **state)
{
    (void)state;
    struct budget *budget = make(RATE, BURST, 16);
    assert_granted(take_foreign(budget, "198.51.100.1", "192.0.2.1", 90, at_ms(0)));
    assert_denied(take_foreign(budget, "198.51.100.2", "192.0.2.1", 20, at_ms(0)),
                  BUDGET_TARGET, 10 * PORT_NS);
    assert_int_equal(drain(budget, "198.51.100.2", at_ms(0)), BURST);

    assert_denied(take_foreign(budget, "198.51.100.2", "192.0.2.2", 5, at_ms(0)),
                  BUDGET_CALLER, 5 * PORT_NS);
    assert_granted(take_foreign(budget, "198.51.100.3", "192.0.2.2", 100, at_ms(0)));
    budget_free(budget);
}

static void the_longer_wait_is_told_when_both_are_short(void **state)
{
    (void)state;
    struct budget *budget = make(RATE, BURST, 16);
    assert_granted(take_foreign(budget, "198.51.100.1", "192.0.2.1", 80, at_ms(0)));
    assert_granted(take(budget, "198.51.100.1", 20, at_ms(0)));
    /* caller 0 left, target 20 left */
    assert_denied(take_foreign(budget, "198.51.100.1", "192.0.2.1", 30, at_ms(0)),
                  BUDGET_CALLER, 30 * PORT_NS);

    assert_granted(take_foreign(budget, "198.51.100.2", "192.0.2.1", 20, at_ms(0)));
    assert_granted(take(budget, "198.51.100.2", 30, at_ms(0)));
    /* caller 50 left, target 0 left */
    struct budget_answer answer =
        take_foreign(budget, "198.51.100.2", "192.0.2.1", 60, at_ms(0));
    assert_denied(answer, BUDGET_TARGET, 60 * PORT_NS);
    assert_granted(take_foreign(budget, "198.51.100.2", "192.0.2.1", 60, at_ms(60 * 50)));
    budget_free(budget);
}

/* ---- the table ---------------------------------------------------------------------- */

static const char *nth(unsigned n, char ret_text[32])
{
    snprintf(ret_text, 32, "10.%u.%u.%u", n >> 16 & 255, n >> 8 & 255, n & 255);
    return ret_text;
}

static void buckets_that_have_refilled_are_forgotten(void **state)
{
    (void)state;
    /* in several orders: soonest full first, soonest full last, and mixed */
    static const unsigned factors[] = {1, 63, 37, 11};
    for (size_t i = 0; i < COUNT(factors); i++) {
        struct budget *budget = make(RATE, BURST, 64);
        char text[32];
        for (unsigned n = 0; n < 64; n++) {
            unsigned spent = (n * factors[i]) % 64;
            assert_granted(take(budget, nth(spent, text), 1 + spent, at_ms(0)));
        }
        assert_int_equal(budget_entries(budget), 64);

        /* The one with 1 port is full after 50 ms, the one with 64 after 3.2 s. */
        for (unsigned call = 0; call < 16; call++)
            take(budget, "192.0.2.1", 1, at_ms(1600));
        assert_int_equal(budget_entries(budget), 32 + 1);
        assert_int_equal(drain(budget, nth(63, text), at_ms(1600)), BURST - 32);
        budget_free(budget);
    }
}

static void a_refused_request_leaves_no_bucket_behind(void **state)
{
    (void)state;
    struct budget *budget = make(RATE, BURST, 16);
    assert_granted(take_foreign(budget, "198.51.100.1", "192.0.2.1", 100, at_ms(0)));
    assert_int_equal(budget_entries(budget), 2);
    char text[32];
    for (unsigned n = 0; n < 100; n++)
        assert_denied(take_foreign(budget, nth(n, text), "192.0.2.1", 1, at_ms(0)),
                      BUDGET_TARGET, PORT_NS);
    assert_int_equal(budget_entries(budget), 2);

    /* and a bucket that was refunded in full is as good as new */
    assert_granted(take(budget, nth(7, text), 9, at_ms(0)));
    give_back(budget, nth(7, text), 9, at_ms(0));
    assert_int_equal(budget_entries(budget), 2);
    budget_free(budget);
}

static void newcomers_share_one_bucket_while_all_places_are_held(void **state)
{
    (void)state;
    struct budget *budget = make(RATE, BURST, 16);
    char text[32];
    for (unsigned n = 0; n < 16; n++)
        assert_granted(take(budget, nth(n, text), 100, at_ms(0)));

    /* a flood of new addresses shares the budget of one caller */
    size_t granted = 0;
    for (unsigned n = 100; n < 1100; n++)
        granted += take(budget, nth(n, text), 1, at_ms(0)).denied == BUDGET_NONE;
    assert_int_equal(granted, BURST);
    assert_int_equal(budget_entries(budget), 16);
    assert_denied(take(budget, "192.0.2.1", 1, at_ms(0)), BUDGET_CALLER, PORT_NS);

    /* targets have a bucket of their own */
    assert_denied(take_foreign(budget, "192.0.2.1", "203.0.113.1", 1, at_ms(0)),
                  BUDGET_CALLER, PORT_NS);
    assert_granted(take_foreign(budget, nth(3, text), "203.0.113.1", 20, at_ms(1000)));
    assert_denied(take_foreign(budget, nth(4, text), "203.0.113.2", 20, at_ms(4001)),
                  BUDGET_NONE, 0);

    /* callers that hold a place keep their budget */
    assert_int_equal(drain(budget, nth(0, text), at_ms(2000)), 40);

    /* ports from the shared bucket are not refunded */
    assert_int_equal(drain(budget, "192.0.2.77", at_ms(2000)), 40);
    give_back(budget, "192.0.2.77", 40, at_ms(2000));
    assert_int_equal(drain(budget, "192.0.2.77", at_ms(2000)), 0);
    budget_free(budget);
}

static void newcomers_get_a_place_as_soon_as_any_bucket_has_refilled(void **state)
{
    (void)state;
    struct budget *budget = make(RATE, BURST, 16);
    char text[32];
    /* the first one touched is the last to refill, and must not block the others */
    assert_granted(take(budget, nth(0, text), 100, at_ms(0)));
    for (unsigned n = 1; n < 16; n++)
        assert_granted(take(budget, nth(n, text), 10, at_ms(1)));
    assert_granted(take(budget, "192.0.2.1", 100, at_ms(2))); /* shared */
    assert_denied(take(budget, "192.0.2.2", 1, at_ms(2)), BUDGET_CALLER, PORT_NS);

    assert_granted(take(budget, "192.0.2.2", 100, at_ms(501)));
    assert_granted(take(budget, "192.0.2.3", 100, at_ms(501)));
    assert_int_equal(drain(budget, nth(0, text), at_ms(501)), 10);
    budget_free(budget);
}

/* A straightforward bucket for every address, as the model for the table: many addresses,
 * random takes and refunds, and time that moves. */
struct model {
    int64_t full_at;
};

static uint32_t random_next(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static void the_table_does_what_a_bucket_for_each_would_do(void **state)
{
    (void)state;
    enum { ADDRESSES = 300, STEPS = 60000 };
    static struct model models[2][ADDRESSES];
    struct budget *budget = make(RATE, BURST, 2 * ADDRESSES);
    struct instant now = at_ms(0);
    uint32_t seed = 20240607;
    unsigned granted = 0;
    unsigned denied = 0;

    for (unsigned step = 0; step < STEPS; step++) {
        now = instant_add(now, (struct span){random_next(&seed) % (4 * NS_PER_MS)});
        unsigned a = random_next(&seed) % ADDRESSES;
        unsigned b = random_next(&seed) % ADDRESSES;
        size_t ports = random_next(&seed) % BURST + 1;
        bool is_foreign = random_next(&seed) % 2;
        char a_text[32];
        char b_text[32];
        struct address caller = address_of(nth(a, a_text));
        struct address target = address_of(nth(b, b_text));

        struct model *buckets[2] = {&models[0][a], is_foreign ? &models[1][b] : NULL};
        int64_t waits[2] = {0, 0};
        for (int i = 0; i < 2; i++) {
            if (!buckets[i])
                continue;
            if (buckets[i]->full_at < now.ns)
                buckets[i]->full_at = now.ns;
            waits[i] = buckets[i]->full_at - now.ns - (BURST - (int64_t)ports) * PORT_NS;
        }
        struct budget_answer answer =
            budget_take(budget, &caller, &target, is_foreign, ports, 1, now);
        if (waits[0] > 0 || waits[1] > 0) {
            bool is_callers = waits[0] >= waits[1];
            assert_denied(answer, is_callers ? BUDGET_CALLER : BUDGET_TARGET,
                          waits[is_callers ? 0 : 1]);
            denied++;
            continue;
        }
        assert_granted(answer);
        granted++;

        size_t returned =
            random_next(&seed) % 4 == 0 ? random_next(&seed) % (ports + 1) : 0;
        budget_give_back(budget, &caller, &target, is_foreign, returned, 1, now);
        for (int i = 0; i < 2; i++) {
            if (buckets[i])
                buckets[i]->full_at += (int64_t)(ports - returned) * PORT_NS;
        }
    }
    assert_true(granted > STEPS / 10);
    assert_true(denied > STEPS / 10);

    size_t held = 0;
    for (unsigned i = 0; i < ADDRESSES; i++) {
        held += models[0][i].full_at > now.ns;
        held += models[1][i].full_at > now.ns;
    }
    assert_true(budget_entries(budget) >= held);
    budget_free(budget);
}

/* ---- edges -------------------------------------------------------------------------- */

static void rate_0_grants_everything(void **state)
{
    (void)state;
    struct budget *budget = make(0, 0, 0);
    for (unsigned n = 0; n < 100; n++)
        assert_granted(take_foreign(budget, "192.0.2.1", "192.0.2.2", 65535, at_ms(0)));
    assert_granted(take(budget, "192.0.2.1", SIZE_MAX, at_ms(0)));
    give_back(budget, "192.0.2.1", 10, at_ms(0));
    assert_int_equal(budget_entries(budget), 0);
    budget_free(budget);
}

static void limits_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const struct {
        double rate;
        size_t burst, entries_max;
    } rows[] = {
        {-1, BURST, 16},
        {-0.001, BURST, 16},
        {(double)NAN, BURST, 16},
        {(double)INFINITY, BURST, 16},
        {RATE, 0, 16},
        {RATE, BURST, 0},
        {RATE, BURST, 1},
        {RATE, SIZE_MAX, 16},
        {RATE, BURST, SIZE_MAX},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err err = {.message = ""};
        struct budget *budget = NULL;
        assert_false(
            budget_new(rows[i].rate, rows[i].burst, rows[i].entries_max, &budget, &err));
        assert_int_equal(err.kind, ERR_INVALID);
        assert_null(budget);
    }
    assert_null(budget_free(NULL));
}

static void extreme_rates_do_not_overflow(void **state)
{
    (void)state;
    static const double rates[] = {1e-300, 1e-12, 1e-6, 1e9, 1e12, 1e300};
    for (size_t i = 0; i < COUNT(rates); i++) {
        struct budget *budget = make(rates[i], 65535, 16);
        assert_granted(take(budget, "192.0.2.1", 65535, at_ms(0)));
        struct budget_answer answer = take(budget, "192.0.2.1", 65535, at_ms(0));
        assert_int_equal(answer.denied, BUDGET_CALLER);
        assert_true(answer.retry_after.ns > 0);
        assert_granted(
            take(budget, "192.0.2.1", 65535, instant_add(at_ms(0), answer.retry_after)));

        struct address target = address_of("203.0.113.9");
        for (int times = 0; times < 3; times++)
            budget_charge_silent(budget, &target, true, 65535, at_ms(0));
        answer = take_foreign(budget, "192.0.2.2", "203.0.113.9", 1, at_ms(0));
        assert_int_equal(answer.denied, BUDGET_TARGET);
        assert_true(answer.retry_after.ns > 0);
        budget_free(budget);
    }
}

/* Workers share one budget: together they are granted one burst, not more. */
struct worker {
    pthread_t thread;
    struct budget *budget;
    size_t granted;
};

static void *worker_run(void *ctx)
{
    struct worker *worker = ctx;
    struct address mine = {0};
    if (!address_parse("192.0.2.1", 9, &mine, NULL))
        return NULL;
    for (unsigned n = 0; n < 2000; n++) {
        struct address other = mine;
        other.in.sin_addr.s_addr = n;
        struct budget_answer answer =
            budget_take(worker->budget, &mine, &other, n % 2 == 1, 1, 1, at_ms(0));
        worker->granted += answer.denied == BUDGET_NONE;
        budget_take(worker->budget, &other, &other, false, 3, 1, at_ms(n));
        budget_give_back(worker->budget, &other, &other, false, 3, 1, at_ms(n));
    }
    return NULL;
}

static void all_threads_together_get_one_burst(void **state)
{
    (void)state;
    struct worker workers[4] = {{0}};
    struct budget *budget = make(0.001, 1024, 4096);
    for (size_t i = 0; i < COUNT(workers); i++) {
        workers[i].budget = budget;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]),
                         0);
    }
    size_t granted = 0;
    for (size_t i = 0; i < COUNT(workers); i++) {
        pthread_join(workers[i].thread, NULL);
        granted += workers[i].granted;
    }
    assert_int_equal(granted, 1024);
    budget_free(budget);
}

/* A burst of 100 ports at each of three places, but only one caller's rate. */
static void ports_at_several_places_cost_as_many(void **state)
{
    (void)state;
    struct budget *budget = make(10, 100, 16);
    struct address caller = address_of("192.0.2.1"), target = address_of("203.0.113.9");
    struct budget_answer answer;

    answer = budget_take(budget, &caller, &target, true, 100, 3, at_ms(0));
    assert_granted(answer);
    /* The target has paid for one place, the caller for three. */
    answer = take_foreign(budget, "192.0.2.2", "203.0.113.9", 1, at_ms(0));
    assert_denied(answer, BUDGET_TARGET, 100 * NS_PER_MS);
    answer = budget_take(budget, &caller, &caller, false, 10, 3, at_ms(0));
    assert_denied(answer, BUDGET_CALLER, 3000 * NS_PER_MS);
    assert_granted(budget_take(budget, &caller, &caller, false, 10, 3, at_ms(3000)));

    budget_give_back(budget, &caller, &caller, false, 10, 3, at_ms(3000));
    assert_granted(budget_take(budget, &caller, &caller, false, 10, 3, at_ms(3000)));
    answer = budget_take(budget, &caller, &caller, false, 101, 3, at_ms(0));
    assert_int_equal(answer.denied, BUDGET_CALLER);
    assert_true(answer.retry_after.ns < 0);
    budget_free(budget);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_caller_has_the_burst_and_then_the_rate),
        cmocka_unit_test(no_caller_saves_more_than_the_burst),
        cmocka_unit_test(it_is_all_or_nothing),
        cmocka_unit_test(retry_after_is_exact_to_the_nanosecond),
        cmocka_unit_test(more_than_the_burst_never_succeeds),
        cmocka_unit_test(no_ports_cost_nothing),
        cmocka_unit_test(a_clock_that_two_threads_read_may_step_back_a_little),
        cmocka_unit_test(ports_that_were_not_tried_are_given_back),
        cmocka_unit_test(giving_back_never_lifts_a_bucket_above_its_burst),
        cmocka_unit_test(both_buckets_get_their_ports_back),
        cmocka_unit_test(silent_ports_cost_the_target_more),
        cmocka_unit_test(a_debt_has_a_limit),
        cmocka_unit_test(a_debt_that_is_paid_leaves_no_bucket_behind),
        cmocka_unit_test(addresses_share_a_bucket_when_they_have_one_owner),
        cmocka_unit_test(strangers_cannot_use_up_the_owners_budget),
        cmocka_unit_test(a_refusal_takes_from_neither_bucket),
        cmocka_unit_test(the_longer_wait_is_told_when_both_are_short),
        cmocka_unit_test(buckets_that_have_refilled_are_forgotten),
        cmocka_unit_test(a_refused_request_leaves_no_bucket_behind),
        cmocka_unit_test(newcomers_share_one_bucket_while_all_places_are_held),
        cmocka_unit_test(newcomers_get_a_place_as_soon_as_any_bucket_has_refilled),
        cmocka_unit_test(the_table_does_what_a_bucket_for_each_would_do),
        cmocka_unit_test(ports_at_several_places_cost_as_many),
        cmocka_unit_test(rate_0_grants_everything),
        cmocka_unit_test(limits_that_make_no_sense_are_refused),
        cmocka_unit_test(extreme_rates_do_not_overflow),
        cmocka_unit_test(all_threads_together_get_one_burst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
