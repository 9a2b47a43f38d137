/* SPDX-License-Identifier: MIT */
#include "http/request.h"

#include "base/text.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#define DIGITS_MAX    16   /* of a chunk's size, that cost nothing */
#define TLS_HANDSHAKE 0x16 /* the first byte of a TLS hello: RFC 8446 section 5.1 */

static enum request_progress refuse(struct request *request, enum http_fault fault)
{
    request->fault = fault;
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

static bool is_visible(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7f)
            return false;
    return len > 0;
}

static bool is_field_value(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f)
            return false;
    return true;
}

/* Host and port, roughly: what the characters of RFC 3986 section 3.2 leave no doubt of. */
static bool is_host(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_visible(text + i, 1) || strchr("\"#/<>?@\\^`{|}", text[i]))
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

/* The line that begins at `at`, without its CRLF; then `at` is behind it. */
static enum request_progress next_line(struct request *request, const char *bytes,
                                       size_t len, struct line *ret)
{
    const char *end = memchr(bytes + request->seen, '\n', len - request->seen);
    if (!end) {
        request->seen = (uint32_t)len;
        return REQUEST_MORE;
    }

    size_t line_len = (size_t)(end - bytes) - request->at;
    if (line_len == 0 || end[-1] != '\r')
        return refuse(request, HTTP_FAULT_BAD_FRAMING);
    *ret = (struct line){request->at, line_len - 1};
    request->at = request->seen = (uint32_t)(end + 1 - bytes);
    return REQUEST_DONE;
}

/* --- the first line --------------------------------------------------------------- */

static struct request_text text_at(size_t at, size_t len)
{
    return (struct request_text){(uint16_t)at, (uint16_t)len};
}

/* "http://host:port/path": the authority moves onto the slash before it, to have room for
 * its NUL; an empty path is "/", for which the slash before the authority's old place is
 * used. */
static bool read_absolute(struct request *request, char *bytes, struct request_text target)
{
    static const char *const schemes[] = {"http://", "https://"};
    char *text = bytes + target.at;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t skip = strlen(schemes[i]);
        if (target.len <= skip || strncasecmp(text, schemes[i], skip) != 0)
            continue;

        size_t len = strcspn(text + skip, "/");
        if (len == 0 || text[skip] == ':' || !is_host(text + skip, len))
            return false;
        memmove(text + skip - 1, text + skip, len);
        text[skip - 1 + len] = '\0';
        request->authority = text_at(target.at + skip - 1, len);
        bool has_path = text[skip + len] == '/';
        /* The scheme's first two bytes are free by now. */
        if (!has_path)
            memcpy(text, "/", 2);
        size_t at = has_path ? skip + len : 0;
        request->path = text_at(target.at + at, strlen(text + at));
        return true;
    }
    return false;
}

static bool read_target(struct request *request, char *bytes, struct request_text target)
{
    char *text = bytes + target.at;
    if (!is_visible(text, target.len))
        return false;

    bool is_origin = text[0] == '/' || (text[0] == '*' && target.len == 1);
    text[target.len] = '\0';
    char *query = text + strcspn(text, "?");
    target.len = (uint16_t)(query - text);
    if (*query == '?')
        *query++ = '\0';
    request->query = text_at((size_t)(query - bytes), strlen(query));
    if (is_origin)
        request->path = target;
    return is_origin || read_absolute(request, bytes, target);
}

static enum http_fault fault_of_line(const char *line, size_t len)
{
    static const char preface[] = "PRI * HTTP/2.0";
    static const char proxy[] = "PROXY ";
    if (len == sizeof preface - 1 && memcmp(line, preface, len) == 0)
        return HTTP_FAULT_HTTP_2;
    if (len >= sizeof proxy - 1 && memcmp(line, proxy, sizeof proxy - 1) == 0)
        return HTTP_FAULT_PROXY_LINE;
    return HTTP_FAULT_BAD_FRAMING;
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

/* What a field says about where the request ends. */
static bool weigh_field(struct request *request, const char *bytes,
                        struct request_field *field)
{
    const char *name = bytes + field->name.at;
    const char *value = bytes + field->value.at;
    size_t len = field->name.len;
    if (text_equals_nocase(name, len, "Content-Length")) {
        bool is_first = request->framing == FRAMING_NONE;
        request->framing = FRAMING_LENGTH;
        return is_first &&
               text_parse_u64(value, field->value.len, INT64_MAX, &request->length);
    }
    if (text_equals_nocase(name, len, "Transfer-Encoding")) {
        bool is_first = request->framing == FRAMING_NONE;
        request->framing = FRAMING_CHUNKED;
        return is_first && request->version == HTTP_1_1 &&
               text_equals_nocase(value, field->value.len, "chunked");
    }
    if (text_equals_nocase(name, len, "Expect"))
        request->expects_continue =
            request->version == HTTP_1_1 &&
            text_equals_nocase(value, field->value.len, "100-continue");
    if (text_equals_nocase(name, len, "Host")) {
        bool is_sound = is_host(value, field->value.len);
        if (request->authority.len > 0)
            field->value = request->authority;
        return ++request->host_count == 1 && is_sound;
    }
    return true;
}

static enum request_progress read_field(struct request *request, char *bytes,
                                        struct line line)
{
    if (request->field_count == REQUEST_FIELDS_MAX)
        return refuse(request, HTTP_FAULT_HEADERS_TOO_LARGE);

    struct request_field *field = &request->fields[request->field_count++];
    if (!split_field(bytes, line, field) || !weigh_field(request, bytes, field))
        return refuse(request, HTTP_FAULT_BAD_FRAMING);
    bytes[field->value.at + field->value.len] = '\0'; /* a blank, or the CR */
    return REQUEST_MORE;
}

/* --- the head --------------------------------------------------------------------- */

static enum request_progress finish_head(struct request *request)
{
    if (request->version == HTTP_1_1 && request->host_count == 0)
        return refuse(request, HTTP_FAULT_BAD_FRAMING);

    request->body = request->at;
    request->stage =
        request->framing == FRAMING_CHUNKED ? REQUEST_CHUNK_SIZE : REQUEST_BODY;
    return REQUEST_DONE;
}

static enum request_progress read_head_line(struct request *request, char *bytes,
                                            struct line line)
{
    if (request->stage == REQUEST_FIELDS)
        return line.len > 0 ? read_field(request, bytes, line) : finish_head(request);
    if (line.len == 0)
        return REQUEST_MORE; /* RFC 9112 section 2.2 */

    /* Looked at before the line is cut. */
    enum http_fault fault = fault_of_line(bytes + line.at, line.len);
    if (fault != HTTP_FAULT_BAD_FRAMING || !read_request_line(request, bytes, line))
        return refuse(request, fault);
    request->stage = REQUEST_FIELDS;
    return REQUEST_MORE;
}

void request_init(struct request *request)
{
    /* All but the fields, which are many. */
    memset(request, 0, offsetof(struct request, fields));
}

/* What cannot become a request is refused at its first byte: no line end need follow. */
static enum request_progress look_at_first(struct request *request, char first)
{
    if (first == TLS_HANDSHAKE)
        return refuse(request, HTTP_FAULT_TLS_AT_PLAIN);
    if (first != '\r' && !is_token_char(first))
        return refuse(request, HTTP_FAULT_BAD_FRAMING);
    return REQUEST_MORE;
}

enum request_progress request_read_head(struct request *request, char *bytes, size_t len)
{
    assert(request->stage <= REQUEST_FIELDS);
    enum request_progress progress = REQUEST_MORE;
    while (progress == REQUEST_MORE) {
        if (request->stage == REQUEST_LINE && request->at < len &&
            look_at_first(request, bytes[request->at]) == REQUEST_BAD)
            return REQUEST_BAD;

        struct line line;
        size_t limit = len < REQUEST_HEAD_MAX ? len : REQUEST_HEAD_MAX;
        switch (next_line(request, bytes, limit, &line)) {
        case REQUEST_MORE:
            return limit < REQUEST_HEAD_MAX ? REQUEST_MORE
                                            : refuse(request, HTTP_FAULT_HEADERS_TOO_LARGE);
        case REQUEST_DONE:
            progress = read_head_line(request, bytes, line);
            break;
        case REQUEST_BAD:
            return REQUEST_BAD;
        }
    }
    return progress;
}

/* --- the body --------------------------------------------------------------------- */

bool request_has_body(const struct request *request)
{
    return request->framing == FRAMING_CHUNKED || request->length > 0;
}

static enum request_progress read_length(struct request *request, size_t len, size_t max)
{
    if (request->length > max)
        return refuse(request, HTTP_FAULT_BODY_TOO_LARGE);

    size_t there = len - request->body;
    bool is_whole = there >= request->length;
    request->at = request->body + (uint32_t)(is_whole ? request->length : there);
    if (!is_whole)
        return REQUEST_MORE;
    request->stage = REQUEST_WHOLE;
    return REQUEST_DONE;
}

static size_t count_digits(const char *text, size_t len)
{
    size_t digits = 0;
    while (digits < len && text_hex_value(text[digits]) >= 0)
        digits++;
    return digits;
}

/* "1a;name=value". A size beyond all is too large in any case. */
static bool read_chunk_size(struct request *request, const char *text, size_t len)
{
    size_t digits = count_digits(text, len);
    request->length = 0;
    for (size_t i = 0; i < digits; i++)
        if (request->length <= UINT32_MAX)
            request->length = request->length * 16 + (uint64_t)text_hex_value(text[i]);
    if (digits == 0 || (digits < len && text[digits] != ';'))
        return false;

    request->stage = request->length > 0 ? REQUEST_BODY : REQUEST_TRAILERS;
    return is_field_value(text + digits, len - digits);
}

/* RFC 9110 section 6.5.1 forbids fields about framing; Node 18 obeys them. */
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

static enum request_progress read_chunk_line(struct request *request, const char *bytes,
                                             size_t len)
{
    /* What is not dropped: a chunk's size, without more zeros than any client sends. */
    size_t kept = request->stage == REQUEST_CHUNK_SIZE
                      ? count_digits(bytes + request->at, len - request->at)
                      : 0;
    if (kept > DIGITS_MAX)
        kept = DIGITS_MAX;
    size_t limit = request->at + kept + REQUEST_EXTRA_MAX - request->extra + strlen("\r\n");

    struct line line;
    enum request_progress progress =
        next_line(request, bytes, len < limit ? len : limit, &line);
    if (progress == REQUEST_MORE && len >= limit)
        return refuse(request, HTTP_FAULT_HEADERS_TOO_LARGE);
    if (progress != REQUEST_DONE)
        return progress;
    request->extra += (uint32_t)(line.len - kept);

    bool is_sound = true;
    if (request->stage == REQUEST_CHUNK_SIZE) {
        is_sound = read_chunk_size(request, bytes + line.at, line.len);
    } else if (line.len == 0) {
        request->stage = REQUEST_WHOLE;
    } else {
        is_sound = is_trailer(bytes, line);
    }
    return is_sound ? REQUEST_DONE : refuse(request, HTTP_FAULT_BAD_FRAMING);
}

static enum request_progress read_chunk_end(struct request *request, const char *bytes,
                                            size_t len)
{
    static const char end[] = "\r\n";
    size_t there = len - request->at < 2 ? len - request->at : 2;
    if (memcmp(bytes + request->at, end, there) != 0)
        return refuse(request, HTTP_FAULT_BAD_FRAMING);
    if (there < 2)
        return REQUEST_MORE;

    request->at += 2;
    request->seen = request->at;
    request->stage = REQUEST_CHUNK_SIZE;
    return REQUEST_DONE;
}

/* Moves the chunk's data, as far as it is there, to the body's end. */
static enum request_progress read_chunk_data(struct request *request, char *bytes,
                                             size_t len, size_t *end)
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
    request->stage = REQUEST_CHUNK_END;
    return REQUEST_DONE;
}

static enum request_progress read_chunks(struct request *request, char *bytes, size_t len,
                                         size_t max, size_t *end)
{
    enum request_progress progress = REQUEST_DONE;
    while (progress == REQUEST_DONE && request->stage != REQUEST_WHOLE) {
        if (request->stage == REQUEST_BODY &&
            request->length > max - (*end - request->body))
            return refuse(request, HTTP_FAULT_BODY_TOO_LARGE);
        if (request->stage == REQUEST_BODY)
            progress = read_chunk_data(request, bytes, len, end);
        else if (request->stage == REQUEST_CHUNK_END)
            progress = read_chunk_end(request, bytes, len);
        else
            progress = read_chunk_line(request, bytes, len);
    }
    return progress;
}

enum request_progress request_read_body(struct request *request, char *bytes, size_t *len,
                                        size_t max)
{
    assert(request->stage >= REQUEST_BODY && request->stage < REQUEST_WHOLE);
    if (request->framing != FRAMING_CHUNKED)
        return read_length(request, *len, max);

    size_t end = request->at;
    enum request_progress progress = read_chunks(request, bytes, *len, max, &end);
    size_t gap = request->at - end;
    memmove(bytes + end, bytes + request->at, *len - request->at);
    *len -= gap;
    request->at -= (uint32_t)gap;
    request->seen -= (uint32_t)gap;
    return progress;
}
