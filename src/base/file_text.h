/* SPDX-License-Identifier: MIT
 *
 * Files with keys and certificates that settings name.
 */
#pragma once

#include <stdbool.h>

struct err;

#define FILE_TEXT_MAX (1024 * 1024)

/* Reads a file completely; *ret is terminated. ERR_INVALID names the setting and the file.
 */
bool file_text_read(const char *setting, const char *path, char **ret, struct err *err);

/* Overwrites and frees it; it may be NULL. */
void file_text_forget(char *text);
