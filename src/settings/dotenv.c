/* SPDX-License-Identifier: MIT
 *
 * The grammar is that of python-dotenv's parser.py, a sequence of regular expressions; the
 * comments name the ones that are less obvious than they look. The reader owns one copy of
 * the text with plain newlines. A statement is first read to the end of its line as spans
 * into that copy, and only then terminated and unescaped in place: every byte that is
 * overwritten has been read by then.
 */
#include "settings/dotenv.h"

#include "base/err.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    char *at;
    char *end; /* the byte after it is writable */
    size_t line;
    const char *reason; /* why the statement could not be read */
};

struct span_text {
    char *start;
    char *end;
};

struct statement {
    struct span_text name;  /* start NULL: a comment */
    struct span_text value; /* start NULL: a name alone */
    const char *escapes;    /* the characters that a backslash may escape; "" = none */
};

static bool is_continuation(const unsigned char *p, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((p[i] & 0xc0) != 0x80)
            return false;
    return true;
}

/* Length of the UTF-8 character at `p`; 0 if it is invalid (overlong, surrogate, beyond
 * U+10FFFF, cut off). RFC 3629 section 4. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        return left >= 2 && is_continuation(p + 1, 1) ? 2 : 0;
    if (p[0] >= 0xe0 && p[0] <= 0xef) {
        if (left < 3 || !is_continuation(p + 1, 2))
            return 0;
        bool is_overlong = p[0] == 0xe0 && p[1] < 0xa0;
        bool is_surrogate = p[0] == 0xed && p[1] >= 0xa0;
        return is_overlong || is_surrogate ? 0 : 3;
    }
    if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        if (left < 4 || !is_continuation(p + 1, 3))
            return 0;
        bool is_overlong = p[0] == 0xf0 && p[1] < 0x90;
        bool is_beyond = p[0] == 0xf4 && p[1] >= 0x90;
        return is_overlong || is_beyond ? 0 : 4;
    }
    return 0;
}

/* White space beyond ASCII according to Python's str.isspace() and `\s`. */
static bool is_wide_space(uint32_t c)
{
    switch (c) {
    case 0x85:
    case 0xa0:
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x202f:
    case 0x205f:
    case 0x3000:
        return true;
    }
    return c >= 0x2000 && c <= 0x200a;
}

/* Length of the white space character at `p`, 0 if there is none. The text is UTF-8. */
static size_t space_len(const char *p, const char *end)
{
    if (p == end)
        return 0;

    const unsigned char *u = (const unsigned char *)p;
    if (u[0] < 0x80)
        return u[0] == ' ' || (u[0] >= 0x09 && u[0] <= 0x0d) ||
               (u[0] >= 0x1c && u[0] <= 0x1f);
    if (u[0] == 0xc2)
        return is_wide_space(u[1]) ? 2 : 0;
    if ((u[0] & 0xf0) != 0xe0)
        return 0;
    uint32_t c = (uint32_t)(u[0] & 0x0f) << 12 | (uint32_t)(u[1] & 0x3f) << 6 |
                 (uint32_t)(u[2] & 0x3f);
    return is_wide_space(c) ? 3 : 0;
}

/* The next character; NUL at the end, as the text itself contains none. */
static char peek(const struct reader *r)
{
    return r->at < r->end ? *r->at : '\0';
}

static bool refuse(struct reader *r, const char *reason)
{
    r->reason = reason;
    return false;
}

/* `[^\S\r\n]*`; returns whether there was any. */
static bool skip_spaces(struct reader *r)
{
    char *start = r->at;
    for (size_t n; peek(r) != '\n' && (n = space_len(r->at, r->end)) > 0;)
        r->at += n;
    return r->at > start;
}

/* `\s*` */
static void skip_blank_lines(struct reader *r)
{
    for (size_t n; (n = space_len(r->at, r->end)) > 0; r->at += n)
        if (*r->at == '\n')
            r->line++;
}

static void skip_line(struct reader *r)
{
    while (r->at < r->end && *r->at != '\n')
        r->at++;
}

/* `(?:export[^\S\r\n]+)?`: without the space it is a name that begins with "export". */
static void skip_export(struct reader *r)
{
    static const char word[] = "export";
    size_t len = sizeof word - 1;
    if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0)
        return;

    char *start = r->at;
    r->at += len;
    if (!skip_spaces(r))
        r->at = start;
}

/* `'([^']+)'`: no escapes, and the name may contain newlines. */
static bool read_quoted_name(struct reader *r, struct span_text *ret)
{
    char *start = r->at + 1;
    char *close = memchr(start, '\'', (size_t)(r->end - start));
    if (!close)
        return refuse(r, "the closing quote of the name is missing");
    if (close == start)
        return refuse(r, "the name is empty");

    *ret = (struct span_text){start, close};
    r->at = close + 1;
    return true;
}

/* `([^=\#\s]+)` */
static bool read_bare_name(struct reader *r, struct span_text *ret)
{
    char *start = r->at;
    while (r->at < r->end && *r->at != '=' && *r->at != '#' &&
           space_len(r->at, r->end) == 0)
        r->at++;
    if (r->at == start)
        return refuse(r, "a name is missing");

    *ret = (struct span_text){start, r->at};
    return true;
}

/* `'((?:\\'|[^'])*)'` and its twin for double quotes. A quote after a backslash belongs to
 * the value, even if that backslash is itself the second of a pair; but if no other quote
 * follows in the whole text, backtracking makes the last such quote the end. */
static bool read_quoted_value(struct reader *r, struct span_text *ret)
{
    char quote = *r->at;
    char *start = r->at + 1;
    char *fallback = NULL;
    char *close = start;
    while ((close = memchr(close, quote, (size_t)(r->end - close))) != NULL) {
        if (close == start || close[-1] != '\\')
            break;
        fallback = close++;
    }
    if (!close)
        close = fallback;
    if (!close)
        return refuse(r, "the closing quote of the value is missing");

    *ret = (struct span_text){start, close};
    r->at = close + 1;
    return true;
}

/* The rest of the line up to the first `#` after white space, `rstrip`ped. */
static void read_bare_value(struct reader *r, struct span_text *ret)
{
    char *start = r->at;
    skip_line(r);
    char *end = start; /* after the last character that is not white space */
    for (char *p = start; p < r->at;) {
        size_t space = space_len(p, r->at);
        if (space > 0) {
            p += space;
            continue;
        }
        if (*p == '#' && p > end)
            break;
        end = ++p;
    }
    *ret = (struct span_text){start, end};
}

static bool read_value(struct reader *r, struct statement *st)
{
    switch (peek(r)) {
    case '\'':
        st->escapes = "\\'";
        return read_quoted_value(r, &st->value);
    case '"':
        st->escapes = "\\'\"abfnrtv";
        return read_quoted_value(r, &st->value);
    }
    read_bare_value(r, &st->value);
    return true;
}

/* A comment and the end of the line: nothing else may follow a statement. */
static bool read_end(struct reader *r, const char *reason)
{
    skip_spaces(r);
    if (peek(r) == '#')
        skip_line(r);
    if (r->at < r->end && *r->at != '\n')
        return refuse(r, reason);

    if (r->at < r->end)
        r->at++;
    return true;
}

static bool read_statement(struct reader *r, struct statement *ret)
{
    *ret = (struct statement){.escapes = ""};
    skip_export(r);
    if (peek(r) == '#')
        return read_end(r, "");

    bool has_name =
        peek(r) == '\'' ? read_quoted_name(r, &ret->name) : read_bare_name(r, &ret->name);
    if (!has_name)
        return false;

    skip_spaces(r);
    if (peek(r) != '=')
        return read_end(r, "expected NAME=value");

    r->at++;
    skip_spaces(r);
    return read_value(r, ret) && read_end(r, "unexpected text after the quoted value");
}

static char unescape(char c)
{
    static const char from[] = "abfnrtv";
    static const char to[] = "\a\b\f\n\r\t\v";
    const char *found = memchr(from, c, sizeof from - 1);
    return found ? to[found - from] : c;
}

/* Terminates the value and resolves its escapes; unknown ones stay as they are. */
static void finish_value(struct statement *st)
{
    char *out = st->value.start;
    for (const char *p = st->value.start; p < st->value.end; p++) {
        bool is_escape = *p == '\\' && p + 1 < st->value.end && p[1] != '\0' &&
                         strchr(st->escapes, p[1]) != NULL;
        *out++ = is_escape ? unescape(*++p) : *p;
    }
    *out = '\0';
}

static size_t count_newlines(const char *start, const char *end)
{
    size_t count = 0;
    for (const char *p = start; p < end; p++)
        count += *p == '\n';
    return count;
}

static bool parse_text(struct reader *r, dotenv_pair_fn *pair, void *ctx, struct err *err)
{
    skip_blank_lines(r);
    while (r->at < r->end) {
        const char *start = r->at;
        struct statement st;
        if (!read_statement(r, &st))
            return err_set(err, ERR_INVALID, "line %zu: %s", r->line, r->reason);

        r->line += count_newlines(start, r->at);
        if (st.name.start) {
            *st.name.end = '\0';
            if (st.value.start)
                finish_value(&st);
            if (!pair(ctx, st.name.start, st.value.start, err))
                return false;
        }
        skip_blank_lines(r);
    }
    return true;
}

/* Copies with universal newlines. That keeps line numbers: each of \r\n, \r and \n ends one
 * line. */
static bool copy_text(const char *data, size_t len, char *ret, size_t *ret_len,
                      struct err *err)
{
    size_t line = 1;
    char *out = ret;
    for (size_t i = 0; i < len;) {
        size_t n = utf8_len((const unsigned char *)data + i, len - i);
        if (n == 0)
            return err_set(err, ERR_INVALID, "line %zu: not UTF-8 text", line);
        if (data[i] == '\0')
            return err_set(err, ERR_INVALID, "line %zu: a NUL byte", line);

        if (data[i] == '\r') {
            i += i + 1 < len && data[i + 1] == '\n' ? 2 : 1;
            *out++ = '\n';
            line++;
            continue;
        }
        line += data[i] == '\n';
        memcpy(out, data + i, n);
        out += n;
        i += n;
    }
    *ret_len = (size_t)(out - ret);
    return true;
}

bool dotenv_parse(const char *data, size_t len, dotenv_pair_fn *pair, void *ctx,
                  struct err *err)
{
    char *copy = malloc(len + 1);
    if (!copy)
        return err_sys(err, ENOMEM, "text of a .env file");

    size_t copied = 0;
    bool ok = copy_text(data, len, copy, &copied, err);
    if (ok) {
        struct reader r = {.at = copy, .end = copy + copied, .line = 1};
        ok = parse_text(&r, pair, ctx, err);
    }
    free(copy);
    return ok;
}
