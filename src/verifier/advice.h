/* SPDX-License-Identifier: MIT
 *
 * The sentences of causes.def, filled in for groups of ports. Pure.
 */
#pragma once

#include "base/text.h"
#include "verifier/report.h"

#include <stdint.h>

enum advice_part {
    ADVICE_LABEL,   /* "filtered: not forwarded" */
    ADVICE_WHY,     /* one sentence; empty if the ports are good and proved */
    ADVICE_REMEDY,  /* one sentence: what to do; empty if there is nothing to do */
    ADVICE_SUMMARY, /* "are not forwarded" */
};

/* One row of a cause: what is said about ports if all its conditions are true. */
struct advice_row {
    uint64_t when; /* a set of enum condition */
    const char *label, *why, *remedy, *summary;
};

/* Appends a sentence about a group. */
void advice_put(const struct report *report, const struct family_report *family,
                const struct port_group *group, enum advice_part part, struct text *text);

/* Appends a summary of all ports: "49 of 102 ports reachable; 53 are not forwarded". */
void advice_put_summary(const struct report *report, const struct family_report *family,
                        struct text *text);
