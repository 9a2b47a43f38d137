/* SPDX-License-Identifier: MIT
 *
 * The command "receipt": verifies the receipts in a file.
 *
 *   0  all are valid
 *   1  one is refused or has expired
 *   2  wrong arguments
 *   3  there were no keys: the URL of --jwks did not answer, or there is no key set
 *   4  a system error
 *   5  there was no --jwks: all could be read, and none was verified
 */
#pragma once

#include "verifier/delivery.h"

struct err;

/* Returns the exit status. ERR_SYSTEM with STATUS_SYSTEM, else `err` is untouched. */
enum status receipt_run(const struct arguments *arguments, struct err *err);
