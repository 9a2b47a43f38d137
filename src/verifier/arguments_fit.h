/* SPDX-License-Identifier: MIT
 *
 * Whether arguments that were parsed one by one fit together, and what follows from them.
 * For arguments.c only. ERR_INVALID says which do not; ERR_SYSTEM without memory.
 */
#pragma once

#include <stdbool.h>

struct arguments;
struct err;

#define ARGUMENTS_PORTS "7466,50800-50900" /* without --ports */

/* The lists of ports: sets what is left out, and those that are computed. */
bool arguments_fit_ports(struct arguments *arguments, struct err *err);

/* The checkers, their number and their families. */
bool arguments_fit_endpoints(const struct arguments *arguments, struct err *err);
