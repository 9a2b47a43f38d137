/* SPDX-License-Identifier: MIT
 *
 * Range texts, one per line, added to a set with a limit: the set accepts exactly what the
 * text says, and is compared with the simplest possible set.
 */
#include "net/port_set.h"

#include "base/err.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PORTS_MAX 1024

struct model {
    bool is_in[65536];
    size_t count;
};

/* What the text would be with ranges written without leading zeros. */
static void check_range(const char *text, size_t len, uint16_t first, uint16_t last)
{
    char expected[16];
    char plain[16];
    size_t plain_len = 0;
    bool is_leading = true;
    assert(len <= 11 && first >= 1 && first <= last);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '0' && is_leading)
            continue;
        is_leading = text[i] == '-';
        plain[plain_len++] = text[i];
    }
    plain[plain_len] = '\0';
    snprintf(expected, sizeof expected, "%u-%u", first, last);
    assert(strcmp(plain, expected) == 0);
}

static void add_to_both(struct port_set *set, struct model *model, uint16_t first,
                        uint16_t last)
{
    size_t before = set->count;
    size_t news = 0;
    for (unsigned port = first; port <= last; port++)
        news += !model->is_in[port];

    bool is_added = port_set_add(set, first, last);
    assert(is_added == (model->count + news <= PORTS_MAX));
    if (!is_added) {
        assert(set->count == before);
        return;
    }

    size_t next = before;
    for (unsigned port = first; port <= last; port++) {
        if (!model->is_in[port]) {
            assert(set->ports[next] == port);
            next++;
            model->is_in[port] = true;
        }
    }
    model->count += news;
    assert(set->count == next && next == model->count);
}

/* The set contains exactly what its list says. Empties the model on the way. */
static void check_members(const struct port_set *set, struct model *model)
{
    size_t members = 0;
    for (size_t word = 0; word < sizeof set->member / sizeof set->member[0]; word++)
        members += (size_t)__builtin_popcountll(set->member[word]);
    assert(members == set->count);

    for (size_t i = 0; i < set->count; i++) {
        uint16_t port = set->ports[i];
        assert((set->member[port / 64] >> (port % 64)) & 1);
        assert(model->is_in[port]);
        model->is_in[port] = false;
    }
    model->count = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct model model;
    struct port_set set;
    bool is_made = port_set_init(&set, PORTS_MAX, NULL);
    assert(is_made);

    const char *text = (const char *)data;
    for (size_t at = 0, lines = 0; at < size && lines < 16; lines++) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t len = end ? (size_t)(end - (text + at)) : size - at;
        struct err err;
        uint16_t first;
        uint16_t last;
        if (port_range_parse(text + at, len, &first, &last, &err)) {
            check_range(text + at, len, first, last);
            add_to_both(&set, &model, first, last);
        } else {
            assert(err.kind == ERR_INVALID && err.message[0] != '\0');
        }
        at += len + 1;
    }
    check_members(&set, &model);
    port_set_done(&set);
    return 0;
}
