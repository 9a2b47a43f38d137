/* SPDX-License-Identifier: MIT */
#include "api/page_words.h"

#include "api/page_places.h"
#include "api/pages.h"
#include "base/template.h"

#include <assert.h>
#include <string.h>

#define SENTENCE_MAX  8192 /* of text */
#define SENTENCES_MAX 5

struct page_remedy {
    enum port_state state;
    bool is_ipv6;                         /* for IPv6 only */
    const char *sentences[SENTENCES_MAX]; /* what it means, then the steps; or NULL */
};

enum which {
    WHICH_ALL,
    WHICH_SOME,
    WHICH_NONE,
};

struct headline {
    bool is_public; /* of an address that the whole internet can reach */
    enum which open;
    const char *one, *many;
};

struct refusal {
    enum access_reason reason;
    struct page_message message;
};

struct trouble {
    unsigned status;  /* 0 = any other */
    const char *code; /* NULL = any */
    struct page_message message;
};

/* clang-format off */
static const struct page_remedy remedies[] = {
#define REMEDY(STATE, is_ipv6, ...) {PORT_STATE_##STATE, is_ipv6, {__VA_ARGS__}},
#include "api/page_words.def"
};

static const struct page_remedy place_remedies[] = {
#define PLACES(WORD, ...) [ADVICE_##WORD] = {.sentences = {__VA_ARGS__}},
#include "api/page_words.def"
};

static const struct headline headlines[] = {
#define HEADLINE(is_public, OPEN, one, many) {is_public, WHICH_##OPEN, one, many},
#include "api/page_words.def"
};

static const struct refusal refusals[] = {
#define REFUSAL(REASON, title, text) {ACCESS_##REASON, {title, text}},
#include "api/page_words.def"
};

static const struct trouble troubles[] = {
#define PROBLEM(status, code, title, text) {status, code, {title, text}},
#include "api/page_words.def"
};

enum {
    STATES_WITH_REMEDY = 0
#define REMEDY(STATE, is_ipv6, ...) +!(is_ipv6) /* NOLINT(bugprone-macro-parentheses) */
#include "api/page_words.def"
};
/* clang-format on */

_Static_assert((size_t)STATES_WITH_REMEDY == PORT_STATE_COUNT,
               "words.json: a state has no remedy");

static void put_address(const void *ctx, struct text *text)
{
    text_append_str(text, ((const struct page_subject *)ctx)->address);
}

static void put_these(const void *ctx, struct text *text)
{
    const struct page_subject *subject = ctx;
    text_append_str(text, subject->ports == 1 ? "this port" : "these ports");
}

static void put_s(const void *ctx, struct text *text)
{
    const struct page_subject *subject = ctx;
    text_append_str(text, subject->ports == 1 ? "" : "s");
}

static void put_open(const void *ctx, struct text *text)
{
    text_printf(text, "%zu", ((const struct page_subject *)ctx)->open);
}

static void put_total(const void *ctx, struct text *text)
{
    text_printf(text, "%zu", ((const struct page_subject *)ctx)->ports);
}

static void put_judged(const void *ctx, struct text *text)
{
    text_printf(text, "%zu", ((const struct page_subject *)ctx)->judged);
}

static void put_when(const void *ctx, struct text *text)
{
    size_t answered = ((const struct page_subject *)ctx)->answered;
    if (answered > 0)
        text_printf(text, "after %zu port%s", answered, answered == 1 ? "" : "s");
    else
        text_append_str(text, "during the check");
}

static void put_from(const void *ctx, struct text *text)
{
    const struct check_places *places = ((const struct page_subject *)ctx)->places;
    page_places_put_names(text, places, page_reach_of(places).from);
}

static void put_without(const void *ctx, struct text *text)
{
    const struct check_places *places = ((const struct page_subject *)ctx)->places;
    page_places_put_names(text, places, page_reach_of(places).without);
}

/* The arguments of port-verifier. Only the browser knows the URL of the page. */
static void put_asked(const void *ctx, struct text *text)
{
    (void)ctx;
    text_append_str(text, "-p PORTS ");
}

static void put_checker(const void *ctx, struct text *text)
{
    (void)ctx;
    text_append_str(text, "URL-OF-THIS-PAGE");
}

/* The page lists the ports themselves in the table above. */
static const struct template_word words[] = {
    {"address", put_address},
    {"ports", put_these},
    {"s", put_s},
    {"these", put_these},
    {"open", put_open},
    {"total", put_total},
    {"judged", put_judged},
    {"when", put_when},
    {"from", put_from},
    {"without", put_without},
    {"asked", put_asked},
    {"checker", put_checker},
    {NULL, NULL},
};

/* A port without a verdict must not be counted as one that cannot be reached. */
const char *page_words_headline(bool is_public, const struct page_subject *subject)
{
    if (subject->judged < subject->ports)
        return "Incomplete: verdicts for {judged} of {total} port{s}.";

    enum which open = subject->open == 0                ? WHICH_NONE
                      : subject->open == subject->ports ? WHICH_ALL
                                                        : WHICH_SOME;
    size_t i = 0;
    while (headlines[i].is_public != is_public || headlines[i].open != open)
        i++;
    size_t told = subject->open > 0 ? subject->open : subject->ports;
    return told == 1 ? headlines[i].one : headlines[i].many;
}

const struct page_remedy *page_words_remedy(enum port_state state, bool is_ipv6)
{
    size_t i = 0;
    while (remedies[i].state != state || (remedies[i].is_ipv6 && !is_ipv6))
        i++;
    return &remedies[i];
}

const struct page_remedy *page_words_place_remedy(enum page_advice advice)
{
    return &place_remedies[advice];
}

/* Changes `plain`. */
static void put_marked(struct text *html, char *plain)
{
    bool is_code = false;
    for (char *part; (part = strsep(&plain, "`")); is_code = !is_code) {
        text_append_str(html, is_code ? "<code>" : "");
        html_append(html, part);
        text_append_str(html, is_code ? "</code>" : "");
    }
}

void page_words_put(struct text *html, const char *sentence,
                    const struct page_subject *subject)
{
    struct text plain;
    text_init(&plain, SENTENCE_MAX);
    bool is_known = template_expand(sentence, words, subject, &plain);
    assert(is_known);
    (void)is_known;
    if (plain.data)
        put_marked(html, plain.data);
    html->failed = html->failed || plain.failed;
    text_done(&plain);
}

void page_words_put_remedy(struct text *html, const struct page_remedy *remedy,
                           const struct page_subject *subject)
{
    text_append_str(html, "<p>");
    page_words_put(html, remedy->sentences[0], subject);
    text_append_str(html, "</p>");
    if (!remedy->sentences[1])
        return;
    text_append_str(html, "<ul>");
    for (size_t i = 1; i < SENTENCES_MAX && remedy->sentences[i]; i++) {
        text_append_str(html, "<li>");
        page_words_put(html, remedy->sentences[i], subject);
        text_append_str(html, "</li>");
    }
    text_append_str(html, "</ul>");
}

static bool is_of(const struct trouble *trouble, unsigned status, const char *code)
{
    if (trouble->status == 0)
        return true;
    return trouble->status == status &&
           (!trouble->code || (code && strcmp(trouble->code, code) == 0));
}

struct page_message page_words_problem(unsigned status, const char *code)
{
    size_t i = 0;
    while (!is_of(&troubles[i], status, code))
        i++;
    return troubles[i].message;
}

struct page_message page_words_refusal(enum access_reason reason)
{
    size_t i = 0;
    while (refusals[i].reason != reason)
        i++;
    return refusals[i].message;
}
