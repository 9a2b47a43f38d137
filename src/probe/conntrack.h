/* SPDX-License-Identifier: MIT
 *
 * The kernel's connection tracking table, which drops packets silently when it is full: an
 * unanswered SYN occupies an entry for two minutes, and a full table makes every target
 * look filtered.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Entries that are free, and entries in all. False when connections are not tracked here,
 * or when that cannot be read: then there is no such limit to respect. */
bool conntrack_read(size_t *ret_free, size_t *ret_size);
