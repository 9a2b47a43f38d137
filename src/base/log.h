/* SPDX-License-Identifier: MIT
 *
 * Log lines on standard error, as text (`time=... level=info event=check ports=3`) or as
 * JSON, one object per line. A line is built field by field and written as a whole:
 *
 *     struct log_line line;
 *     if (log_begin(&line, LOG_LEVEL_INFO, "check")) {
 *         log_str(&line, "caller", caller);
 *         log_int(&line, "ports", 3);
 *         log_end(&line);
 *     }
 *
 * A value that contains anything but plain characters is quoted and escaped, so input
 * cannot forge a line. A span is shown in milliseconds, rounded to three decimals; a
 * negative one is 0. A line longer than its buffer loses its last fields and has
 * `truncated=true`. After log_buffer(), the lines of a thread are kept until log_flush();
 * warnings and errors are passed on at once, after the kept lines.
 *
 * If standard error is the journal ($JOURNAL_STREAM), each line begins with its priority,
 * `<6>`, and has no time: the journal adds one.
 *
 * Logging never blocks and never fails. After log_start(), a thread writes the lines; if
 * standard error does not accept them, they wait in a buffer of 256 KiB. While it is full,
 * lines are dropped, and `event=log_dropped dropped=N` takes their place.
 *
 *     log          keeps a thread's lines, passes them on
 *     log_writer   the buffer, the thread that writes it, the limit of lines per second
 *     log_line     one line in both formats
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

struct err;

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_ERROR,
};

enum log_format {
    LOG_FORMAT_TEXT,
    LOG_FORMAT_JSON,
};

struct log_line {
    unsigned len;
    unsigned fields; /* where they begin */
    enum log_level level;
    bool is_truncated;
    char data[2048];
};

/* Call it once, before threads start. Until then: text, level info and above. */
void log_setup(enum log_format format, enum log_level lowest);

/* False if the level is not logged: then do not add fields or call log_end(). */
bool log_begin(struct log_line *line, enum log_level level, const char *event);

/* For lines that a client can cause without a cost: at most LOG_LIMITED_MAX of them in any
 * second, in the whole process. Also false for a line beyond that; those are counted in
 * `event=log_suppressed suppressed=N`, once a second while there are any. */
#define LOG_LIMITED_MAX 100
bool log_begin_limited(struct log_line *line, enum log_level level, const char *event);

void log_str(struct log_line *line, const char *key, const char *value);
void log_int(struct log_line *line, const char *key, int64_t value);
void log_ms(struct log_line *line, const char *key, struct span value);
void log_rate(struct log_line *line, const char *key, double value); /* one decimal */
void log_bool(struct log_line *line, const char *key, bool value);
void log_end(struct log_line *line);

/* An event with a sentence for people: `event=<event> message="..."`. */
void log_message(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* From now on this thread's lines wait for log_flush(). Flush before the thread ends. */
void log_buffer(void);
void log_flush(void);

/* Starts the thread that writes; without it, each line is written by its own thread, which
 * waits at most 100 ms until standard error accepts it. Signals are blocked in the thread.
 * Call log_stop() before the process ends or executes another program: it waits until the
 * lines are written, but at most one second. */
bool log_start(struct err *err);
void log_stop(void);

/* The beginning of a line on standard error that does not come from the log: the priority,
 * such as `<3>`, if standard error is the journal, otherwise nothing. Call it before
 * threads start. */
const char *log_priority(enum log_level level);

/* Lines since the start of the process. Any thread. */
struct log_counts {
    uint64_t suppressed; /* by log_begin_limited() */
    uint64_t dropped;    /* because standard error did not accept them */
};
struct log_counts log_counts(void);
