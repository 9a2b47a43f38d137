/* SPDX-License-Identifier: MIT
 *
 * A line on the terminal that tells how far a verification is, and is gone afterwards. Does
 * nothing when standard error is no terminal, or one that cannot erase (TERM=dumb).
 */
#pragma once

#include <stdbool.h>

struct loop;
struct progress;

/* Writes what is to be shown to `line` of `size` bytes; the terminal's edge cuts it. */
typedef void(progress_fn)(void *ctx, char *line, unsigned long size);

/* NULL when there is no such terminal, or no memory. Shows what `write` says ten times a
 * second. */
struct progress *progress_new(struct loop *loop, progress_fn *write, void *ctx);

/* Erases the line. */
struct progress *progress_free(struct progress *progress);
