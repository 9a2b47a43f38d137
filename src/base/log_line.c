/* SPDX-License-Identifier: MIT */
#include "base/log_line.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TRAILER_ROOM 32 /* kept free for `truncated`, the closing brace and the newline */

/* The priorities are those of sd-daemon(3). */
static const struct {
    const char *name;
    const char *priority;
} levels[] = {
    [LOG_LEVEL_DEBUG] = {"debug", "<7>"},
    [LOG_LEVEL_INFO] = {"info", "<6>"},
    [LOG_LEVEL_WARNING] = {"warning", "<4>"},
    [LOG_LEVEL_ERROR] = {"error", "<3>"},
};

/* Written by log_setup() before there are threads. */
static struct {
    enum log_format format;
    enum log_level lowest;
    bool is_journal;
} config = {LOG_FORMAT_TEXT, LOG_LEVEL_INFO, false};

/* The second that this thread logged last: most lines fall into the same second. */
static _Thread_local struct {
    time_t second;
    char text[32]; /* 2026-01-01T00:00:00, empty before the first */
} last_time;

/* Whether standard error is a stream of the journal: systemd.exec(5), $JOURNAL_STREAM. A
 * program that has its standard error elsewhere may have inherited the variable. */
static bool is_journal(void)
{
    const char *text = getenv("JOURNAL_STREAM");
    const char *colon = text ? strchr(text, ':') : NULL;
    uint64_t device, inode;
    struct stat status;
    return colon && text_parse_u64(text, (size_t)(colon - text), UINT64_MAX, &device) &&
           text_parse_u64(colon + 1, strlen(colon + 1), UINT64_MAX, &inode) &&
           fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device &&
           status.st_ino == inode;
}

void log_setup(enum log_format format, enum log_level lowest)
{
    config.format = format;
    config.lowest = lowest;
    config.is_journal = is_journal();
}

const char *log_priority(enum log_level level)
{
    return is_journal() ? levels[level].priority : "";
}

/* Appends the bytes if all of them fit before `limit`. */
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

    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;
        if (c <= ' ' || c == '"' || c == '\\' || c == '=' || c >= 0x7f)
            return false;
    }
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

static bool put_str(struct log_line *line, unsigned limit, const char *str)
{
    return put(line, limit, str, strlen(str));
}

static bool put_key(struct log_line *line, unsigned limit, const char *key)
{
    bool is_first = line->len == line->fields;
    if (config.format == LOG_FORMAT_JSON)
        return put_str(line, limit, is_first ? "\"" : ", \"") &&
               put_str(line, limit, key) && put_str(line, limit, "\": ");

    return put_str(line, limit, is_first ? "" : " ") && put_str(line, limit, key) &&
           put_str(line, limit, "=");
}

static bool put_value(struct log_line *line, unsigned limit, const char *value, bool quoted)
{
    if (!quoted)
        return put_str(line, limit, value);

    if (!put(line, limit, "\"", 1))
        return false;
    for (const char *c = value; *c; c++)
        if (!put_escaped(line, limit, (unsigned char)*c))
            return false;
    return put(line, limit, "\"", 1);
}

/* Adds the whole field or nothing. */
static void put_field(struct log_line *line, const char *key, const char *value,
                      bool quoted)
{
    if (line->is_truncated)
        return;

    unsigned start = line->len;
    unsigned limit = sizeof line->data - TRAILER_ROOM;
    if (put_key(line, limit, key) && put_value(line, limit, value, quoted))
        return;

    line->len = start;
    line->is_truncated = true;
}

static void put_time(struct log_line *line)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    if (ts.tv_sec != last_time.second || last_time.text[0] == '\0') {
        struct tm tm;
        gmtime_r(&ts.tv_sec, &tm);
        strftime(last_time.text, sizeof last_time.text, "%Y-%m-%dT%H:%M:%S", &tm);
        last_time.second = ts.tv_sec;
    }

    char when[sizeof last_time.text + TEXT_DIGITS_MAX + 2];
    size_t len = strlen(last_time.text);
    memcpy(when, last_time.text, len);
    when[len++] = '.';
    len += text_digits((uint64_t)ts.tv_nsec / 1000000, 3, when + len);
    memcpy(when + len, "Z", sizeof "Z");
    log_str(line, "time", when);
}

bool log_begin(struct log_line *line, enum log_level level, const char *event)
{
    if (level < config.lowest)
        return false;

    line->len = 0;
    line->level = level;
    line->is_truncated = false;
    if (config.is_journal)
        put_str(line, sizeof line->data, levels[level].priority);
    if (config.format == LOG_FORMAT_JSON)
        put_str(line, sizeof line->data, "{");

    line->fields = line->len;
    if (!config.is_journal)
        put_time(line);
    log_str(line, "level", levels[level].name);
    log_str(line, "event", event);
    return true;
}

void log_str(struct log_line *line, const char *key, const char *value)
{
    put_field(line, key, value, config.format == LOG_FORMAT_JSON || !is_plain(value));
}

void log_int(struct log_line *line, const char *key, int64_t value)
{
    char text[1 + TEXT_DIGITS_MAX + 1] = "-";
    bool is_negative = value < 0;
    uint64_t number = is_negative ? 0 - (uint64_t)value : (uint64_t)value;
    size_t len = is_negative;
    len += text_digits(number, 1, text + len);
    text[len] = '\0';
    put_field(line, key, text, false);
}

void log_ms(struct log_line *line, const char *key, struct span value)
{
    char text[2 * TEXT_DIGITS_MAX];
    uint64_t us = value.ns > 0 ? ((uint64_t)value.ns + 500) / 1000 : 0;
    size_t len = text_digits(us / 1000, 1, text);
    text[len++] = '.';
    len += text_digits(us % 1000, 3, text + len);
    text[len] = '\0';
    put_field(line, key, text, false);
}

void log_rate(struct log_line *line, const char *key, double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.1f", value);
    put_field(line, key, text, false);
}

void log_bool(struct log_line *line, const char *key, bool value)
{
    put_field(line, key, value ? "true" : "false", false);
}

void log_line_finish(struct log_line *line)
{
    const char *trailer = config.format == LOG_FORMAT_JSON
                              ? (line->is_truncated ? ", \"truncated\": true}\n" : "}\n")
                              : (line->is_truncated ? " truncated=true\n" : "\n");
    put_str(line, sizeof line->data, trailer);
}
