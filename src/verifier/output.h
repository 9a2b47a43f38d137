/* SPDX-License-Identifier: MIT
 *
 * A file that has either the complete old or the complete new text, wherever the system can
 * replace it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;

/* Whether output_replace() can write there. Nothing is changed. ERR_SYSTEM. */
bool output_try(const char *path, struct err *err);

/* Replaces a regular file by rename(2), in its own folder, where there must be room for
 * both; symbolic links are followed. A file that cannot be replaced (mounted by itself into
 * a container, or in a folder that this user may not write to) is overwritten in place:
 * only then can a reader meet a text that is neither old nor new. Something other than a
 * regular file (a pipe, /dev/null) is written to instead. ERR_SYSTEM. */
bool output_replace(const char *path, const char *data, size_t len, struct err *err);

/* A new file that only this user may read and write, complete from the beginning. It takes
 * the place of one that appears at the same time. ERR_SYSTEM. */
bool output_create(const char *path, const char *data, size_t len, struct err *err);
