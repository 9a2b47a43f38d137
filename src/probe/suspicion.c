/* SPDX-License-Identifier: MIT */
#include "probe/suspicion.h"

#include "base/fd.h"
#include "base/text.h"
#include "probe/conntrack.h"

#include <string.h>

#define FILE_MAX       (16 * 1024)
#define SILENT_SHARE   10  /* a rise below a tenth of the silent attempts is others' */
#define TRACKING_SHARE 100 /* of the table, free at least */

/* The next word of a line, from *at on; an empty one at its end. */
static size_t word_next(const char **at, const char *end, const char **ret_word)
{
    while (*at < end && **at == ' ')
        (*at)++;
    *ret_word = *at;
    while (*at < end && **at != ' ' && **at != '\n')
        (*at)++;
    return (size_t)(*at - *ret_word);
}

static const char *line_end(const char *at, const char *end)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    return newline ? newline : end;
}

static bool pair_find(const char *names, const char *names_end, const char *values,
                      const char *values_end, const char *name, uint64_t *ret)
{
    const char *word, *value;
    for (;;) {
        size_t len = word_next(&names, names_end, &word);
        size_t value_len = word_next(&values, values_end, &value);
        if (len == 0 || value_len == 0)
            return false;
        if (strlen(name) == len && memcmp(word, name, len) == 0)
            return text_parse_u64(value, value_len, UINT64_MAX, ret);
    }
}

bool suspicion_counter_find(const char *text, size_t len, const char *group,
                            const char *name, uint64_t *ret)
{
    const char *end = text + len;
    size_t group_len = strlen(group);
    while (text < end) {
        const char *names = text, *names_end = line_end(names, end);
        if (names_end == end)
            return false;
        const char *values = names_end + 1, *values_end = line_end(values, end);
        if ((size_t)(names_end - names) >= group_len &&
            memcmp(names, group, group_len) == 0)
            return pair_find(names, names_end, values, values_end, name, ret);
        text = values_end < end ? values_end + 1 : end;
    }
    return false;
}

bool suspicion_is_raised(const struct suspicion_counts *before,
                         const struct suspicion_counts *now, size_t silent)
{
    if (now->retrans_fail > before->retrans_fail)
        return true;

    uint64_t lost = (now->out_discards - before->out_discards) +
                    (now->out_no_routes - before->out_no_routes);
    return lost > 0 && lost * SILENT_SHARE > silent;
}

struct suspicion_counts suspicion_read(void)
{
    struct suspicion_counts counts = {0};
    char text[FILE_MAX];
    unsigned long len;
    if (fd_read_file("/proc/thread-self/net/netstat", text, sizeof text, &len, NULL))
        suspicion_counter_find(text, len, "TcpExt:", "TCPRetransFail",
                               &counts.retrans_fail);
    if (fd_read_file("/proc/thread-self/net/snmp", text, sizeof text, &len, NULL)) {
        suspicion_counter_find(text, len, "Ip:", "OutDiscards", &counts.out_discards);
        suspicion_counter_find(text, len, "Ip:", "OutNoRoutes", &counts.out_no_routes);
    }
    return counts;
}

bool suspicion_of_tracking(void)
{
    size_t free_entries, size;
    return conntrack_read(&free_entries, &size) && free_entries < size / TRACKING_SHARE;
}
