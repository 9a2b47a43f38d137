/* SPDX-License-Identifier: MIT
 *
 * The table of places: what goes in comes out, and it does not grow beyond its bounds.
 */
#include "verifier/place_table.h"

#include "places.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void assert_says(const struct place_table *table, size_t port, const char *name,
                        const struct place_view *expected)
{
    size_t place = 0;
    while (strcmp(place_table_name(table, place), name) != 0)
        place++;
    struct place_view view = place_table_get(table, port, place);
    assert_int_equal(view.kind, expected->kind);
    assert_int_equal(view.state, expected->state);
    assert_int_equal(view.proof, expected->proof);
    assert_int_equal(view.proof_port, expected->proof_port);
    assert_int_equal(view.has_rtt, expected->has_rtt);
    assert_true(view.rtt_ms == expected->rtt_ms);
    assert_string_equal(view.words, expected->words);
}

static void what_goes_in_comes_out(void **state)
{
    (void)state;
    static const struct place_view views[] = {
        {PLACE_JUDGED, PORT_STATE_OPEN, PROOF_MATCH, 0, true, 12.345, ""},
        {PLACE_JUDGED, PORT_STATE_OPEN, PROOF_OTHER_PORT, 65535, true, 0, ""},
        {PLACE_JUDGED, PORT_STATE_LIMITED, PROOF_NONE, 0, false, 0, "Connection refused"},
        {PLACE_MISSING, 0, PROOF_NONE, 0, false, 0, "no_answer"},
        {PLACE_UNKNOWN, 0, PROOF_NONE, 0, false, 0, "postponed"},
    };
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    struct place_table *table;
    assert_true(place_table_new(2, &table, NULL));
    assert_int_equal(place_table_count(table), 0);
    for (size_t i = 0; i < COUNT(views); i++)
        assert_true(place_table_add(table, 1, names[i], &views[i]));

    assert_int_equal(place_table_count(table), COUNT(views));
    for (size_t i = 0; i < COUNT(views); i++) {
        assert_string_equal(place_table_name(table, i), names[i]);
        assert_says(table, 1, names[i], &views[i]);
        assert_int_equal(place_table_get(table, 0, i).kind, PLACE_ABSENT);
    }

    /* and in another table, which has other places and words before */
    struct place_table *copy;
    assert_true(place_table_new(1, &copy, NULL));
    assert_true(place_table_add(copy, 0, "z", &views[3]));
    place_table_copy(copy, 0, table, 1);
    assert_int_equal(place_table_count(copy), COUNT(views) + 1);
    assert_int_equal(place_table_get(copy, 0, 0).kind, PLACE_ABSENT);
    for (size_t i = 0; i < COUNT(views); i++)
        assert_says(copy, 0, names[i], &views[i]);
    place_table_copy(copy, 0, table, 0);
    for (size_t i = 0; i < place_table_count(copy); i++)
        assert_int_equal(place_table_get(copy, 0, i).kind, PLACE_ABSENT);

    place_table_set_proof(table, 1, 0, PROOF_OTHER_PORT, 7466);
    assert_int_equal(place_table_get(table, 1, 0).proof, PROOF_OTHER_PORT);
    assert_int_equal(place_table_get(table, 1, 0).proof_port, 7466);
    place_table_free(table);
    place_table_free(copy);
}

static void a_port_with_too_many_places_has_none(void **state)
{
    (void)state;
    const struct place_view view = place_view_of("closed");
    struct place_table *table;
    assert_true(place_table_new(2, &table, NULL));
    for (size_t i = 0; i <= PLACES_OF_A_PORT_MAX; i++) {
        char name[PLACE_LABEL_SIZE];
        snprintf(name, sizeof name, "place-%zu", i);
        assert_int_equal(place_table_add(table, 0, name, &view), i < PLACES_OF_A_PORT_MAX);
    }
    assert_int_equal(place_table_count(table), PLACES_OF_A_PORT_MAX);
    for (size_t i = 0; i < PLACES_OF_A_PORT_MAX; i++)
        assert_int_equal(place_table_get(table, 0, i).kind, PLACE_ABSENT);
    assert_true(place_table_add(table, 1, "place-3", &view)); /* a known one */
    place_table_free(table);
}

static void words_without_end_are_not_kept(void **state)
{
    (void)state;
    struct place_table *table;
    size_t kept = 0;
    assert_true(place_table_new(1000, &table, NULL));
    for (size_t i = 0; i < 1000; i++) {
        char words[PLACE_WORDS_SIZE];
        snprintf(words, sizeof words, "reason %zu", i);
        const struct place_view view = {.kind = PLACE_MISSING, .words = words};
        kept += place_table_add(table, i, "eu-1", &view);
    }
    assert_in_range(kept, 32, 255);
    assert_int_equal(place_table_get(table, 0, 0).kind, PLACE_MISSING);
    assert_int_equal(place_table_get(table, 999, 0).kind, PLACE_ABSENT);
    place_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(a_port_with_too_many_places_has_none),
        cmocka_unit_test(words_without_end_are_not_kept),
    };
    return cmocka_run_group_tests_name("place_table", tests, NULL, NULL);
}
