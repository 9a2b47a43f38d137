/* SPDX-License-Identifier: MIT
 *
 * Files with keys that settings name, read by the main process.
 */
#pragma once

#include <stdbool.h>

struct err;

/* Reads a file completely; *ret is terminated. ERR_INVALID names the setting and the file.
 */
bool pem_read(const char *setting, const char *path, char **ret, struct err *err);

/* Overwrites and frees it; it may be NULL. */
void pem_forget(char *text);
