/* SPDX-License-Identifier: MIT */
#include "http/request.h"

#include "base/text.h"
#include "http/host.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#define USUAL_SIZE_LINE 16   /* bytes of a chunk-size line that do not count as extra */
#define TLS_HANDSHAKE   0x16 /* the first byte of a TLS hello: RFC 8446 section 5.1 */

static enum request_progress refuse(struct request *request, enum http_error error)
{
    request->error = error;
    return REQUEST_BAD;
}

/* --- characters ------------------------------------------------------------------- */

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

/* ASCII only, whether or not `char` is signed. */
static bool is_visible(char c)
{
    return c > ' ' && (unsigned char)c < 0x7f;
}

static bool is_field_value(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f)
            return false;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* --- lines ------------------------------------------------------------------------ */

struct line {
    size_t at; /* offset */
    size_t len;
};

/* Reads the line that begins at `at`, without its CRLF, and moves `at` behind it. A line
 * that does not end before `limit` is the error `too_long`. */
static enum request_progress next_line(struct request *request, const char *bytes,
                                       size_t len, size_t limit, enum http_error too_long,
                                       struct line *ret)
{
    size_t searched = len < limit ? len : limit;
    const char *end = memchr(bytes + request->seen, '\n', searched - request->seen);
    if (!end) {
        request->seen = (uint32_t)searched;
        return len < limit ? REQUEST_MORE : refuse(request, too_long);
    }

    size_t line_len = (size_t)(end - bytes) - request->at;
    if (line_len == 0 || end[-1] != '\r')
        return refuse(request, HTTP_ERROR_BAD_FRAMING);
    *ret = (struct line){request->at, line_len - 1};
    request->at = request->seen = (uint32_t)(end + 1 - bytes);
    return REQUEST_DONE;
}

/* --- the first line --------------------------------------------------------------- */

static struct request_text text_at(size_t at, size_t len)
{
    return (struct request_text){(uint16_t)at, (uint16_t)len};
}

/* "http://host:port/path". The host moves one byte to the left, onto a slash, to make room
 * for its NUL. An empty path becomes "/", written over the scheme. */
static bool read_absolute(struct request *request, char *bytes, struct request_text target)
{
    char *text = bytes + target.at;
    size_t scheme = strncasecmp(text, "http://", 7) == 0    ? 7
                    : strncasecmp(text, "https://", 8) == 0 ? 8
                                                            : 0;
    char *host = text + scheme;
    size_t len = strcspn(host, "/");
    if (scheme == 0 || len == 0 || !host_is_valid(host, len))
        return false;

    request->path = text_at(target.at + scheme + len, 0);
    if (host[len] != '/') {
        memcpy(text, "/", 2);
        request->path.at = target.at;
    }
    memmove(host - 1, host, len);
    host[len - 1] = '\0';
    request->authority = text_at(target.at + scheme - 1, len);
    return true;
}

static bool read_target(struct request *request, char *bytes, struct request_text target)
{
    char *text = bytes + target.at;
    for (size_t i = 0; i < target.len; i++)
        if (!is_visible(text[i]))
            return false;

    bool is_origin = text[0] == '/' || (text[0] == '*' && target.len == 1);
    text[target.len] = '\0';
    char *query = text + strcspn(text, "?");
    if (*query == '?')
        *query++ = '\0';
    request->query = text_at((size_t)(query - bytes), strlen(query));
    request->path = target;
    if (!is_origin && !read_absolute(request, bytes, target))
        return false;

    request->path.len = (uint16_t)strlen(bytes + request->path.at);
    return true;
}

static enum http_error error_of_line(const char *line, size_t len)
{
    static const char preface[] = "PRI * HTTP/2.0";
    static const char proxy[] = "PROXY ";
    if (len == sizeof preface - 1 && memcmp(line, preface, len) == 0)
        return HTTP_ERROR_HTTP_2;
    if (len >= sizeof proxy - 1 && memcmp(line, proxy, sizeof proxy - 1) == 0)
        return HTTP_ERROR_PROXY_PROTOCOL;
    return HTTP_ERROR_BAD_FRAMING;
}

static bool read_request_line(struct request *request, char *bytes, struct line line)
{
    static const char version[] = " HTTP/1.x";
    const size_t version_len = sizeof version - 1;
    char *text = bytes + line.at;
    if (line.len <= version_len)
        return false;

    size_t target_end = line.len - version_len;
    char minor = text[line.len - 1];
    if (memcmp(text + target_end, version, version_len - 1) != 0 ||
        (minor != '0' && minor != '1'))
        return false;

    const char *space = memchr(text, ' ', target_end);
    size_t method_len = space ? (size_t)(space - text) : 0;
    if (!is_token(text, method_len))
        return false;

    text[method_len] = '\0';
    request->method = text_at(line.at, method_len);
    request->version = minor == '1' ? HTTP_1_1 : HTTP_1_0;
    return read_target(request, bytes,
                       text_at(line.at + method_len + 1, target_end - method_len - 1));
}

/* --- the other lines -------------------------------------------------------------- */

static bool split_field(const char *bytes, struct line line, struct request_field *ret)
{
    const char *text = bytes + line.at;
    const char *colon = memchr(text, ':', line.len);
    if (!colon || !is_token(text, (size_t)(colon - text)))
        return false;

    size_t from = (size_t)(colon + 1 - text);
    size_t to = line.len;
    while (from < to && is_blank(text[from]))
        from++;
    while (to > from && is_blank(text[to - 1]))
        to--;
    ret->name = text_at(line.at, (size_t)(colon - text));
    ret->value = text_at(line.at + from, to - from);
    return is_field_value(text + from, to - from);
}

/* Applies what a field says about framing and routing. */
static bool weigh_field(struct request *request, const char *bytes,
                        struct request_field *field)
{
    const char *name = bytes + field->name.at;
    const char *value = bytes + field->value.at;
    size_t len = field->name.len;
    bool is_length = text_equals_nocase(name, len, "Content-Length");
    if (is_length || text_equals_nocase(name, len, "Transfer-Encoding")) {
        if (request->framing != FRAMING_NONE)
            return false;
        request->framing = is_length ? FRAMING_LENGTH : FRAMING_CHUNKED;
        return is_length
                   ? text_parse_u64(value, field->value.len, INT64_MAX, &request->length)
                   : request->version == HTTP_1_1 &&
                         text_equals_nocase(value, field->value.len, "chunked");
    }
    if (text_equals_nocase(name, len, "Expect"))
        request->expects_continue =
            request->version == HTTP_1_1 &&
            text_equals_nocase(value, field->value.len, "100-continue");
    if (text_equals_nocase(name, len, "Host")) {
        bool is_sound = host_is_valid(value, field->value.len);
        if (request->authority.len > 0)
            field->value = request->authority;
        return ++request->host_count == 1 && is_sound;
    }
    return true;
}

static enum http_error read_field(struct request *request, char *bytes, struct line line)
{
    if (request->field_count == REQUEST_FIELDS_MAX)
        return HTTP_ERROR_HEADERS_TOO_LARGE;

    struct request_field *field = &request->fields[request->field_count++];
    if (!split_field(bytes, line, field) || !weigh_field(request, bytes, field))
        return HTTP_ERROR_BAD_FRAMING;
    bytes[field->value.at + field->value.len] = '\0'; /* over a blank or the CR */
    return HTTP_ERROR_NONE;
}

/* --- the head --------------------------------------------------------------------- */

static enum http_error finish_head(struct request *request)
{
    if (request->version == HTTP_1_1 && request->host_count == 0)
        return HTTP_ERROR_BAD_FRAMING;

    request->body = request->at;
    request->stage =
        request->framing == FRAMING_CHUNKED ? REQUEST_CHUNK_SIZE : REQUEST_BODY;
    return HTTP_ERROR_NONE;
}

static enum http_error read_head_line(struct request *request, char *bytes,
                                      struct line line)
{
    if (request->stage == REQUEST_FIELDS)
        return line.len > 0 ? read_field(request, bytes, line) : finish_head(request);
    if (line.len == 0)
        return HTTP_ERROR_NONE; /* RFC 9112 section 2.2 */
    if (!read_request_line(request, bytes, line))
        return error_of_line(bytes + line.at, line.len);

    request->stage = REQUEST_FIELDS;
    return HTTP_ERROR_NONE;
}

void request_init(struct request *request)
{
    /* Not the fields, which are large. */
    memset(request, 0, offsetof(struct request, fields));
}

/* Judges the first byte of the request line, so that a client that speaks another protocol
 * gets its answer before it sends a line end. Version 2 of the PROXY protocol begins with
 * two blank lines and a NUL. */
static enum http_error error_of_first(const char *bytes, size_t at)
{
    char first = bytes[at];
    if (first == TLS_HANDSHAKE)
        return HTTP_ERROR_TLS_AT_PLAIN;
    if (first == '\0' && at == strlen("\r\n\r\n"))
        return HTTP_ERROR_PROXY_PROTOCOL;
    return first == '\r' || is_token_char(first) ? HTTP_ERROR_NONE : HTTP_ERROR_BAD_FRAMING;
}

static enum request_progress read_head(struct request *request, char *bytes, size_t len)
{
    enum http_error error = HTTP_ERROR_NONE;
    while (error == HTTP_ERROR_NONE && request->stage <= REQUEST_FIELDS) {
        if (request->stage == REQUEST_LINE && request->at < len)
            error = error_of_first(bytes, request->at);
        if (error != HTTP_ERROR_NONE)
            break;

        struct line line;
        enum request_progress progress = next_line(request, bytes, len, REQUEST_HEAD_MAX,
                                                   HTTP_ERROR_HEADERS_TOO_LARGE, &line);
        if (progress != REQUEST_DONE)
            return progress;
        error = read_head_line(request, bytes, line);
    }
    return error == HTTP_ERROR_NONE ? REQUEST_HEAD : refuse(request, error);
}

/* --- the body --------------------------------------------------------------------- */

bool request_has_body(const struct request *request)
{
    return request->framing == FRAMING_CHUNKED || request->length > 0;
}

/* "1a;name=value". A size that is too large for any body remains too large. */
static bool read_chunk_size(struct request *request, const char *text, size_t len)
{
    size_t digits = 0;
    request->length = 0;
    for (int value; digits < len && (value = text_hex_value(text[digits])) >= 0; digits++)
        if (request->length <= UINT32_MAX)
            request->length = request->length * 16 + (uint64_t)value;
    if (digits == 0 || (digits < len && text[digits] != ';'))
        return false;

    request->stage = request->length > 0 ? REQUEST_BODY : REQUEST_TRAILERS;
    return is_field_value(text + digits, len - digits);
}

/* RFC 9110 section 6.5.1 forbids framing fields in trailers; Node 18 obeys them. */
static bool is_trailer(const char *bytes, struct line line)
{
    static const char *const names[] = {"Content-Length", "Transfer-Encoding", "Connection",
                                        "Proxy-Connection"};
    struct request_field field;
    if (!split_field(bytes, line, &field))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (text_equals_nocase(bytes + line.at, field.name.len, names[i]))
            return false;
    return true;
}

/* Reads a chunk-size line or a trailer line. */
static enum request_progress read_chunk_line(struct request *request, const char *bytes,
                                             size_t len)
{
    bool is_size = request->stage == REQUEST_CHUNK_SIZE;
    size_t usual = is_size ? USUAL_SIZE_LINE : 0;
    size_t limit =
        request->at + usual + REQUEST_EXTRA_MAX - request->extra + strlen("\r\n");

    struct line line;
    enum request_progress progress =
        next_line(request, bytes, len, limit, HTTP_ERROR_HEADERS_TOO_LARGE, &line);
    if (progress != REQUEST_DONE)
        return progress;

    if (line.len > usual)
        request->extra += (uint32_t)(line.len - usual);
    if (!is_size && line.len == 0)
        request->stage = REQUEST_WHOLE;
    else if (is_size ? !read_chunk_size(request, bytes + line.at, line.len)
                     : !is_trailer(bytes, line))
        return refuse(request, HTTP_ERROR_BAD_FRAMING);
    return REQUEST_DONE;
}

static enum request_progress read_chunk_end(struct request *request, const char *bytes,
                                            size_t len)
{
    struct line line;
    enum request_progress progress = next_line(
        request, bytes, len, request->at + strlen("\r\n"), HTTP_ERROR_BAD_FRAMING, &line);
    if (progress == REQUEST_DONE)
        request->stage = REQUEST_CHUNK_SIZE;
    return progress;
}

/* Moves the available data to the body's end, over the chunk framing that was dropped. */
static enum request_progress read_data(struct request *request, char *bytes, size_t len,
                                       size_t *end)
{
    size_t there = len - request->at;
    size_t taken = there < request->length ? there : (size_t)request->length;
    memmove(bytes + *end, bytes + request->at, taken);
    *end += taken;
    request->at += (uint32_t)taken;
    request->seen = request->at;
    request->length -= taken;
    if (request->length > 0)
        return REQUEST_MORE;
    request->stage =
        request->framing == FRAMING_CHUNKED ? REQUEST_CHUNK_END : REQUEST_WHOLE;
    return REQUEST_DONE;
}

static enum request_progress read_body(struct request *request, char *bytes, size_t len,
                                       size_t max, size_t *end)
{
    enum request_progress progress = REQUEST_DONE;
    while (progress == REQUEST_DONE && request->stage != REQUEST_WHOLE) {
        if (request->stage == REQUEST_BODY &&
            request->length > max - (*end - request->body))
            return refuse(request, HTTP_ERROR_BODY_TOO_LARGE);
        if (request->stage == REQUEST_BODY)
            progress = read_data(request, bytes, len, end);
        else if (request->stage == REQUEST_CHUNK_END)
            progress = read_chunk_end(request, bytes, len);
        else
            progress = read_chunk_line(request, bytes, len);
    }
    return progress;
}

enum request_progress request_read(struct request *request, char *bytes, size_t *len,
                                   size_t body_max)
{
    assert(request->stage < REQUEST_WHOLE);
    if (request->stage <= REQUEST_FIELDS)
        return read_head(request, bytes, *len);

    size_t end = request->at;
    enum request_progress progress = read_body(request, bytes, *len, body_max, &end);
    size_t gap = request->at - end;
    if (gap > 0)
        memmove(bytes + end, bytes + request->at, *len - request->at);
    *len -= gap;
    request->at -= (uint32_t)gap;
    request->seen -= (uint32_t)gap;
    return progress;
}
