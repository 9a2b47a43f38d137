/* SPDX-License-Identifier: MIT
 *
 * Sentences with placeholders: "forward {ports} to {here}". Pure.
 */
#pragma once

#include "base/text.h"

#include <stdbool.h>

/* One placeholder: its name without braces, and what appends its value. */
struct template_word {
    const char *name;
    void (*put)(const void *ctx, struct text *text);
};

/* Appends `sentence` with each "{name}" replaced by its value. `words` ends with a name
 * that is NULL. A value is appended unchanged: braces in it have no meaning, so words from
 * the network cannot name a placeholder. Returns false and marks the text as failed if a
 * brace has no partner or a name is not in `words`. */
bool template_expand(const char *sentence, const struct template_word *words,
                     const void *ctx, struct text *text);
