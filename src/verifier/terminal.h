/* SPDX-License-Identifier: MIT
 *
 * What a stream that may be a terminal can show.
 */
#pragma once

#include <stdbool.h>

/* Whether it is a terminal that can colour and erase (not TERM=dumb). */
bool terminal_is_capable(int fd);

/* 80 if unknown. */
unsigned terminal_columns(int fd);
