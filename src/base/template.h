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
 * that is NULL. A value is appended as it is: braces in it mean nothing, so that words from
 * the network cannot name a placeholder. A brace without its partner and a name that is not
 * among `words` are faults of the sentence: returns false and marks the text as failed. */
bool template_expand(const char *sentence, const struct template_word *words,
                     const void *ctx, struct text *text);
