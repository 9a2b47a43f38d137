/* SPDX-License-Identifier: MIT
 *
 * Causes in words: a label for a table, a sentence, and what to do. Pure.
 */
#pragma once

#include "base/text.h"
#include "verifier/report.h"

#include <stddef.h>

/* All speak of the ports that are alike to the one at `index`. */

/* "filtered: not forwarded" */
void advice_label(const struct report *report, const struct family_report *half,
                  size_t index, struct text *text);

/* Why it is so, as one sentence. */
void advice_cause(const struct report *report, const struct family_report *half,
                  size_t index, struct text *text);

/* What to do, as one sentence; nothing when there is nothing to do. */
void advice_remedy(const struct report *report, const struct family_report *half,
                   size_t index, struct text *text);
