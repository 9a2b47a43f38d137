/* SPDX-License-Identifier: MIT
 *
 * Reads the log back from a file that replaces standard error. */
#include "base/log.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int stderr_saved = -1, file = -1;
static char written[65536];

static int log_begin_capture(void **state)
{
    (void)state;
    file = memfd_create("log", MFD_CLOEXEC);
    stderr_saved = dup(STDERR_FILENO);
    log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
    return file >= 0 && dup2(file, STDERR_FILENO) == STDERR_FILENO ? 0 : -1;
}

static int log_end_capture(void **state)
{
    (void)state;
    dup2(stderr_saved, STDERR_FILENO);
    close(stderr_saved);
    close(file);
    return 0;
}

/* Everything written so far. */
static const char *output(void)
{
    ssize_t len = pread(file, written, sizeof written - 1, 0);
    assert_true(len >= 0);
    written[len] = '\0';
    return written;
}

/* The line without its time, which must look like a time. */
static const char *after_time(const char *line)
{
    static const char shape[] = "time=dddd-dd-ddTdd:dd:dd.dddZ ";
    for (size_t i = 0; shape[i]; i++) {
        bool is_digit = line[i] >= '0' && line[i] <= '9';
        if (shape[i] == 'd' ? !is_digit : line[i] != shape[i])
            fail_msg("no time in: %s", line);
    }
    return line + sizeof shape - 1;
}

static void log_value(const char *value)
{
    struct log_line line;
    assert_true(log_begin(&line, LOG_LEVEL_INFO, "test"));
    log_str(&line, "value", value);
    log_end(&line);
}

static void a_line_is_time_level_event_and_fields(void **state)
{
    (void)state;
    struct log_line line;
    assert_true(log_begin(&line, LOG_LEVEL_WARNING, "check"));
    log_str(&line, "caller", "192.0.2.1");
    log_int(&line, "ports", INT64_MIN);
    log_ms(&line, "ms", span_ms(1500));
    log_ms(&line, "short", (struct span){1499});
    log_ms(&line, "negative", (struct span){INT64_MIN});
    log_ms(&line, "longest", (struct span){INT64_MAX});
    log_rate(&line, "rate", 9.449);
    log_rate(&line, "none", 0);
    log_bool(&line, "yes", true);
    log_bool(&line, "no", false);
    log_end(&line);
    assert_string_equal(after_time(output()),
                        "level=warning event=check caller=192.0.2.1 "
                        "ports=-9223372036854775808 ms=1500.000 short=0.001 negative=0.000 "
                        "longest=9223372036854.776 rate=9.4 none=0.0 yes=true "
                        "no=false\n");
}

static void levels_below_the_lowest_are_not_begun(void **state)
{
    (void)state;
    struct log_line line;
    assert_false(log_begin(&line, LOG_LEVEL_DEBUG, "x"));
    log_message(LOG_LEVEL_DEBUG, "x", "nothing");
    assert_string_equal(output(), "");
    log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
    assert_false(log_begin(&line, LOG_LEVEL_WARNING, "x"));
    assert_true(log_begin(&line, LOG_LEVEL_ERROR, "x"));
}

static void a_message_is_a_field(void **state)
{
    (void)state;
    log_message(LOG_LEVEL_ERROR, "start", "%s is %d", "port", 7466);
    assert_string_equal(after_time(output()),
                        "level=error event=start message=\"port is 7466\"\n");
}

static void no_value_can_forge_a_line_or_a_field(void **state)
{
    (void)state;
    static const struct {
        const char *value, *shown;
    } rows[] = {
        {"plain-1.2:3/4_[5]", "plain-1.2:3/4_[5]"},
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"a\nlevel=error", "\"a\\u000alevel=error\""},
        {"a=b", "\"a=b\""},
        {"\"", "\"\\\"\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"\x1b[31m\t\r\x7f", "\"\\u001b[31m\\u0009\\u000d\\u007f\""},
        {"\xc3\xa9\xff", "\"\\u00c3\\u00a9\\u00ff\""},
    };
    char expected[4096] = "";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        log_value(rows[i].value);

    const char *line = output();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(expected, sizeof expected, "level=info event=test value=%s\n",
                 rows[i].shown);
        line = after_time(line);
        assert_memory_equal(line, expected, strlen(expected));
        line += strlen(expected);
    }
    assert_string_equal(line, "");
}

static json_t *parse_line(const char *line)
{
    json_error_t error;
    const char *end = strchr(line, '\n');
    assert_non_null(end);
    json_t *object = json_loadb(line, (size_t)(end - line), JSON_REJECT_DUPLICATES, &error);
    if (!object)
        fail_msg("%s: %s", error.text, line);
    assert_true(json_is_object(object));
    return object;
}

static void every_json_line_is_valid_json(void **state)
{
    (void)state;
    log_setup(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    char every_byte[256];
    for (int i = 0; i < 255; i++)
        every_byte[i] = (char)(i + 1);
    every_byte[255] = '\0';

    struct log_line line;
    assert_true(log_begin(&line, LOG_LEVEL_INFO, "test"));
    log_str(&line, "value", every_byte);
    log_int(&line, "count", -3);
    log_ms(&line, "ms", (struct span){250000});
    log_rate(&line, "rate", 0.5);
    log_bool(&line, "is", true);
    log_end(&line);

    json_t *object = parse_line(output());
    assert_string_equal(json_string_value(json_object_get(object, "level")), "info");
    assert_string_equal(json_string_value(json_object_get(object, "event")), "test");
    assert_int_equal(json_integer_value(json_object_get(object, "count")), -3);
    assert_true(json_real_value(json_object_get(object, "ms")) == 0.25);
    assert_true(json_real_value(json_object_get(object, "rate")) == 0.5);
    assert_true(json_is_true(json_object_get(object, "is")));
    const char *value = json_string_value(json_object_get(object, "value"));
    assert_memory_equal(value, every_byte, 127);
    json_decref(object);
}

/* A full line loses whole fields and is still a valid line. */
static void assert_truncated(enum log_format format)
{
    log_setup(format, LOG_LEVEL_INFO);
    char large[1800];
    memset(large, '"', sizeof large - 1);
    large[sizeof large - 1] = '\0';

    struct log_line line;
    assert_true(log_begin(&line, LOG_LEVEL_INFO, "test"));
    log_str(&line, "small", "kept");
    log_str(&line, "large", large);
    log_str(&line, "late", "lost");
    log_end(&line);
}

static void a_line_that_is_too_long_says_so(void **state)
{
    (void)state;
    assert_truncated(LOG_FORMAT_TEXT);
    assert_string_equal(after_time(output()),
                        "level=info event=test small=kept truncated=true\n");
}

static void a_json_line_that_is_too_long_says_so(void **state)
{
    (void)state;
    assert_truncated(LOG_FORMAT_JSON);
    json_t *object = parse_line(output());
    assert_true(json_is_true(json_object_get(object, "truncated")));
    assert_string_equal(json_string_value(json_object_get(object, "small")), "kept");
    assert_null(json_object_get(object, "large"));
    assert_null(json_object_get(object, "late"));
    json_decref(object);
}

/* Every length around the limit, so that the trailer is never cut. */
static void at_every_length_a_json_line_is_json(void **state)
{
    (void)state;
    log_setup(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    char value[2100];
    for (size_t len = 1850; len < sizeof value - 1; len++) {
        memset(value, 'v', len);
        value[len] = '\0';
        assert_int_equal(ftruncate(file, 0), 0);
        assert_int_equal(lseek(file, 0, SEEK_SET), 0);
        log_value(value);
        json_t *object = parse_line(output());
        assert_int_equal(json_object_get(object, "value") != NULL,
                         json_object_get(object, "truncated") == NULL);
        json_decref(object);
    }
}

/* Runs last: a thread that buffers does so for good. */
static void buffered_lines_wait_for_a_flush_or_a_warning(void **state)
{
    (void)state;
    log_buffer();
    log_value("1");
    assert_string_equal(output(), "");
    log_flush();
    assert_non_null(strstr(output(), "value=1\n"));

    log_value("2");
    assert_null(strstr(output(), "value=2\n"));
    log_message(LOG_LEVEL_WARNING, "now", "x");
    const char *second = strstr(output(), "value=2\n");
    assert_non_null(second);
    assert_non_null(strstr(second, "event=now"));
}

static void more_than_the_buffer_holds_arrives_whole_and_in_order(void **state)
{
    (void)state;
    char value[16];
    log_buffer();
    for (int i = 0; i < 500; i++) {
        snprintf(value, sizeof value, "n%d", i);
        log_value(value);
    }
    log_flush();

    const char *line = output();
    for (int i = 0; i < 500; i++) {
        snprintf(value, sizeof value, "value=n%d\n", i);
        line = strstr(line, value);
        assert_non_null(line);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, log_begin_capture, log_end_capture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_is_time_level_event_and_fields),
        TEST(levels_below_the_lowest_are_not_begun),
        TEST(a_message_is_a_field),
        TEST(no_value_can_forge_a_line_or_a_field),
        TEST(every_json_line_is_valid_json),
        TEST(a_line_that_is_too_long_says_so),
        TEST(a_json_line_that_is_too_long_says_so),
        TEST(at_every_length_a_json_line_is_json),
        TEST(buffered_lines_wait_for_a_flush_or_a_warning),
        TEST(more_than_the_buffer_holds_arrives_whole_and_in_order),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
