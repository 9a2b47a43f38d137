/* SPDX-License-Identifier: MIT */
#include "router/epoch.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void a_table_is_the_same_if_both_clocks_agree(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        enum router_protocol protocol;
        uint32_t before, after;
        int64_t passed_ms;
        bool fits;
    } rows[] = {
        {"both by an hour", ROUTER_PCP, 1000, 4600, 3600000, true},
        {"replies that overtook each other", ROUTER_PCP, 1000, 999, 5, true},
        {"back by two seconds", ROUTER_PCP, 1000, 998, 5, false},
        {"from the beginning", ROUTER_PCP, 100000, 0, 1000, false},
        {"slow by one sixteenth", ROUTER_PCP, 0, 3374, 3600000, true},
        {"slower", ROUTER_PCP, 0, 3372, 3600000, false},
        {"fast by one sixteenth", ROUTER_PCP, 0, 3842, 3600000, true},
        {"faster", ROUTER_PCP, 0, 3844, 3600000, false},
        {"a restart just after the first reply", ROUTER_PCP, 10, 5, 60000, false},
        {"a restart that a long pause hides", ROUTER_PCP, 3, 60, 60000, true},
        {"the end of the counter", ROUTER_PCP, UINT32_MAX, UINT32_MAX, 0, true},
        {"both by an hour", ROUTER_NATPMP, 1000, 4600, 3600000, true},
        {"back by two seconds", ROUTER_NATPMP, 1000, 998, 0, true},
        {"back by three seconds", ROUTER_NATPMP, 1000, 997, 0, false},
        {"slow by one eighth", ROUTER_NATPMP, 0, 3148, 3600000, true},
        {"slower", ROUTER_NATPMP, 0, 3147, 3600000, false},
        {"fast by any amount", ROUTER_NATPMP, 0, 99999, 1000, true},
        {"from the beginning", ROUTER_NATPMP, 100000, 0, 1000, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct epoch epoch = {0};
        struct instant begin = {77 * NS_PER_SECOND};
        assert_true(epoch_note(&epoch, rows[i].protocol, rows[i].before, begin));
        if (epoch_note(&epoch, rows[i].protocol, rows[i].after,
                       instant_add(begin, span_ms(rows[i].passed_ms))) != rows[i].fits)
            fail_msg("%s: %s", router_protocol_text(rows[i].protocol), rows[i].what);
    }
}

static void after_a_restart_the_new_table_is_the_measure(void **state)
{
    (void)state;
    struct epoch epoch = {0};
    struct instant now = {0};
    assert_true(epoch_note(&epoch, ROUTER_PCP, 5000, now));
    assert_false(epoch_note(&epoch, ROUTER_PCP, 2, now));
    assert_true(epoch_note(&epoch, ROUTER_PCP, 2, now));
    assert_true(epoch_note(&epoch, ROUTER_PCP, 62, instant_add(now, span_seconds(60))));
}

static void the_first_reply_has_nothing_to_differ_from(void **state)
{
    (void)state;
    struct epoch epoch = {0};
    assert_true(epoch_note(&epoch, ROUTER_PCP, 0, (struct instant){INT64_MAX / 2}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_is_the_same_if_both_clocks_agree),
        cmocka_unit_test(after_a_restart_the_new_table_is_the_measure),
        cmocka_unit_test(the_first_reply_has_nothing_to_differ_from),
    };
    return cmocka_run_group_tests_name("epoch", tests, NULL, NULL);
}
