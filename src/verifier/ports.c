/* SPDX-License-Identifier: MIT */
#include "verifier/ports.h"

#include "base/err.h"
#include "net/port_set.h"

#include <stdlib.h>
#include <string.h>

#define PORT_DIGITS_MAX 5
#define PORT_MAX        65535
#define SEPARATORS      ", "

static bool word_parse(const char *word, size_t len, uint16_t *ret_first,
                       uint16_t *ret_last, struct err *err)
{
    if (memchr(word, '-', len))
        return port_range_parse(word, len, ret_first, ret_last, err);

    uint64_t port;
    if (len > PORT_DIGITS_MAX || !text_parse_u64(word, len, PORT_MAX, &port) || port == 0)
        return err_set(err, ERR_INVALID, "a port is a number from 1 to 65535");

    *ret_first = *ret_last = (uint16_t)port;
    return true;
}

bool ports_parse(const char *text, struct port_set *set, struct err *err)
{
    for (text += strspn(text, SEPARATORS); *text; text += strspn(text, SEPARATORS)) {
        size_t len = strcspn(text, SEPARATORS);
        uint16_t first;
        uint16_t last;
        struct err why;
        if (!word_parse(text, len, &first, &last, &why))
            return err_set(err, ERR_INVALID, "a list of ports and ranges (\"%.*s\": %s)",
                           (int)(len < 40 ? len : 40), text, why.message);
        if (!port_set_add(set, first, last))
            return err_set(err, ERR_INVALID, "a list of at most %zu ports", set->max);
        text += len;
    }
    return true;
}

static int port_compare(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

void ports_sort(uint16_t *ports, size_t count)
{
    if (count > 0)
        qsort(ports, count, sizeof *ports, port_compare);
}

bool ports_find(const uint16_t *ports, size_t count, uint16_t port, size_t *ret_index)
{
    const uint16_t *found =
        count > 0 ? bsearch(&port, ports, count, sizeof *ports, port_compare) : NULL;
    if (!found)
        return false;

    *ret_index = (size_t)(found - ports);
    return true;
}

void ports_format(const uint16_t *ports, size_t count, struct text *text)
{
    size_t first = 0;
    while (first < count) {
        size_t last = first;
        while (last + 1 < count && ports[last + 1] == ports[last] + 1)
            last++;
        text_printf(text, "%s%u", first > 0 ? "," : "", ports[first]);
        if (last > first)
            text_printf(text, "-%u", ports[last]);
        first = last + 1;
    }
}
