/* SPDX-License-Identifier: MIT */
#include "verifier/alternation.h"

#include <string.h>

void alternation_note(struct alternation *alternation, const struct address *address)
{
    if (alternation->count == ALTERNATION_ROUNDS) {
        alternation->count--;
        memmove(alternation->seen, alternation->seen + 1,
                alternation->count * sizeof *alternation->seen);
    }
    alternation->seen[alternation->count++] = *address;
}

/* Whether another address lies between the one at `last` and an earlier equal one. */
static bool has_come_back(const struct alternation *alternation, size_t last)
{
    bool is_other = false;
    for (size_t i = last; i-- > 0;) {
        bool is_equal = address_equals(&alternation->seen[i], &alternation->seen[last]);
        if (is_equal && is_other)
            return true;
        is_other = is_other || !is_equal;
    }
    return false;
}

bool alternation_is_there(const struct alternation *alternation)
{
    for (size_t i = 2; i < alternation->count; i++)
        if (has_come_back(alternation, i))
            return true;
    return false;
}

bool alternation_has(const struct alternation *alternation, const struct address *address)
{
    for (size_t i = 0; i < alternation->count; i++)
        if (address_equals(&alternation->seen[i], address))
            return true;
    return false;
}
