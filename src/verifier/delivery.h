/* SPDX-License-Identifier: MIT
 *
 * Where reports go: standard output, as text or as JSON, and the file of --output.
 */
#pragma once

#include "verifier/arguments.h"
#include "verifier/report.h"

#include <stdbool.h>

struct err;

enum status {
    STATUS_OK,
    STATUS_NOT_OK,
    STATUS_USAGE,
    STATUS_UNKNOWN,
    STATUS_SYSTEM,
    STATUS_NO_RECEIPT, /* or none that could be verified */
};

enum status delivery_status(const struct report *report);

/* To the file of --receipt, if it was given and there are any; says on standard error which
 * checkers gave none. ERR_SYSTEM. */
bool delivery_receipts(const struct arguments *arguments, const struct report *report,
                       struct err *err);

/* To standard output. ERR_SYSTEM, also if its reader has gone. */
bool delivery_print(const struct arguments *arguments, const struct report *report,
                    struct err *err);

/* To the file, if there is one. ERR_SYSTEM. */
bool delivery_save(const struct arguments *arguments, const struct report *report,
                   struct err *err);

/* To both; a report that cannot be saved is still printed. ERR_SYSTEM, of the file first.
 */
bool delivery_put(const struct arguments *arguments, const struct report *report,
                  struct err *err);
