/* SPDX-License-Identifier: MIT */
#include "net/port_set.h"

#include "base/err.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PORT_MAX        65535
#define WORD_BITS       64
#define PORT_DIGITS_MAX 5

bool port_set_init(struct port_set *set, size_t max, struct err *err)
{
    if (max > PORT_MAX)
        max = PORT_MAX;

    uint16_t *ports = calloc(max + 1, sizeof *ports); /* never of size 0 */
    if (!ports)
        return err_sys(err, ENOMEM, "a set of %zu ports", max);

    *set = (struct port_set){.ports = ports, .max = max};
    return true;
}

void port_set_done(struct port_set *set)
{
    free(set->ports);
    *set = (struct port_set){0};
}

void port_set_clear(struct port_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        set->member[set->ports[i] / WORD_BITS] = 0;
    set->count = 0;
}

/* The ports of first..last in one word that are not in the set yet. */
static uint64_t word_news(const struct port_set *set, size_t word, uint16_t first,
                          uint16_t last)
{
    uint64_t wanted = UINT64_MAX;
    if (word == first / WORD_BITS)
        wanted &= UINT64_MAX << (first % WORD_BITS);
    if (word == last / WORD_BITS)
        wanted &= UINT64_MAX >> (WORD_BITS - 1 - last % WORD_BITS);
    return wanted & ~set->member[word];
}

static void word_add(struct port_set *set, size_t word, uint64_t news)
{
    set->member[word] |= news;
    for (; news != 0; news &= news - 1) {
        unsigned bit = (unsigned)__builtin_ctzll(news);
        set->ports[set->count++] = (uint16_t)(word * WORD_BITS + bit);
    }
}

bool port_set_add(struct port_set *set, uint16_t first, uint16_t last)
{
    assert(first >= 1 && first <= last);

    size_t count = set->count;
    for (size_t word = first / WORD_BITS; word <= last / WORD_BITS; word++)
        count += (size_t)__builtin_popcountll(word_news(set, word, first, last));
    if (count > set->max)
        return false;

    if (count > set->count) {
        for (size_t word = first / WORD_BITS; word <= last / WORD_BITS; word++)
            word_add(set, word, word_news(set, word, first, last));
    }
    return true;
}

static bool port_parse(const char *digits, size_t len, uint16_t *ret)
{
    uint64_t value;
    if (len > PORT_DIGITS_MAX || !text_parse_u64(digits, len, PORT_MAX, &value) ||
        value == 0)
        return false;

    *ret = (uint16_t)value;
    return true;
}

bool port_range_parse(const char *text, size_t len, uint16_t *ret_first, uint16_t *ret_last,
                      struct err *err)
{
    const char *dash = memchr(text, '-', len);
    size_t first_len = dash ? (size_t)(dash - text) : len;

    uint16_t first;
    uint16_t last;
    if (!dash || !port_parse(text, first_len, &first) ||
        !port_parse(dash + 1, len - first_len - 1, &last))
        return err_set(err, ERR_INVALID,
                       "a range of ports is written first-last, both 1-65535");

    if (first > last)
        return err_set(err, ERR_INVALID, "the first port is greater than the last");

    *ret_first = first;
    *ret_last = last;
    return true;
}
