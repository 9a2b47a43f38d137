/* SPDX-License-Identifier: MIT
 *
 * The keys that receipts are verified with: from a file, or from a URL.
 */
#pragma once

#include "receipt/receipt_read.h"

#include <stdbool.h>

struct arguments;
struct err;

/* Reads or fetches the key set of --jwks. ERR_SYSTEM if the file cannot be read, ERR_LIMIT
 * if the URL does not answer, ERR_INVALID if what came is no key set. */
bool receipt_keys_find(const struct arguments *arguments, struct receipt_key_set *ret,
                       struct err *err);
