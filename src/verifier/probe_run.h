/* SPDX-License-Identifier: MIT
 *
 * The command "probe": this machine itself checks the ports of another one.
 */
#pragma once

#include "verifier/delivery.h"

struct err;

/* Returns the exit status. ERR_SYSTEM with STATUS_SYSTEM, else `err` is untouched. */
enum status probe_run(const struct arguments *arguments, struct err *err);
