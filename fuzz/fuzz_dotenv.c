/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a .env file. What must hold: names are never empty, a value is never longer
 * than the text, what is accepted has no NUL, a refusal is ERR_INVALID and names a line
 * that the text has, and reading twice gives the same.
 */
#include "base/err.h"
#include "base/text.h"
#include "settings/dotenv.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reading {
    struct text seen; /* all pairs, with their terminators */
    size_t pairs;
    size_t size;
};

static bool see(void *ctx, const char *name, const char *value, struct err *err)
{
    (void)err;
    struct reading *reading = ctx;
    assert(name[0] != '\0' && strlen(name) <= reading->size);
    text_append(&reading->seen, name, strlen(name) + 1);
    if (value) {
        assert(strlen(value) < reading->size);
        text_append(&reading->seen, value, strlen(value) + 1);
    }
    reading->pairs++;
    return true;
}

static size_t count_lines(const char *text, size_t len)
{
    size_t lines = 1;
    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n' || text[i] == '\r';
    return lines;
}

static bool read_once(const char *text, size_t len, struct reading *ret, struct err *err)
{
    *ret = (struct reading){.size = len};
    text_init(&ret->seen, 2 * len + 64);
    bool ok = dotenv_parse(text, len, see, ret, err);
    assert(!ret->seen.failed && ret->pairs <= len);
    return ok;
}

/* The number between "line " and the colon. */
static size_t line_of(const struct err *err)
{
    static const char start[] = "line ";
    size_t start_len = sizeof start - 1;
    assert(err->kind == ERR_INVALID && memcmp(err->message, start, start_len) == 0);
    const char *digits = err->message + start_len;
    uint64_t line = 0;
    bool is_number = text_parse_u64(digits, strcspn(digits, ":"), SIZE_MAX, &line);
    assert(is_number && line >= 1);
    return (size_t)line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct reading first, second;
    struct err err, again;
    bool ok = read_once(text, size, &first, &err);
    bool same = read_once(text, size, &second, &again);
    assert(ok == same && first.seen.len == second.seen.len);
    assert(memcmp(first.seen.data, second.seen.data, first.seen.len) == 0);

    if (ok)
        assert(size == 0 || !memchr(text, '\0', size));
    else
        assert(line_of(&err) <= count_lines(text, size));
    text_done(&first.seen);
    text_done(&second.seen);
    return 0;
}
