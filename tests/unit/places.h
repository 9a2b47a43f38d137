/* SPDX-License-Identifier: MIT
 *
 * What places say, in short, for tables: "eu-1 open, us-1 filtered, ap-1 missing".
 */
#pragma once

#include "verifier/place_table.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define PLACE_TEXTS_MAX 4

static inline struct place_view place_view_of(const char *word)
{
    static const struct {
        const char *word;
        struct place_view view;
    } rows[] = {
        {"open", {.kind = PLACE_JUDGED, .state = PORT_STATE_OPEN}},
        {"match", {.kind = PLACE_JUDGED, .state = PORT_STATE_OPEN, .proof = PROOF_MATCH}},
        {"mismatch",
         {.kind = PLACE_JUDGED, .state = PORT_STATE_OPEN, .proof = PROOF_MISMATCH}},
        {"closed",
         {.kind = PLACE_JUDGED, .state = PORT_STATE_CLOSED, .words = "Connection refused"}},
        {"filtered",
         {.kind = PLACE_JUDGED,
          .state = PORT_STATE_FILTERED,
          .words = "Connection timed out"}},
        {"limited",
         {.kind = PLACE_JUDGED,
          .state = PORT_STATE_LIMITED,
          .words = "Connection timed out"}},
        {"missing", {.kind = PLACE_MISSING, .words = "no_answer"}},
        {"postponed", {.kind = PLACE_UNKNOWN, .words = "postponed"}},
    };
    size_t i = 0;
    while (strcmp(rows[i].word, word) != 0)
        assert_true(++i < sizeof rows / sizeof rows[0]);
    struct place_view view = rows[i].view;
    view.words = view.words ? view.words : "";
    return view;
}

/* One text for each port; NULL for a port without places. NULL if none has any. */
static inline struct place_table *place_table_of(const char *const texts[], size_t count)
{
    struct place_table *table = NULL;
    for (size_t port = 0; port < count; port++) {
        char copy[400];
        char *rest = copy;
        char *part;
        if (!texts[port])
            continue;
        if (!table)
            assert_true(place_table_new(count, &table, NULL));
        snprintf(copy, sizeof copy, "%s", texts[port]);
        while ((part = strsep(&rest, ","))) {
            part += *part == ' ';
            char *word = strchr(part, ' ');
            assert_non_null(word);
            *word++ = '\0';
            const struct place_view view = place_view_of(word);
            assert_true(place_table_add(table, port, part, &view));
        }
    }
    return table;
}
