/* SPDX-License-Identifier: MIT
 *
 * Which places a front expects, and which of them it waits for.
 */
#include "vantage/places.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

static const struct place_list no_list = {0};

static struct instant at(int64_t seconds)
{
    return (struct instant){seconds * NS_PER_SECOND};
}

/* "eu-1 us-1!": the second is not waited for. */
static void assert_expected(struct places *places, int64_t seconds, const char *wanted)
{
    struct expected_places expected;
    char text[PLACES_MAX * (PLACE_NAME_SIZE + 2)] = "";
    size_t len = 0;

    places_expect(places, at(seconds), &expected);
    for (size_t i = 0; i < expected.count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s%s", i > 0 ? " " : "",
                                expected.items[i].name,
                                expected.items[i].is_awaited ? "" : "!");
    assert_string_equal(text, wanted);
}

static void listed_places_are_expected_from_the_start(void **state)
{
    (void)state;
    static const struct place_list listed = {3, {"eu-1", "gw", "us-1"}};
    struct places *places;
    assert_true(places_new(&listed, "gw", &places, NULL));
    assert_expected(places, 0, "eu-1 us-1");
    places_heard(places, "ap-1", at(1));
    assert_expected(places, PLACES_HEARD_SECONDS * 2, "eu-1 us-1");
    places_free(places);
}

static void without_a_list_those_that_were_heard(void **state)
{
    (void)state;
    struct places *places;
    assert_true(places_new(&no_list, "gw", &places, NULL));
    assert_expected(places, 0, "");
    places_heard(places, "gw", at(0));
    places_heard(places, "eu-1", at(1));
    places_heard(places, "us-1", at(2));
    places_heard(places, "us-1", at(100));
    assert_expected(places, 100, "eu-1 us-1");
    assert_expected(places, PLACES_HEARD_SECONDS, "eu-1 us-1");
    assert_expected(places, PLACES_HEARD_SECONDS + 1, "us-1");
    assert_expected(places, PLACES_HEARD_SECONDS + 100, "");
    places_free(places);
}

static void two_misses_in_a_row_end_the_wait(void **state)
{
    (void)state;
    static const struct place_list listed = {2, {"eu-1", "us-1"}};
    struct places *places;
    assert_true(places_new(&listed, "gw", &places, NULL));
    places_missed(places, "us-1");
    assert_expected(places, 0, "eu-1 us-1");
    places_answered(places, "us-1", false);
    places_missed(places, "us-1");
    assert_expected(places, 0, "eu-1 us-1");
    places_missed(places, "us-1");
    assert_expected(places, 0, "eu-1 us-1!");
    places_missed(places, "us-1");
    places_heard(places, "eu-1", at(1));
    assert_expected(places, 1, "eu-1 us-1!");
    places_heard(places, "us-1", at(2));
    assert_expected(places, 2, "eu-1 us-1");
    places_free(places);
}

static void what_became_of_a_place_is_counted(void **state)
{
    (void)state;
    static const struct place_list listed = {2, {"eu-1", "us-1"}};
    struct place_count counts[PLACES_MAX];
    struct places *places;
    assert_true(places_new(&listed, "gw", &places, NULL));
    for (int i = 0; i < 5; i++)
        places_answered(places, "eu-1", i > 2);
    for (int i = 0; i < 3; i++)
        places_missed(places, "us-1");
    places_answered(places, "ap-1", false);
    assert_int_equal(places_count(places, counts), 2);
    assert_string_equal(counts[0].name, "eu-1");
    assert_true(counts[0].answers == 3 && counts[0].refusals == 2 && counts[0].misses == 0);
    assert_true(counts[0].is_awaited && !counts[1].is_awaited);
    assert_true(counts[1].answers == 0 && counts[1].misses == 3);
    places_free(places);
}

static void a_flood_of_names_is_bounded(void **state)
{
    (void)state;
    struct places *places;
    struct expected_places expected;
    char name[PLACE_NAME_SIZE];
    assert_true(places_new(&no_list, "gw", &places, NULL));
    for (int i = 0; i < 2 * PLACES_MAX; i++) {
        snprintf(name, sizeof name, "place-%d", i);
        places_heard(places, name, at(i));
    }
    places_expect(places, at(100), &expected);
    assert_int_equal(expected.count, PLACES_MAX - 1);
    assert_string_equal(expected.items[0].name, "place-0");

    /* Once the first is forgotten, there is room for one. */
    places_heard(places, "late", at(PLACES_HEARD_SECONDS));
    places_expect(places, at(PLACES_HEARD_SECONDS), &expected);
    assert_int_equal(expected.count, PLACES_MAX - 1);
    assert_string_equal(expected.items[0].name, "place-1");
    assert_string_equal(expected.items[PLACES_MAX - 2].name, "late");
    places_free(places);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listed_places_are_expected_from_the_start),
        cmocka_unit_test(without_a_list_those_that_were_heard),
        cmocka_unit_test(two_misses_in_a_row_end_the_wait),
        cmocka_unit_test(what_became_of_a_place_is_counted),
        cmocka_unit_test(a_flood_of_names_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
