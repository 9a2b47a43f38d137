/* SPDX-License-Identifier: MIT
 *
 * What to do about checkers that did not answer: the remedies of failures.def. Pure.
 */
#pragma once

#include "base/text.h"
#include "verifier/report.h"

/* Appends one sentence. Where checkers failed for reasons with different remedies, each
 * remedy follows the URLs that it is for. */
void checker_advice_put(const struct family_report *family, struct text *text);
