/* SPDX-License-Identifier: MIT */
#include "verifier/watch.h"

#include "verifier/report.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* One letter a family: which state the round found. '-' no such family, '?' no checker
 * answered, 'b' bad, 'g' good, which is proved and advertised, 'a' so at another address,
 * 'p' good without proof, 'h' good and not advertised. */
static struct report *report_of(const char *letters)
{
    static const uint16_t ports[] = {7466};
    struct report *report;
    assert_true(report_new(NULL, 0, &report, NULL));
    for (enum family which = 0; which < FAMILY_COUNT; which++) {
        struct family_report *family;
        if (letters[which] == '-')
            continue;
        const char *ip = letters[which] == 'a' ? "192.0.2.9" : "192.0.2.7";
        assert_true(family_report_new(which, ports, 1, 1, &family, NULL));
        family->is_known = letters[which] != '?';
        family->has_public = family->is_known;
        assert_true(address_parse(ip, strlen(ip), &family->public_address, NULL));
        family->findings[0].is_good = strchr("gaph", letters[which]) != NULL;
        family->findings[0].is_proved = strchr("gah", letters[which]) != NULL;
        family->is_advertised[0] = strchr("gap", letters[which]) != NULL;
        report->families[which] = family;
    }
    return report;
}

static void a_change_has_to_be_seen_twice(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const char *rounds; /* "g- b- b-" */
        enum watch_step steps[8];
        const char *firm; /* at the end */
    } rows[] = {
        {"nothing changes", "g- g- g-", {WATCH_FIRST, WATCH_SAME, WATCH_SAME}, "g-"},
        {"seen twice", "g- b- b-", {WATCH_FIRST, WATCH_SUSPECT, WATCH_CHANGED}, "b-"},
        {"seen once", "g- b- g-", {WATCH_FIRST, WATCH_SUSPECT, WATCH_SAME}, "g-"},
        {"not twice in a row",
         "g- b- g- b- b-",
         {WATCH_FIRST, WATCH_SUSPECT, WATCH_SAME, WATCH_SUSPECT, WATCH_CHANGED},
         "b-"},
        {"two different changes",
         "g- b- a- a-",
         {WATCH_FIRST, WATCH_SUSPECT, WATCH_SUSPECT, WATCH_CHANGED},
         "a-"},
        {"another address", "g- a- a-", {WATCH_FIRST, WATCH_SUSPECT, WATCH_CHANGED}, "a-"},
        {"good, and no longer proved",
         "g- p- p-",
         {WATCH_FIRST, WATCH_SUSPECT, WATCH_CHANGED},
         "p-"},
        {"good, and no longer advertised",
         "g- h- h-",
         {WATCH_FIRST, WATCH_SUSPECT, WATCH_CHANGED},
         "h-"},
        {"an outage says nothing", "g- ?- g-", {WATCH_FIRST, WATCH_SAME, WATCH_SAME}, "g-"},
        {"nor does one that hides a family",
         "gg ?- ?- -? gg",
         {WATCH_FIRST, WATCH_SAME, WATCH_SAME, WATCH_SAME, WATCH_SAME},
         "gg"},
        {"nor does one between",
         "g- b- ?- b-",
         {WATCH_FIRST, WATCH_SUSPECT, WATCH_SAME, WATCH_SUSPECT},
         "g-"},
        {"an outage of one family hides none of the other",
         "gg ?b ?b",
         {WATCH_FIRST, WATCH_SUSPECT, WATCH_CHANGED},
         "gb"},
        {"from nothing known to something",
         "?- g- g-",
         {WATCH_FIRST, WATCH_SUSPECT, WATCH_CHANGED},
         "g-"},
        {"a family goes", "gg g- g-", {WATCH_FIRST, WATCH_SUSPECT, WATCH_CHANGED}, "g-"},
        {"a family comes", "g- gg gg", {WATCH_FIRST, WATCH_SUSPECT, WATCH_CHANGED}, "gg"},
        {"restless",
         "g- b- a- b- a- b- b-",
         {WATCH_FIRST, WATCH_SUSPECT, WATCH_SUSPECT, WATCH_SUSPECT, WATCH_SUSPECT,
          WATCH_RESTLESS, WATCH_SUSPECT},
         "g-"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct watch watch = {0};
        for (size_t round = 0; round * 3 < strlen(rows[i].rounds); round++) {
            enum watch_step step =
                watch_take(&watch, report_of(rows[i].rounds + round * 3));
            if (step != rows[i].steps[round])
                print_error("%s: round %zu\n", rows[i].what, round);
            assert_int_equal(step, rows[i].steps[round]);
        }
        struct report *expected = report_of(rows[i].firm);
        assert_true(report_equals(expected, watch.firm));
        assert_true(report_equals(watch.firm, expected));
        report_free(expected);
        watch_done(&watch);
    }
}

static void pauses_differ_by_a_tenth(void **state)
{
    (void)state;
    static const uint32_t randoms[] = {0, 1, 1000, 2000, 2001, 123456789, UINT32_MAX};
    struct span hour = span_seconds(3600);
    for (size_t i = 0; i < COUNT(randoms); i++) {
        struct span pause = watch_pause(hour, randoms[i]);
        assert_true(pause.ns >= span_seconds(3240).ns && pause.ns <= span_seconds(3960).ns);
    }
    assert_int_equal(watch_pause(hour, 0).ns, span_seconds(3240).ns);
    assert_int_equal(watch_pause(hour, 2000).ns, span_seconds(3960).ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_has_to_be_seen_twice),
        cmocka_unit_test(pauses_differ_by_a_tenth),
    };
    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
