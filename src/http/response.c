/* SPDX-License-Identifier: MIT */
#include "http/response.h"

#include "base/text.h"

#include <string.h>
#include <time.h>

#define USUAL_HEAD 368 /* bytes of the lines that are in every head */

static const struct {
    unsigned status;
    const char *protocol;
} errors[] = {
#define X(NAME, status, protocol) [HTTP_ERROR_##NAME] = {status, protocol},
    HTTP_ERROR_MAP(X)
#undef X
};

unsigned http_error_status(enum http_error error)
{
    return errors[error].status;
}

const char *http_error_protocol(enum http_error error)
{
    return errors[error].protocol;
}

/* For the statuses that this project uses. */
static const char *reason_phrase(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } rows[] = {
        {200, "OK"},
        {204, "No Content"},
        {304, "Not Modified"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].status == status)
            return rows[i].phrase;
    return ""; /* may be empty: RFC 9112 section 4 */
}

const char *http_date_text(struct http_date *date, int64_t unix_second)
{
    struct tm tm;
    time_t time = (time_t)unix_second;
    if (date->second != unix_second && gmtime_r(&time, &tm)) {
        strftime(date->text, sizeof date->text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        date->second = unix_second;
    }
    return date->text;
}

static inline void append_field(struct text *out, const char *name, const char *value)
{
    text_append_str(out, name);
    text_append_str(out, value);
    text_append_str(out, "\r\n");
}

static void append_status_line(struct text *out, unsigned status)
{
    char digits[TEXT_DIGITS_MAX];
    text_append_str(out, "HTTP/1.1 ");
    text_append(out, digits, text_digits(status, 3, digits));
    append_field(out, " ", reason_phrase(status));
}

static void append_framing(struct text *out, const struct response *response)
{
    char digits[TEXT_DIGITS_MAX + 1];
    switch (response->form) {
    case BODY_LENGTH:
        if (response->status == 204)
            return;
        digits[text_digits(response->body_len, 1, digits)] = '\0';
        append_field(out, "Content-Length: ", digits);
        return;
    case BODY_CHUNKS:
        append_field(out, "Transfer-Encoding: ", "chunked");
        return;
    case BODY_TO_THE_END:
        return;
    }
}

static bool says_caching(const struct text *fields)
{
    static const char line[] = "\r\nCache-Control: ";
    return strstr(fields->data, line) ||
           strncmp(fields->data, line + 2, sizeof line - 3) == 0;
}

void response_append_head(struct text *out, const struct response *response)
{
    text_reserve(out, USUAL_HEAD + response->fields->len);
    append_status_line(out, response->status);
    append_field(out, "Date: ", response->date);
    if (response->persistence == PERSISTENCE_CLOSE)
        append_field(out, "Connection: ", "close");
    if (response->persistence == PERSISTENCE_KEEP_ALIVE)
        append_field(out, "Connection: ", "keep-alive");
    append_field(out, "Server: ", response->server);
    if (!says_caching(response->fields))
        append_field(out, "Cache-Control: ", "no-store");
    if (response->is_tls)
        append_field(out, "Strict-Transport-Security: ", "max-age=31536000");
    append_field(out, "Content-Type: ", response->content_type);
    append_framing(out, response);
    text_append(out, response->fields->data, response->fields->len);
    text_append_str(out, "\r\n");
    out->failed |= response->fields->failed;
}

void response_append_piece(struct text *out, enum body_form form, const char *bytes,
                           size_t len)
{
    if (form == BODY_CHUNKS)
        text_printf(out, "%zx\r\n", len);
    text_append(out, bytes, len);
    if (form == BODY_CHUNKS)
        text_append_str(out, "\r\n");
}

void response_append_end(struct text *out, enum body_form form)
{
    if (form == BODY_CHUNKS)
        text_append_str(out, "0\r\n\r\n");
}
