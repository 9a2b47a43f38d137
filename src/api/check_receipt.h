/* SPDX-License-Identifier: MIT
 *
 * The receipt of a judged check: its verdicts as the claims of receipt/receipts.h, which
 * are those that the quorum decided, with the names of the places that gave verdicts.
 */
#pragma once

#include "api/check_answer.h"
#include "api/check_log.h"

struct err;
struct receipts;

/* free() it. `for_text` may be empty. NULL without memory, or if it cannot be signed. */
char *check_receipt_make(const struct receipts *receipts,
                         const struct check_subject *subject, const char *for_text,
                         const struct answer_source *source, struct err *err);
