/* SPDX-License-Identifier: MIT */
#include "verifier/tcp_table.h"

#include "base/fd.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define FIELD_LOCAL  1
#define FIELD_REMOTE 2
#define FIELD_STATE  3
#define FIELD_QUEUES 4
#define FIELD_INODE  9
#define FIELD_COUNT  10
#define CHUNK        16384

/* --- one row -------------------------------------------------------------------------- */

struct field {
    const char *text;
    size_t len;
};

static size_t fields_split(const char *line, size_t len, struct field ret[FIELD_COUNT])
{
    size_t count = 0;
    size_t at = 0;
    while (count < FIELD_COUNT) {
        while (at < len && line[at] == ' ')
            at++;
        if (at == len)
            break;
        size_t start = at;
        while (at < len && line[at] != ' ')
            at++;
        ret[count++] = (struct field){.text = line + start, .len = at - start};
    }
    return count;
}

static bool hex_read(const char *digits, size_t len, uint32_t *ret)
{
    uint32_t value = 0;
    if (len == 0 || len > 8)
        return false;

    for (size_t i = 0; i < len; i++) {
        static const char upper[] = "0123456789ABCDEF";
        const char *found = digits[i] != '\0' ? strchr(upper, digits[i]) : NULL;
        if (!found)
            return false;
        value = value << 4 | (uint32_t)(found - upper);
    }
    *ret = value;
    return true;
}

/* Each group of eight digits is a word of the address as this machine holds it in memory:
 * in network order once it is stored back. */
static bool words_read(const char *digits, size_t count, void *ret_bytes)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t word;
        if (!hex_read(digits + i * 8, 8, &word))
            return false;
        memcpy((char *)ret_bytes + i * sizeof word, &word, sizeof word);
    }
    return true;
}

/* "0100007F:1D2A", or 32 digits in front of the colon. */
static bool address_read(struct field field, struct address *ret)
{
    const char *colon = memchr(field.text, ':', field.len);
    size_t len = colon ? (size_t)(colon - field.text) : 0;
    uint32_t port;
    if (!colon || field.len - len - 1 != 4 || !hex_read(colon + 1, 4, &port))
        return false;

    struct address address;
    memset(&address, 0, sizeof address);
    if (len == 8 && words_read(field.text, 1, &address.in.sin_addr)) {
        address.len = sizeof address.in;
        address.in.sin_family = AF_INET;
    } else if (len == 32 && words_read(field.text, 4, &address.in6.sin6_addr)) {
        address.len = sizeof address.in6;
        address.in6.sin6_family = AF_INET6;
    } else {
        return false;
    }
    address_set_port(&address, (uint16_t)port);
    *ret = address;
    return true;
}

/* "00000000:00000003": what is to be sent, and what waits to be read or accepted. */
static bool waiting_read(struct field field, uint32_t *ret)
{
    const char *colon = memchr(field.text, ':', field.len);
    size_t at = colon ? (size_t)(colon - field.text) + 1 : 0;
    return colon && hex_read(colon + 1, field.len - at, ret);
}

bool tcp_row_parse(const char *line, size_t len, struct tcp_row *ret)
{
    struct field fields[FIELD_COUNT];
    struct tcp_row row;
    uint32_t state;
    if (fields_split(line, len, fields) != FIELD_COUNT ||
        !address_read(fields[FIELD_LOCAL], &row.local) ||
        !address_read(fields[FIELD_REMOTE], &row.remote) ||
        !hex_read(fields[FIELD_STATE].text, fields[FIELD_STATE].len, &state) ||
        !waiting_read(fields[FIELD_QUEUES], &row.waiting) ||
        !text_parse_u64(fields[FIELD_INODE].text, fields[FIELD_INODE].len, UINT64_MAX,
                        &row.inode))
        return false;

    row.state = state;
    *ret = row;
    return true;
}

/* --- a file of them ------------------------------------------------------------------- */

/* Calls back for each whole line of `data`; returns the length of all of them. */
static size_t lines_hand_over(const char *data, size_t len, tcp_row_fn *fn, void *ctx)
{
    size_t at = 0;
    const char *end;
    while (at < len && (end = memchr(data + at, '\n', len - at))) {
        struct tcp_row row;
        size_t line_len = (size_t)(end - (data + at));
        if (tcp_row_parse(data + at, line_len, &row))
            fn(ctx, &row);
        at += line_len + 1;
    }
    return at;
}

bool tcp_table_read(const char *path, tcp_row_fn *fn, void *ctx)
{
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;

    char data[CHUNK];
    size_t len = 0;
    while (len < sizeof data) { /* the kernel writes no line as long as this */
        ssize_t got = read(fd, data + len, sizeof data - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0;
        len += (size_t)got;
        size_t used = lines_hand_over(data, len, fn, ctx);
        memmove(data, data + used, len - used);
        len -= used;
    }
    return false;
}
