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
 * A value that contains other than plain characters is quoted and escaped, so input cannot
 * forge a line. A span is shown in milliseconds, rounded to three decimals; a negative one
 * is 0. A line longer than its buffer loses its last fields and has `truncated=true`. After
 * log_buffer(), the lines of a thread are kept until log_flush(), one write(2) for many;
 * warnings and errors are written at once, after the kept lines. Nothing here fails: if the
 * log cannot be written, its lines are lost.
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

/* Call it once, before threads start. Until then: text, level info and above. */
void log_setup(enum log_format format, enum log_level lowest);

/* False if the level is not logged: then do not add fields or call log_end(). */
bool log_begin(struct log_line *line, enum log_level level, const char *event);
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
