/* SPDX-License-Identifier: MIT
 *
 * Returns memory to the system after many objects have been freed: otherwise the heap would
 * keep their chunks forever, between the chunks of objects that remain. Belongs to one
 * thread.
 */
#pragma once

#include "loop/timers.h"

struct loop;

struct trim {
    struct loop *loop; /* borrowed */
    struct timer timer;
    unsigned freed; /* since the last trim */
    unsigned many;
};

/* Trims after `many` frees. */
void trim_init(struct trim *trim, struct loop *loop, unsigned many);
void trim_done(struct trim *trim);

/* One object was freed. The memory is returned some seconds after the `many`th. */
void trim_note(struct trim *trim);
