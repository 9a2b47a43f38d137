/* SPDX-License-Identifier: MIT
 *
 * File descriptors with an owner. AUTO_FD closes its descriptor at the end of the scope
 * unless fd_take() has moved it out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;

#define AUTO_FD __attribute__((cleanup(fd_close))) int

/* Closes *fd unless it is negative, and makes it -1. Keeps errno. */
void fd_close(int *fd);

/* Moves the descriptor out: returns it and leaves -1 behind. */
int fd_take(int *fd);

/* Opens /dev/null in place of each of the standard streams that is closed: otherwise the
 * next socket would get its number, and its peer the log. */
bool fd_open_standard(struct err *err);

/* Raises this process's limit of descriptors (RLIMIT_NOFILE) as far as allowed, and returns
 * the new limit. */
bool fd_raise_limit(size_t *ret_limit, struct err *err);

/* Reads at most `size` bytes of a file into `ret_data` (never terminated) and returns how
 * many it read. ERR_LIMIT when the file is longer, ERR_SYSTEM when it cannot be read. */
bool fd_read_file(const char *path, char *ret_data, size_t size, size_t *ret_len,
                  struct err *err);

/* Writes everything. False with errno on failure, also if a non-blocking descriptor accepts
 * no more. */
bool fd_write_all(int fd, const char *data, size_t len);
