/* SPDX-License-Identifier: MIT */
#include "base/template.h"

#include <stddef.h>
#include <string.h>

static const struct template_word *word_find(const struct template_word *words,
                                             const char *name, size_t len)
{
    while (words->name &&
           (strlen(words->name) != len || memcmp(words->name, name, len) != 0))
        words++;
    return words->name ? words : NULL;
}

bool template_expand(const char *sentence, const struct template_word *words,
                     const void *ctx, struct text *text)
{
    for (;;) {
        size_t len = strcspn(sentence, "{}");
        text_append(text, sentence, len);
        sentence += len;
        if (*sentence == '\0')
            return true;

        size_t name_len = *sentence == '{' ? strcspn(sentence + 1, "{}") : 0;
        bool is_closed = name_len > 0 && sentence[1 + name_len] == '}';
        const struct template_word *word =
            is_closed ? word_find(words, sentence + 1, name_len) : NULL;
        if (!word) {
            text->failed = true;
            return false;
        }
        word->put(ctx, text);
        sentence += name_len + 2;
    }
}
