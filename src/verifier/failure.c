/* SPDX-License-Identifier: MIT */
#include "verifier/failure.h"

#include "base/template.h"
#include "verifier/fetch.h"
#include "verifier/reply.h"

#include <assert.h>
#include <stddef.h>

#define MESSAGE_MAX (1u << 17) /* before it is cut */

/* clang-format off */
static const struct {
    const char *text;
    bool tries_next;
    const char *message, *remedy;
} rows[] = {
#define FAILURE(NAME, ...) [FAILURE_##NAME] = {__VA_ARGS__},
#include "verifier/failures.def"
#undef FAILURE
};
/* clang-format on */

static void put_words(const void *ctx, struct text *text)
{
    const struct failure_facts *facts = ctx;
    text_append_str(text, facts->words ? facts->words : "");
}

/* What the checker said, if it said something. */
static void put_detail(const void *ctx, struct text *text)
{
    const struct failure_facts *facts = ctx;
    if (facts->words && facts->words[0])
        text_printf(text, ": %s", facts->words);
}

static void put_family(const void *ctx, struct text *text)
{
    text_printf(text, "%d", family_number(((const struct failure_facts *)ctx)->family));
}

static void put_limit(const void *ctx, struct text *text)
{
    (void)ctx;
    text_printf(text, "%u", FETCH_REPLY_MAX);
}

static void put_retry_after(const void *ctx, struct text *text)
{
    const struct failure_facts *facts = ctx;
    if (facts->retry_after > 0)
        text_printf(text, ", retry after %u s", facts->retry_after);
}

static void put_status(const void *ctx, struct text *text)
{
    text_printf(text, "%u", ((const struct failure_facts *)ctx)->status);
}

static const struct template_word words[] = {
    {"address", put_words}, {"detail", put_detail}, {"family", put_family},
    {"limit", put_limit},   {"status", put_status}, {"retry_after", put_retry_after},
    {"url", put_words},     {"words", put_words},   {NULL, NULL},
};

const char *failure_text(enum failure failure)
{
    return rows[failure].text;
}

bool failure_tries_next(enum failure failure)
{
    return rows[failure].tries_next;
}

void failure_message(enum failure failure, const struct failure_facts *facts,
                     char ret[FAILURE_MESSAGE_SIZE])
{
    AUTO_TEXT message = text_up_to(MESSAGE_MAX);
    bool is_known = template_expand(rows[failure].message, words, facts, &message);
    assert(is_known);
    (void)is_known;
    reply_copy_printable(message.data, ret, FAILURE_MESSAGE_SIZE);
}

const char *failure_remedy(enum failure failure)
{
    return rows[failure].remedy;
}
