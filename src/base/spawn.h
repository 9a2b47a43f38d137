/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct err;

/* Starts `path` with `argv` (NULL-terminated), this environment, and `fds` as its standard
 * input, output and error; -1 is /dev/null. Other descriptors follow their own FD_CLOEXEC.
 * The child starts with no signal blocked and with the default action for SIGPIPE, which we
 * ignore. On failure (ERR_SYSTEM) *ret_child is 0; otherwise the caller must wait for it.
 */
bool spawn_program(const char *path, char *const argv[], const int fds[3], pid_t *ret_child,
                   struct err *err);
