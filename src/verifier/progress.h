/* SPDX-License-Identifier: MIT
 *
 * A line on the terminal that shows the progress of a check and is erased afterwards. Does
 * nothing if standard error is not a terminal, or cannot erase a line (TERM=dumb).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct loop;
struct progress;

/* Writes what to show to `line` of `size` bytes; it is cut at the terminal's edge. */
typedef void(progress_fn)(void *ctx, char *line, size_t size);

/* NULL without such a terminal, or without memory. Calls `write` and shows its line ten
 * times a second. */
struct progress *progress_new(struct loop *loop, progress_fn *write, void *ctx);

/* Erases the line. */
struct progress *progress_free(struct progress *progress);
