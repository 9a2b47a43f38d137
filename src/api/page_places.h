/* SPDX-License-Identifier: MIT
 *
 * What the places of a check say about a port, as HTML for the page without JavaScript: the
 * same dots and words as in web/grid.js. Pure.
 */
#pragma once

#include "api/check_reply.h"
#include "base/text.h"

#include <stdbool.h>

/* Sets of places: bit i is the place of view i. */
struct page_reach {
    unsigned from;    /* reached the port */
    unsigned without; /* could not */
    unsigned missing, limited;
};
struct page_reach page_reach_of(const struct check_places *places);

/* Some reached it, and others could not. */
bool page_reach_differs(const struct page_reach *reach);

/* Some are missing, and the address has limited none. */
bool page_reach_wants(const struct page_reach *reach);

/* Whether a reader is told the same about two ports, apart from times. */
bool page_places_alike(const struct check_places *a, const struct check_places *b);

/* A dot for each place, and the same in words; with times only for a single port. Nothing
 * without places. At most PAGE_PLACES_MAX bytes. */
void page_places_put(struct text *html, const struct check_places *places, bool has_times);

/* A dot and its words take about 140 bytes beside the name and a reason. */
#define PAGE_PLACES_MAX (PLACES_MAX * 256ul)

/* The names in a set, as plain text: "eu-1, ap-1 and us-1". */
void page_places_put_names(struct text *text, const struct check_places *places,
                           unsigned set);
