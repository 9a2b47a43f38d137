/* SPDX-License-Identifier: MIT
 *
 * Reader of `.env` text: the syntax of python-dotenv 0.21, as
 * dotenv_values(interpolate=False) reads it. Comments, `export`, bare, single- and
 * double-quoted values with their escapes, values over several lines, names without a
 * value. Unlike python-dotenv, which warns and goes on, a line that cannot be parsed is an
 * error with its line number. Pure; the text needs no terminator and may hold any bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;

/* Called for each name in order; a name that comes twice counts the last time. `value` is
 * NULL for a name without `=`. Both are borrowed for the time of the call. */
typedef bool(dotenv_pair_fn)(void *ctx, const char *name, const char *value,
                             struct err *err);

/* False when a line cannot be parsed (ERR_INVALID, with its number) or `pair` said no. */
bool dotenv_parse(const char *data, size_t len, dotenv_pair_fn *pair, void *ctx,
                  struct err *err);
