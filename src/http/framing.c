/* SPDX-License-Identifier: MIT */
#include "http/framing.h"

#include "base/text.h"

#include <string.h>
#include <strings.h>

/* RFC 9110 section 5.6.2. */
static bool is_token_char(char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
        c == '-')
        return true;

    return c != '\0' && strchr("!#$%&'*+.^_`|~", c) != NULL;
}

static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_token_char(text[i]))
            return false;
    return len > 0;
}

/* No control character but the tab: a bare CR would be a line end to some. */
static bool is_field_value(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7f)
            return false;
    return true;
}

void head_init(struct head *head, const char *end)
{
    *head = (struct head){.end = end};
}

/* Spaces that libmicrohttpd leaves at the end of a value mean nothing. */
static size_t trimmed(const char *value, size_t len)
{
    while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
        len--;
    return len;
}

static inline bool is_name(const char *name, size_t len, const char *word)
{
    return len == strlen(word) && strncasecmp(name, word, len) == 0;
}

void head_add(struct head *head, const char *name, size_t name_len, const char *value,
              size_t value_len)
{
    /* CRLF or a bare LF lies between; addresses are compared as numbers, for they need not
     * be of one object when the line was moved. */
    uintptr_t gap = (uintptr_t)name - (uintptr_t)head->end;
    if ((gap != 1 && gap != 2) || !is_token(name, name_len) ||
        !is_field_value(value, value_len))
        head->is_malformed = true;
    head->end = value + value_len;
    head->lines++;

    if (is_name(name, name_len, "Content-Length")) {
        head->content_lengths++;
        if (!text_parse_u64(value, trimmed(value, value_len), INT64_MAX,
                            &head->content_length))
            head->is_malformed = true;
    } else if (is_name(name, name_len, "Transfer-Encoding")) {
        head->transfer_encodings++;
        head->is_chunked = text_equals_nocase(value, value_len, "chunked");
    } else if (is_name(name, name_len, "Host")) {
        head->hosts++;
    }
}

void head_finish(struct head *head, const char *end)
{
    uintptr_t gap = (uintptr_t)end - (uintptr_t)head->end;
    if (gap < 2 || gap > 4)
        head->is_malformed = true;
}

bool head_is_sound(const struct head *head, bool is_1_1)
{
    if (head->is_malformed || head->hosts > 1 || head->content_lengths > 1)
        return false;

    if (head->transfer_encodings == 0)
        return true;
    return head->transfer_encodings == 1 && head->is_chunked &&
           head->content_lengths == 0 && is_1_1;
}

bool head_has_body(const struct head *head)
{
    return head->transfer_encodings > 0 || head->content_length > 0;
}

/* One line of a head, without its line end. */
static void head_add_line(struct head *head, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (!colon) {
        head->is_malformed = true;
        head->end = line + len;
        return;
    }

    const char *value = colon + 1;
    const char *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    head_add(head, line, (size_t)(colon - line), value, (size_t)(end - value));
}

/* `at` is the first line, `end` behind the blank line. */
static void head_parse(const char *at, const char *end, struct head *head, bool *ret_is_1_1)
{
    static const char old[] = " HTTP/1.0";
    bool is_first = true;
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        const char *next = line_end + 1;
        if (line_end > at && line_end[-1] == '\r')
            line_end--;
        size_t len = (size_t)(line_end - at);
        if (is_first) {
            head_init(head, line_end);
            head->is_malformed = !is_field_value(at, len); /* it has the same characters */
            *ret_is_1_1 = len < sizeof old - 1 ||
                          memcmp(line_end - (sizeof old - 1), old, sizeof old - 1) != 0;
            is_first = false;
        } else if (len > 0) {
            head_add_line(head, at, len);
        }
        at = next;
    }
}

enum head_state head_scan(const char *bytes, size_t len, size_t max, struct head *ret,
                          bool *ret_is_1_1)
{
    size_t start = 0;
    while (start < len && (bytes[start] == '\r' || bytes[start] == '\n'))
        start++;

    const char *end = bytes + len;
    const char *at = bytes + start;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        at++;
        const char *next = at;
        if (next < end && *next == '\r')
            next++;
        if (next < end && *next == '\n') {
            if ((size_t)(next + 1 - bytes) > max)
                return HEAD_TOO_LARGE;
            head_parse(bytes + start, next + 1, ret, ret_is_1_1);
            ret->size = (size_t)(next + 1 - bytes);
            return HEAD_WHOLE;
        }
    }
    return len < max ? HEAD_PARTIAL : HEAD_TOO_LARGE;
}

/* --- a plain request ------------------------------------------------------------- */

static bool is_visible(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7f)
            return false;
    return len > 0;
}

/* The request line, from `line` to its line end. */
static bool request_line_parse(char *line, char *end, struct request *ret)
{
    static const char version[] = " HTTP/1.x";
    if (end - line < (ptrdiff_t)sizeof version)
        return false;

    char *target_end = end - (sizeof version - 1);
    char *minor = end - 1;
    if (memcmp(target_end, version, sizeof version - 2) != 0 ||
        (*minor != '0' && *minor != '1'))
        return false;

    char *method_end = memchr(line, ' ', (size_t)(target_end - line));
    if (!method_end || !is_token(line, (size_t)(method_end - line)))
        return false;

    char *target = method_end + 1;
    if (*target != '/' || !is_visible(target, (size_t)(target_end - target)))
        return false;

    char *query = memchr(target, '?', (size_t)(target_end - target));
    *method_end = '\0';
    *(query ? query : target_end) = '\0';
    ret->method = line;
    ret->path = target;
    ret->is_1_1 = *minor == '1';
    return true;
}

/* What only libmicrohttpd does for a client. */
static bool asks_for_more(const struct request *request, const struct request_field *field)
{
    return is_name(field->name, field->name_len, "Expect") ||
           is_name(field->name, field->name_len, "Upgrade") ||
           (!request->is_1_1 && is_name(field->name, field->name_len, "Connection") &&
            strcasestr(field->value, "keep-alive") != NULL);
}

/* A line of a sound head has a colon. */
static bool request_field_parse(char *line, char *end, struct request *request)
{
    if (request->field_count == REQUEST_FIELDS_MAX)
        return false;

    char *colon = memchr(line, ':', (size_t)(end - line));
    char *value = colon + 1;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    size_t len = trimmed(value, (size_t)(end - value));
    value[len] = '\0'; /* a blank or the line end, at the latest */

    struct request_field *field = &request->fields[request->field_count++];
    *field = (struct request_field){line, (size_t)(colon - line), value, len};
    return !asks_for_more(request, field);
}

bool request_parse(char *bytes, const struct head *head, struct request *ret)
{
    char *at = bytes;
    char *end = bytes + head->size;
    while (*at == '\r' || *at == '\n')
        at++;

    ret->method = NULL;
    ret->field_count = 0;
    while (at < end) {
        char *line_end = memchr(at, '\n', (size_t)(end - at));
        char *next = line_end + 1;
        if (line_end > at && line_end[-1] == '\r')
            line_end--;
        if (!ret->method) {
            if (!request_line_parse(at, line_end, ret))
                return false;
        } else if (line_end > at && !request_field_parse(at, line_end, ret)) {
            return false;
        }
        at = next;
    }
    return head->transfer_encodings == 0 && (head->hosts == 1 || !ret->is_1_1);
}
