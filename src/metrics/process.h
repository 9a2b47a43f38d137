/* SPDX-License-Identifier: MIT
 *
 * The figures of this process that every Prometheus client library shows (process_*), read
 * from /proc and the process's clocks on each call.
 */
#pragma once

struct text;

/* Opens the files of process_render() for a process that will not be able to open files. It
 * holds them forever, and never opens another. Call it before threads start. */
void process_hold(void);

/* Any thread. Appends the families in Prometheus text format. A figure that cannot be read
 * is omitted with its family. */
void process_render(struct text *text);
