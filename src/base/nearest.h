/* SPDX-License-Identifier: MIT
 *
 * "Did you mean ...?": the known name that is nearest to a mistyped one. Pure.
 */
#pragma once

#include <stddef.h>

/* The nearest of `count` names, or NULL when more than `limit` letters must be added,
 * removed, replaced or swapped with their neighbour. Case is ignored. Names are members of
 * an array of structs: `first` belongs to the first struct, and the next struct begins
 * `stride` bytes later. NULL names are skipped. */
const char *nearest_name(const char *word, size_t len, const char *const *first,
                         size_t stride, size_t count, unsigned limit);
