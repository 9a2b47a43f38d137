/* SPDX-License-Identifier: MIT */
#include "verifier/ports.h"

#include "base/err.h"
#include "net/port_set.h"

#include <stdlib.h>
#include <string.h>

#define PORT_DIGITS_MAX 5
#define PORT_MAX        65535
#define SEPARATORS      ", "

struct range {
    uint16_t first, last;
};

static bool range_parse(const char *word, size_t len, struct range *ret, struct err *err)
{
    if (memchr(word, '-', len))
        return port_range_parse(word, len, &ret->first, &ret->last, err);

    uint64_t port;
    if (len > PORT_DIGITS_MAX || !text_parse_u64(word, len, PORT_MAX, &port) || port == 0)
        return err_set(err, ERR_INVALID, "a port is a number from 1 to 65535");

    ret->first = ret->last = (uint16_t)port;
    return true;
}

/* Notes that the ports of one range lead to those of another. */
static bool map_range(struct range outer, struct range inner, uint16_t *map,
                      struct err *err)
{
    if (outer.last - outer.first != inner.last - inner.first)
        return err_set(err, ERR_INVALID,
                       "both sides of a colon must have the same number of ports");
    for (unsigned i = 0; i <= (unsigned)(outer.last - outer.first); i++) {
        uint16_t *leads_to = &map[outer.first + i];
        uint16_t port = (uint16_t)(inner.first + i);
        if (*leads_to != 0 && *leads_to != port)
            return err_set(err, ERR_INVALID, "port %u can lead to only one port",
                           outer.first + i);
        *leads_to = port;
    }
    return true;
}

/* "50800", "50800-50900", "17466:7466". */
static bool word_parse(const char *word, size_t len, uint16_t *map, struct range *ret,
                       struct err *err)
{
    const char *colon = map ? memchr(word, ':', len) : NULL;
    size_t outer_len = colon ? (size_t)(colon - word) : len;
    struct range inner;
    if (!range_parse(word, outer_len, ret, err))
        return false;
    return !colon || (range_parse(colon + 1, len - outer_len - 1, &inner, err) &&
                      map_range(*ret, inner, map, err));
}

bool ports_parse(const char *text, struct port_set *set, uint16_t *inner, struct err *err)
{
    for (text += strspn(text, SEPARATORS); *text; text += strspn(text, SEPARATORS)) {
        size_t len = strcspn(text, SEPARATORS);
        struct range range;
        struct err why;
        if (!word_parse(text, len, inner, &range, &why))
            return err_set(err, ERR_INVALID, "a list of ports and ranges (\"%.*s\": %s)",
                           (int)(len < 40 ? len : 40), text, why.message);
        if (!port_set_add(set, range.first, range.last))
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
