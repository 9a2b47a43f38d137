/* SPDX-License-Identifier: MIT
 *
 * What to do about checkers that did not answer. Pure.
 */
#pragma once

#include "base/text.h"
#include "verifier/report.h"

/* Appends one sentence: what may be done about the reason. Where checkers failed for
 * reasons that want different things, each has its part, with their URLs before it. */
void checker_advice_put(const struct family_report *half, struct text *text);
