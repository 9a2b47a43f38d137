/* SPDX-License-Identifier: MIT
 *
 * --check-sandbox: tries in forked children what each layer forbids.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

struct confine_plan;
struct err;
struct settings;

/* Prints one line for each layer. Returns whether all of them hold. */
bool trial_print(const struct confine_plan *plan, FILE *out);

/* Whether all layers can be applied as the settings ask for, tried in a child. */
bool trial_confine(const struct confine_plan *plan, const struct settings *settings,
                   struct err *err);
