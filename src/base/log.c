/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include "base/log_line.h"
#include "base/log_writer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Lines of this thread that the writer has not been given yet. */
static _Thread_local struct {
    bool is_on;
    unsigned len;
    char data[8192];
} pending;

void log_buffer(void)
{
    pending.is_on = true;
}

void log_flush(void)
{
    if (pending.len > 0)
        log_writer_put(pending.data, pending.len);
    pending.len = 0;
}

bool log_begin_limited(struct log_line *line, enum log_level level, const char *event)
{
    return log_begin(line, level, event) && log_writer_admits();
}

void log_end(struct log_line *line)
{
    log_line_finish(line);
    if (!pending.is_on) {
        log_writer_put(line->data, line->len);
        return;
    }
    if (line->len > sizeof pending.data - pending.len)
        log_flush();
    memcpy(pending.data + pending.len, line->data, line->len);
    pending.len += line->len;
    if (line->level >= LOG_LEVEL_WARNING)
        log_flush();
}

void log_message(enum log_level level, const char *event, const char *format, ...)
{
    struct log_line line;
    if (!log_begin(&line, level, event))
        return;

    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    log_str(&line, "message", message);
    log_end(&line);
}
