/* SPDX-License-Identifier: MIT
 *
 * What the command "receipt" says about receipts, as text and as JSON.
 */
#pragma once

#include "receipt/receipt_read.h"

#include <stdbool.h>
#include <stddef.h>

struct text;

enum receipt_status {
    RECEIPT_VALID,
    RECEIPT_EXPIRED, /* it was valid */
    RECEIPT_REFUSED,
    RECEIPT_UNVERIFIED, /* read, but there was no key to verify it with */
};

struct receipt_result {
    enum receipt_status status;
    enum receipt_fault fault; /* EXPIRED, REFUSED */
    bool has_claims;          /* all that may be shown of it: not of one that is refused
                                 before its signature was found to be right */
    struct receipt receipt;   /* owned; has_claims, or its `claim` */
};

/* A few lines, without control characters. */
void receipt_print_text(const struct receipt_result *result, struct text *text);

/* {"version": 1, "receipts": [...]} and a newline. */
void receipt_print_json(const struct receipt_result *results, size_t count,
                        struct text *text);
