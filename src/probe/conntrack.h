/* SPDX-License-Identifier: MIT
 *
 * The kernel's connection tracking table, which drops packets silently when it is full: an
 * unanswered SYN occupies an entry for two minutes, and a full table makes every target
 * look filtered.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Opens the kernel's files for a process that will not be able to open files. It holds them
 * forever: if connections are not tracked yet, conntrack_read() never notices. Call it
 * before threads start. */
void conntrack_hold(void);

/* Any thread. Free entries, and all entries. False if connections are not tracked here or
 * this cannot be read: then this limit does not apply. */
bool conntrack_read(size_t *ret_free, size_t *ret_size);
