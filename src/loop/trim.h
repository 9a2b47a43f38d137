/* SPDX-License-Identifier: MIT
 *
 * Gives memory back to the system after many things were freed: the chunks of those that
 * have gone, between those of others that stay, would be kept for ever. Belongs to one
 * thread.
 */
#pragma once

#include "loop/timers.h"

struct loop;

struct trim {
    struct loop *loop; /* borrowed */
    struct timer timer;
    unsigned freed; /* since the last time */
    unsigned many;
};

/* `many` of them call for it. */
void trim_init(struct trim *trim, struct loop *loop, unsigned many);
void trim_done(struct trim *trim);

/* One was freed. Memory goes back some seconds after the `many`th. */
void trim_note(struct trim *trim);
