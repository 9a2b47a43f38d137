/* SPDX-License-Identifier: MIT */
#include "probe/conntrack.h"

#include "base/fd.h"
#include "base/text.h"

#include <stdint.h>

static bool read_number(const char *path, uint64_t *ret)
{
    char digits[32];
    unsigned long len;
    if (!fd_read_file(path, digits, sizeof digits, &len, NULL))
        return false;

    if (len > 0 && digits[len - 1] == '\n')
        len--;
    return text_parse_u64(digits, len, UINT32_MAX, ret);
}

bool conntrack_read(size_t *ret_free, size_t *ret_size)
{
    uint64_t count, max;
    if (!read_number("/proc/sys/net/netfilter/nf_conntrack_count", &count) ||
        !read_number("/proc/sys/net/netfilter/nf_conntrack_max", &max))
        return false;

    *ret_free = count < max ? max - count : 0;
    *ret_size = max;
    return true;
}
