/* SPDX-License-Identifier: MIT
 *
 * The command "verify": one round, or with --watch one after the other until SIGTERM or
 * SIGINT.
 */
#pragma once

#include "verifier/delivery.h"

struct err;

/* Returns the exit status. ERR_SYSTEM with STATUS_SYSTEM, else `err` is untouched. */
enum status verify_run(const struct arguments *arguments, struct err *err);
