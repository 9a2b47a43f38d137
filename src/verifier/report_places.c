/* SPDX-License-Identifier: MIT */
#include "verifier/report_places.h"

#include <stdint.h>

#define NO_CHECKER SIZE_MAX

/* --- whose places are shown ----------------------------------------------------------- */

static const struct place_table *places_of(const struct family_report *family,
                                           size_t checker)
{
    return family->checkers[checker].result.places;
}

static struct place_tally tally_of(const struct family_report *family, size_t checker,
                                   size_t index)
{
    return diagnosis_tally(places_of(family, checker), index, &family->local[index]);
}

static bool is_partial(const struct place_tally *tally)
{
    return tally->counts[REACH_YES] > 0 &&
           tally->counts[REACH_NO] + tally->counts[REACH_NONE] > 0;
}

/* 0: nothing is to be said. */
static unsigned rank_of(const struct family_report *family, size_t checker, size_t index)
{
    const struct remote_verdict *verdict = report_verdict(family, checker, index);
    if (!verdict || !report_counts(family, checker))
        return 0;
    struct place_tally tally = tally_of(family, checker, index);
    return place_tally_differs(&tally) ? 3
           : is_partial(&tally)        ? 2
           : verdict->is_undecided     ? 1
                                       : 0;
}

static size_t shown_checker(const struct family_report *family, size_t index)
{
    size_t shown = NO_CHECKER;
    unsigned highest = 0;
    for (size_t i = 0; i < family->checker_count; i++) {
        unsigned rank = rank_of(family, i, index);
        if (rank > highest) {
            highest = rank;
            shown = i;
        }
    }
    return shown;
}

bool report_places_alike(const struct family_report *family, size_t a, size_t b)
{
    size_t shown = shown_checker(family, a);
    if (shown != shown_checker(family, b))
        return false;
    if (shown == NO_CHECKER)
        return true;

    const struct place_table *places = places_of(family, shown);
    for (size_t i = 0; i < place_table_count(places); i++) {
        struct place_view one = place_table_get(places, a, i);
        struct place_view other = place_table_get(places, b, i);
        if ((one.kind == PLACE_ABSENT) != (other.kind == PLACE_ABSENT) ||
            diagnosis_place_reach(&family->local[a], &one) !=
                diagnosis_place_reach(&family->local[b], &other))
            return false;
    }
    return true;
}

/* --- lists of names ------------------------------------------------------------------- */

/* "eu-1", "eu-1 and ap-1", "eu-1, ap-1 and us-1": of the places that are told, in their
 * order. */
static void names_put(const struct place_table *places,
                      const bool is_told[PLACES_OF_A_PORT_MAX], struct text *text)
{
    size_t left = 0;
    bool is_first = true;
    for (size_t i = 0; i < place_table_count(places); i++)
        left += is_told[i];
    for (size_t i = 0; i < place_table_count(places); i++) {
        if (!is_told[i])
            continue;
        text_append_str(text, is_first ? "" : left == 1 ? " and " : ", ");
        text_append_str(text, place_table_name(places, i));
        is_first = false;
        left--;
    }
}

static void reach_put(const struct family_report *family, size_t checker, size_t index,
                      enum place_reach reach, struct text *text)
{
    const struct place_table *places = places_of(family, checker);
    bool is_told[PLACES_OF_A_PORT_MAX];
    for (size_t i = 0; i < place_table_count(places); i++) {
        struct place_view view = place_table_get(places, index, i);
        is_told[i] = view.kind != PLACE_ABSENT &&
                     diagnosis_place_reach(&family->local[index], &view) == reach;
    }
    names_put(places, is_told, text);
}

void report_places_put_names(const struct family_report *family, size_t index,
                             enum place_reach reach, struct text *text)
{
    size_t shown = shown_checker(family, index);
    if (shown != NO_CHECKER)
        reach_put(family, shown, index, reach, text);
}

void report_places_put(const struct family_report *family, size_t index, struct text *text)
{
    size_t shown = shown_checker(family, index);
    if (shown == NO_CHECKER)
        return;
    struct place_tally tally = tally_of(family, shown, index);
    size_t reached = tally.counts[REACH_YES];
    if (!is_partial(&tally))
        return;

    text_printf(text, "reached by %zu of %zu: ", reached,
                reached + tally.counts[REACH_NO] + tally.counts[REACH_NONE]);
    if (tally.counts[REACH_NO] > 0) {
        text_append_str(text, "not from ");
        reach_put(family, shown, index, REACH_NO, text);
    }
    if (tally.counts[REACH_NONE] > 0) {
        text_append_str(text, tally.counts[REACH_NO] > 0 ? "; no verdict from "
                                                         : "no verdict from ");
        reach_put(family, shown, index, REACH_NONE, text);
    }
}

/* --- all places of a checker ---------------------------------------------------------- */

/* Of the first port that it is missing for; "" if it has said something about any port. */
static const char *missing_reason(const struct family_report *family,
                                  const struct place_table *places, size_t place,
                                  bool *ret_is_missing)
{
    const char *reason = "";
    *ret_is_missing = false;
    for (size_t i = family->port_count; i-- > 0;) {
        struct place_view view = place_table_get(places, i, place);
        if (view.kind == PLACE_JUDGED || view.kind == PLACE_UNKNOWN) {
            *ret_is_missing = false;
            return "";
        }
        if (view.kind == PLACE_MISSING) {
            *ret_is_missing = true;
            reason = view.words;
        }
    }
    return reason;
}

/* "no_answer" is "no answer". */
static void reason_put(const char *reason, struct text *text)
{
    for (; *reason; reason++)
        text_append(text, *reason == '_' ? " " : reason, 1);
}

void report_places_put_checker(const struct family_report *family, size_t checker,
                               struct text *text)
{
    const struct place_table *places = places_of(family, checker);
    size_t count = place_table_count(places);
    bool is_there[PLACES_OF_A_PORT_MAX];
    size_t there = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_missing;
        missing_reason(family, places, i, &is_missing);
        is_there[i] = !is_missing;
        there += is_there[i];
    }
    if (there > 0) {
        text_append_str(text, "; places: ");
        names_put(places, is_there, text);
    }

    const char *between = "; missing: ";
    for (size_t i = 0; i < count; i++) {
        bool is_missing;
        const char *reason = missing_reason(family, places, i, &is_missing);
        if (!is_missing)
            continue;
        text_printf(text, "%s%s", between, place_table_name(places, i));
        if (reason[0]) {
            text_append_str(text, " (");
            reason_put(reason, text);
            text_append_str(text, ")");
        }
        between = ", ";
    }
}
