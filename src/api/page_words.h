/* SPDX-License-Identifier: MIT
 *
 * The sentences of the page, as HTML for a browser without JavaScript. They come from
 * web/words.json, as those of web/words.js do. Pure.
 */
#pragma once

#include "api/check_reply.h"
#include "base/text.h"
#include "policy/access.h"
#include "probe/verdict.h"

#include <stdbool.h>
#include <stddef.h>

/* What the sentences speak of. */
struct page_subject {
    const char *address;
    size_t ports;
    size_t open;     /* of them */
    size_t judged;   /* of them: those that are not LIMITED */
    size_t answered; /* before the address stopped answering; 0 = unknown */
    const struct check_places *places; /* of which some reached it and others could not */
};

/* Appends a sentence: its {words} are replaced, and `text` between backticks is code.
 * `subject` may be NULL if the sentence has no words. */
void page_words_put(struct text *html, const char *sentence,
                    const struct page_subject *subject);

/* The sentence above the verdicts. `is_public`: the whole internet can reach the address.
 */
const char *page_words_headline(bool is_public, const struct page_subject *subject);

/* What a state means and what to do, or the same about ports whose places disagree or are
 * missing. */
struct page_remedy;

enum page_advice {
    ADVICE_DIFFER,
    ADVICE_UNDECIDED,
};

const struct page_remedy *page_words_remedy(enum port_state state, bool is_ipv6);
const struct page_remedy *page_words_place_remedy(enum page_advice advice);
void page_words_put_remedy(struct text *html, const struct page_remedy *remedy,
                           const struct page_subject *subject);

/* Why there is no verdict, as plain text. `code` NULL = only the status is known. */
struct page_message {
    const char *title, *text;
};

struct page_message page_words_problem(unsigned status, const char *code);
struct page_message page_words_refusal(enum access_reason reason);
