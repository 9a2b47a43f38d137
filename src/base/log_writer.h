/* SPDX-License-Identifier: MIT
 *
 * Where finished lines go: a ring of bytes, and one thread that writes it to standard
 * error. Only that thread ever waits for standard error. The descriptor may be shared with
 * other processes, so its flags stay as they are; a thread that may block works for every
 * kind of file: pipes, terminals, sockets, disks. A write that fails (disk full, no
 * reader) is tried again once a second, and meanwhile the lines wait as they do for a slow
 * reader.
 *
 * Implements log_start(), log_stop() and log_counts() of base/log.h.
 */
#pragma once

#include "base/log.h"

#include <stdbool.h>
#include <stddef.h>

/* Whole lines. Takes all of them or drops all of them. */
void log_writer_put(const char *lines, size_t len);

/* Whether one more line may be logged in this second; if not, the line is counted. */
bool log_writer_admits(void);
