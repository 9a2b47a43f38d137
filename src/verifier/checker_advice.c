/* SPDX-License-Identifier: MIT */
#include "verifier/checker_advice.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define CONDITIONS_MAX 6 /* of one failure; tests/unit/test_advice.c reads them all */

struct checker_remedy {
    enum certificate certificate; /* conditions: those that are not 0 must hold */
    unsigned first, last;         /* status */
    bool has_moved;
    bool is_ip_named;
    const char *remedy;
};

/* clang-format off */
static const struct checker_remedy remedies[][CONDITIONS_MAX] = {
#define FAILURE(NAME, name, ...) [FAILURE_##NAME] = {__VA_ARGS__},
#include "verifier/failures.def"
#undef FAILURE
};
/* clang-format on */

static bool holds(const struct checker_remedy *remedy, const struct checker_result *result)
{
    return (!remedy->certificate || remedy->certificate == result->certificate) &&
           (!remedy->last ||
            (result->status >= remedy->first && result->status <= remedy->last)) &&
           (!remedy->has_moved || result->has_moved) &&
           (!remedy->is_ip_named || result->is_ip_named);
}

static const char *remedy_of(const struct checker_result *result)
{
    const struct checker_remedy *remedy = remedies[result->failure];
    while (!holds(remedy, result))
        remedy++;
    return remedy->remedy;
}

static bool are_alike(const struct family_report *family, size_t a, size_t b)
{
    return strcmp(remedy_of(&family->checkers[a].result),
                  remedy_of(&family->checkers[b].result)) == 0;
}

static bool is_first_of_its_kind(const struct family_report *family, size_t index)
{
    size_t first = 0;
    while (!are_alike(family, first, index))
        first++;
    return first == index;
}

static void urls_put(const struct family_report *family, size_t first, struct text *text)
{
    for (size_t i = first; i < family->checker_count; i++)
        if (are_alike(family, first, i))
            text_printf(text, "%s%s", i == first ? "" : ", ", family->checkers[i].url);
    text_append_str(text, ": ");
}

void checker_advice_put(const struct family_report *family, struct text *text)
{
    size_t kinds = 0;
    for (size_t i = 0; i < family->checker_count; i++)
        kinds += is_first_of_its_kind(family, i);

    const char *between = "";
    for (size_t i = 0; i < family->checker_count; i++) {
        if (!is_first_of_its_kind(family, i))
            continue;
        text_append_str(text, between);
        if (kinds > 1)
            urls_put(family, i, text);
        text_append_str(text, remedy_of(&family->checkers[i].result));
        between = "; ";
    }
}
