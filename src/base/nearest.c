/* SPDX-License-Identifier: MIT */
#include "base/nearest.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define WORD_MAX 64 /* longer words are compared by their first letters */

static bool is_same(const char *a, const char *b)
{
    return strncasecmp(a, b, 1) == 0;
}

static unsigned min_of(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment with three rows of the matrix; rows[2] is the newest. */
static unsigned distance(const char *word, size_t len, const char *known)
{
    unsigned rows[3][WORD_MAX + 1] = {0};
    for (size_t i = 0; i <= len; i++)
        rows[2][i] = (unsigned)i;

    for (size_t k = 1; known[k - 1]; k++) {
        memcpy(rows[0], rows[1], sizeof rows[0]);
        memcpy(rows[1], rows[2], sizeof rows[1]);
        rows[2][0] = (unsigned)k;
        for (size_t i = 1; i <= len; i++) {
            unsigned typed = min_of(rows[1][i], rows[2][i - 1]) + 1;
            unsigned replaced = rows[1][i - 1] + !is_same(&word[i - 1], &known[k - 1]);
            rows[2][i] = min_of(typed, replaced);
            if (i > 1 && k > 1 && is_same(&word[i - 1], &known[k - 2]) &&
                is_same(&word[i - 2], &known[k - 1]))
                rows[2][i] = min_of(rows[2][i], rows[0][i - 2] + 1);
        }
    }
    return rows[2][len];
}

const char *nearest_name(const char *word, size_t len, const char *const *first,
                         size_t stride, size_t count, unsigned limit)
{
    const char *nearest = NULL;
    if (len > WORD_MAX)
        len = WORD_MAX;
    for (size_t i = 0; i < count; i++) {
        const char *known =
            *(const char *const *)(const void *)((const char *)first + i * stride);
        if (!known)
            continue;
        unsigned found = distance(word, len, known);
        if (found > limit || (nearest && found == limit))
            continue;
        limit = found;
        nearest = known;
    }
    return nearest;
}
