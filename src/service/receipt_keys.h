/* SPDX-License-Identifier: MIT
 *
 * The keys of receipts: read at the start, and made by --new-receipt-key.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

struct err;
struct receipts;
struct settings;

/* Reads the files that the settings name. Free the result with receipts_free(); NULL = this
 * checker gives no receipts. ERR_INVALID names the setting and the file. */
bool receipt_keys_load(const struct settings *settings, struct receipts **ret,
                       struct err *err);

/* Writes a new private key to a new file that only its owner can read, and prints what to
 * do with it. ERR_INVALID if the file exists. */
bool receipt_keys_make(const char *path, FILE *out, struct err *err);
