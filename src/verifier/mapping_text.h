/* SPDX-License-Identifier: MIT
 *
 * What a report for people says about the mappings of a family (--map). Pure.
 */
#pragma once

#include "verifier/report.h"

/* Appends "102 of 102 ports mapped", or why none is. Nothing without --map, if the ports
 * need no mapping, or if none is mapped and all are reached all the same. */
void mapping_text_put(const struct family_report *family, struct text *text);

/* Ports that are not mapped, those with the same reason together: appends
 * "50831-50900: the table of the router is full (NO_RESOURCES)" for those of which the
 * first is at *at or later. False if there are no more. */
bool mapping_text_put_next(const struct family_report *family, size_t *at,
                           struct text *text);
