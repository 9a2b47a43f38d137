/* SPDX-License-Identifier: MIT
 *
 * How a log line looks: log_setup(), log_begin() and the fields of base/log.h, in both
 * formats. Nothing here writes.
 */
#pragma once

#include "base/log.h"

/* Ends the line with a newline. */
void log_line_finish(struct log_line *line);
