/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TRAILER_ROOM 32 /* kept free for `truncated`, the closing brace and the newline */

static const char *const level_names[] = {"debug", "info", "warning", "error"};

/* The only state of the log. Written by log_setup() before there are threads. */
static struct {
    enum log_format format;
    enum log_level lowest;
} config = {LOG_FORMAT_TEXT, LOG_LEVEL_INFO};

/* Lines of this thread that are not written yet. */
static _Thread_local struct {
    bool is_on;
    unsigned len;
    char data[8192];
} pending;

void log_setup(enum log_format format, enum log_level lowest)
{
    config.format = format;
    config.lowest = lowest;
}

static void write_out(const char *data, unsigned len)
{
    while (len > 0) {
        ssize_t written = write(STDERR_FILENO, data, len);
        if (written <= 0)
            return;
        data += written;
        len -= (unsigned)written;
    }
}

void log_buffer(void)
{
    pending.is_on = true;
}

void log_flush(void)
{
    write_out(pending.data, pending.len);
    pending.len = 0;
}

/* Appends if all of it fits before `limit`. */
static bool put(struct log_line *line, unsigned limit, const char *bytes, size_t len)
{
    if (len > limit - line->len)
        return false;

    memcpy(line->data + line->len, bytes, len);
    line->len += (unsigned)len;
    return true;
}

static bool is_plain(const char *value)
{
    if (*value == '\0')
        return false;

    for (const char *c = value; *c; c++)
        if (*c <= ' ' || *c == '"' || *c == '\\' || *c == '=' || *c == 0x7f)
            return false;
    return true;
}

/* One character of a quoted value: escaped where a reader of lines or of JSON needs it.
 * Bytes above 0x7f are shown as Latin-1 code points, so that every line is valid UTF-8
 * whatever the value held. */
static bool put_escaped(struct log_line *line, unsigned limit, unsigned char c)
{
    char out[8];
    int len;

    if (c == '"' || c == '\\')
        len = snprintf(out, sizeof out, "\\%c", c);
    else if (c < ' ' || c >= 0x7f)
        len = snprintf(out, sizeof out, "\\u%04x", c);
    else
        len = snprintf(out, sizeof out, "%c", c);
    return put(line, limit, out, (size_t)len);
}

static bool put_value(struct log_line *line, unsigned limit, const char *value, bool quoted)
{
    if (!quoted)
        return put(line, limit, value, strlen(value));

    if (!put(line, limit, "\"", 1))
        return false;
    for (const char *c = value; *c; c++)
        if (!put_escaped(line, limit, (unsigned char)*c))
            return false;
    return put(line, limit, "\"", 1);
}

/* A field is there whole or not at all. */
static void put_field(struct log_line *line, const char *key, const char *value,
                      bool quoted)
{
    if (line->is_truncated)
        return;

    unsigned start = line->len;
    unsigned limit = sizeof line->data - TRAILER_ROOM;
    char head[80];
    int len = config.format == LOG_FORMAT_JSON
                  ? snprintf(head, sizeof head, "%s\"%s\": ", start > 1 ? ", " : "", key)
                  : snprintf(head, sizeof head, "%s%s=", start > 0 ? " " : "", key);

    if (put(line, limit, head, (size_t)len) && put_value(line, limit, value, quoted))
        return;

    line->len = start;
    line->is_truncated = true;
}

bool log_begin(struct log_line *line, enum log_level level, const char *event)
{
    if (level < config.lowest)
        return false;

    line->len = 0;
    line->level = level;
    line->is_truncated = false;
    if (config.format == LOG_FORMAT_JSON)
        put(line, sizeof line->data, "{", 1);

    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    char when[48];
    size_t len = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(when + len, sizeof when - len, ".%03dZ", (int)(ts.tv_nsec / 1000000));

    log_str(line, "time", when);
    log_str(line, "level", level_names[level]);
    log_str(line, "event", event);
    return true;
}

void log_str(struct log_line *line, const char *key, const char *value)
{
    put_field(line, key, value, config.format == LOG_FORMAT_JSON || !is_plain(value));
}

void log_int(struct log_line *line, const char *key, int64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)value);
    put_field(line, key, digits, false);
}

void log_double(struct log_line *line, const char *key, double value)
{
    char digits[40];
    snprintf(digits, sizeof digits, "%.3f", isfinite(value) ? value : 0.0);
    put_field(line, key, digits, false);
}

void log_bool(struct log_line *line, const char *key, bool value)
{
    put_field(line, key, value ? "true" : "false", false);
}

void log_end(struct log_line *line)
{
    const char *trailer = config.format == LOG_FORMAT_JSON
                              ? (line->is_truncated ? ", \"truncated\": true}\n" : "}\n")
                              : (line->is_truncated ? " truncated=true\n" : "\n");
    put(line, sizeof line->data, trailer, strlen(trailer));

    if (!pending.is_on) {
        write_out(line->data, line->len);
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
