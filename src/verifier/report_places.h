/* SPDX-License-Identifier: MIT
 *
 * What is said about the places of checkers. One checker is shown for each port: the first
 * whose verdict counts and whose places disagree about it; otherwise the first of whose
 * places only some reached it; otherwise the first that lacks places. Pure.
 */
#pragma once

#include "base/text.h"
#include "verifier/report.h"

#include <stdbool.h>
#include <stddef.h>

/* Whether the same is to be said about the places of two ports. */
bool report_places_alike(const struct family_report *family, size_t a, size_t b);

/* Appends "reached by 2 of 3: not from us-1"; nothing unless some places, but not all,
 * reached the port. */
void report_places_put(const struct family_report *family, size_t index, struct text *text);

/* Appends the places that reached the port, did not, or have no verdict: "eu-1 and ap-1".
 */
void report_places_put_names(const struct family_report *family, size_t index,
                             enum place_reach reach, struct text *text);

/* Appends "; places: eu-1 and ap-1; missing: us-1 (no answer)": all places of a checker,
 * and those that have no verdict on any port; nothing if it has no places. */
void report_places_put_checker(const struct family_report *family, size_t checker,
                               struct text *text);
