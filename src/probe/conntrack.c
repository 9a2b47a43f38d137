/* SPDX-License-Identifier: MIT */
#include "probe/conntrack.h"

#include "base/fd.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

enum {
    FILE_COUNT,
    FILE_MAX,
    FILES,
};

static const char *const paths[FILES] = {
    [FILE_COUNT] = "/proc/sys/net/netfilter/nf_conntrack_count",
    [FILE_MAX] = "/proc/sys/net/netfilter/nf_conntrack_max",
};

static struct {
    bool is_on;
    int fds[FILES];
} held;

void conntrack_hold(void)
{
    held.is_on = true;
    for (size_t i = 0; i < FILES; i++)
        held.fds[i] = open(paths[i], O_RDONLY | O_CLOEXEC);
}

static bool read_text(size_t file, char *data, size_t size, size_t *ret_len)
{
    if (!held.is_on)
        return fd_read_file(paths[file], data, size, ret_len, NULL);

    ssize_t got = pread(held.fds[file], data, size, 0);
    *ret_len = got > 0 ? (size_t)got : 0;
    return got > 0;
}

static bool read_number(size_t file, uint64_t *ret)
{
    char digits[32];
    size_t len;
    if (!read_text(file, digits, sizeof digits, &len))
        return false;

    if (len > 0 && digits[len - 1] == '\n')
        len--;
    return text_parse_u64(digits, len, UINT32_MAX, ret);
}

bool conntrack_read(size_t *ret_free, size_t *ret_size)
{
    uint64_t count, max;
    if (!read_number(FILE_COUNT, &count) || !read_number(FILE_MAX, &max))
        return false;

    *ret_free = count < max ? max - count : 0;
    *ret_size = max;
    return true;
}
