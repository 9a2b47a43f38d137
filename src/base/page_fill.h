/* SPDX-License-Identifier: MIT
 *
 * For the build tools that generate a part of a page.
 */
#pragma once

/* Copies the file to standard output and calls `print` in place of its line `mark`. Returns
 * the exit status; a file without that line is an error. */
int page_fill(const char *path, const char *mark, void (*print)(void));
