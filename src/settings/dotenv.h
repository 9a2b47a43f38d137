/* SPDX-License-Identifier: MIT
 *
 * Reader of `.env` text: the syntax of python-dotenv 0.21, as
 * dotenv_values(interpolate=False) reads a file. Comments, `export`, bare, single- and
 * double-quoted values with their escapes, values over several lines, names without a
 * value; \r\n and \r count as \n, also inside quotes; white space is Unicode's; a byte
 * order mark is part of the first name. Pure; the text needs no terminator.
 *
 * Where python-dotenv warns and continues, or raises, this reports an error with the number
 * of the line (from 1) where the statement begins:
 *   - a statement that cannot be parsed,
 *   - text that is not UTF-8.
 * In addition, a NUL byte is an error, because neither an environment nor a C string can
 * hold one. Invalid UTF-8 and NUL bytes are found before anything is parsed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;

/* Called for each name in order; of equal names, the last one counts. `value` is
 * NULL for a name without `=`. Both are borrowed for the time of the call. */
typedef bool(dotenv_pair_fn)(void *ctx, const char *name, const char *value,
                             struct err *err);

/* False when the text cannot be parsed (ERR_INVALID, with the line; `pair` was called for
 * the names before it), if `pair` returned false, or without memory (ERR_SYSTEM). */
bool dotenv_parse(const char *data, size_t len, dotenv_pair_fn *pair, void *ctx,
                  struct err *err);
