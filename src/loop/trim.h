/* SPDX-License-Identifier: MIT
 *
 * Returns memory to the system after many objects have been freed: otherwise the heap would
 * keep their chunks forever, between the chunks of objects that remain. Belongs to one
 * thread.
 */
#pragma once

#include "loop/timers.h"

#include <stddef.h>

struct loop;

struct trim {
    struct loop *loop; /* borrowed */
    struct timer timer;
    size_t freed; /* since the last trim */
    size_t many;
};

/* Trims after `many` frees. */
void trim_init(struct trim *trim, struct loop *loop, size_t many);
void trim_done(struct trim *trim);

/* `count` objects were freed. The memory is returned some seconds after the `many`th. */
void trim_note(struct trim *trim, size_t count);
