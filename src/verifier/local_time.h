/* SPDX-License-Identifier: MIT
 *
 * Wall-clock time for people.
 */
#pragma once

#include "base/text.h"

#include <time.h>

/* Appends local time and its offset, ISO 8601: "2026-03-29T14:05:09+02:00". */
void local_time_put(time_t time, struct text *text);
