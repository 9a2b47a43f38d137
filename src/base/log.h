/* SPDX-License-Identifier: MIT
 *
 * Log lines on standard error, as text (`time=... level=info event=check ports=3`) or as
 * JSON, one object a line. A line is built field by field and written whole:
 *
 *     struct log_line line;
 *     if (log_begin(&line, LOG_LEVEL_INFO, "check")) {
 *         log_str(&line, "caller", caller);
 *         log_int(&line, "ports", 3);
 *         log_end(&line);
 *     }
 *
 * A value that holds anything but plain characters is quoted and escaped, so that nobody's
 * input can forge a line. A span is shown in milliseconds with three decimals, rounded, a
 * negative one as 0. A line longer than its buffer loses its last fields and says so
 * with `truncated=true`. Lines of one thread that has called log_buffer() are kept until
 * log_flush(), one write(2) for many; warnings and errors are written at once, after what
 * was kept. Nothing here fails: a log that nobody reads is dropped.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

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
    enum log_level level;
    bool is_truncated;
    char data[2048];
};

/* Once, before threads start. Until then: text, from info up. */
void log_setup(enum log_format format, enum log_level lowest);

/* False when the level is not wanted; then neither fields nor log_end() may follow. */
bool log_begin(struct log_line *line, enum log_level level, const char *event);
void log_str(struct log_line *line, const char *key, const char *value);
void log_int(struct log_line *line, const char *key, int64_t value);
void log_ms(struct log_line *line, const char *key, struct span value);
void log_bool(struct log_line *line, const char *key, bool value);
void log_end(struct log_line *line);

/* An event with a sentence for people: `event=<event> message="..."`. */
void log_message(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* From now on this thread's lines wait for log_flush(). Flush before the thread ends. */
void log_buffer(void);
void log_flush(void);
