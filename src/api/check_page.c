/* SPDX-License-Identifier: MIT */
#include "api/check_page.h"

#include "api/pages.h"
#include "base/template.h"
#include "net/scope.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define ROW_MAX       512 /* of HTML, for one row */
#define FRAME_MAX     8192

#define SENTENCES_MAX 5

/* --- the texts, which web/words.js shares ----------------------------------------- */

struct remedy {
    enum port_state state;
    bool is_ipv6; /* for IPv6 only */
    const char
        *sentences[SENTENCES_MAX]; /* what it means, then the steps; NULL ends the list */
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
    const char *title, *text;
};

struct trouble {
    unsigned status;  /* 0: any other */
    const char *code; /* NULL: any */
    const char *title, *text;
};

/* clang-format off */
static const struct remedy remedies[] = {
#define REMEDY(STATE, is_ipv6, ...) {PORT_STATE_##STATE, is_ipv6, {__VA_ARGS__}},
#include "api/page_words.def"
};

static const struct headline headlines[] = {
#define HEADLINE(is_public, OPEN, one, many) {is_public, WHICH_##OPEN, one, many},
#include "api/page_words.def"
};

static const struct refusal refusals[] = {
#define REFUSAL(REASON, title, text) {ACCESS_##REASON, title, text},
#include "api/page_words.def"
};

static const struct trouble troubles[] = {
#define PROBLEM(status, code, title, text) {status, code, title, text},
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

/* Whose address and ports a remedy names. */
struct subject {
    const char *address;
    size_t ports;
    size_t open;     /* the number of open ports */
    size_t judged;   /* the number of ports that are not LIMITED */
    size_t answered; /* before the address stopped answering; 0: unknown */
};

static void put_address(const void *ctx, struct text *text)
{
    text_append_str(text, ((const struct subject *)ctx)->address);
}

static void put_these(const void *ctx, struct text *text)
{
    const struct subject *subject = ctx;
    text_append_str(text, subject->ports == 1 ? "this port" : "these ports");
}

static void put_s(const void *ctx, struct text *text)
{
    const struct subject *subject = ctx;
    text_append_str(text, subject->ports == 1 ? "" : "s");
}

static void put_open(const void *ctx, struct text *text)
{
    text_printf(text, "%zu", ((const struct subject *)ctx)->open);
}

static void put_total(const void *ctx, struct text *text)
{
    text_printf(text, "%zu", ((const struct subject *)ctx)->ports);
}

static void put_judged(const void *ctx, struct text *text)
{
    text_printf(text, "%zu", ((const struct subject *)ctx)->judged);
}

static void put_when(const void *ctx, struct text *text)
{
    size_t answered = ((const struct subject *)ctx)->answered;
    if (answered > 0)
        text_printf(text, "after %zu port%s", answered, answered == 1 ? "" : "s");
    else
        text_append_str(text, "during the check");
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
    {"address", put_address}, {"ports", put_these}, {"s", put_s},
    {"these", put_these},     {"open", put_open},   {"total", put_total},
    {"judged", put_judged},   {"when", put_when},   {"asked", put_asked},
    {"checker", put_checker}, {NULL, NULL},
};

/* A port without a verdict must not be counted as one that cannot be reached. */
static const char *headline_of(bool is_public, const struct subject *subject)
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

static const struct remedy *remedy_of(enum port_state state, bool is_ipv6)
{
    size_t i = 0;
    while (remedies[i].state != state || (remedies[i].is_ipv6 && !is_ipv6))
        i++;
    return &remedies[i];
}

/* `This` is code. Changes `plain`. */
static void put_marked(struct text *html, char *plain)
{
    bool is_code = false;
    for (char *part; (part = strsep(&plain, "`")); is_code = !is_code) {
        text_append_str(html, is_code ? "<code>" : "");
        html_append(html, part);
        text_append_str(html, is_code ? "</code>" : "");
    }
}

static void put_sentence(struct text *html, const char *sentence,
                         const struct subject *subject)
{
    struct text plain;
    text_init(&plain, FRAME_MAX);
    bool is_known = template_expand(sentence, words, subject, &plain);
    assert(is_known);
    (void)is_known;
    if (plain.data)
        put_marked(html, plain.data);
    html->failed = html->failed || plain.failed;
    text_done(&plain);
}

static void put_remedy(struct text *html, const struct remedy *remedy,
                       const struct subject *subject)
{
    text_append_str(html, "<p>");
    put_sentence(html, remedy->sentences[0], subject);
    text_append_str(html, "</p>");
    if (!remedy->sentences[1])
        return;
    text_append_str(html, "<ul>");
    for (size_t i = 1; i < SENTENCES_MAX && remedy->sentences[i]; i++) {
        text_append_str(html, "<li>");
        put_sentence(html, remedy->sentences[i], subject);
        text_append_str(html, "</li>");
    }
    text_append_str(html, "</ul>");
}

static void begin(struct text *html, const char *class, const char *title,
                  const struct subject *subject)
{
    text_printf(html,
                "<section class=\"%s\" aria-labelledby=\"answer-title\">\n"
                "<h2 id=\"answer-title\">",
                class);
    put_sentence(html, title, subject);
    text_append_str(html, "</h2>\n");
}

static char *end(struct text *html)
{
    size_t len;
    text_append_str(html, "</section>\n");
    return text_take(html, &len);
}

/* ---- verdicts --------------------------------------------------------------------- */

void check_page_begin(struct check_page *page, const struct check_summary *summary,
                      const struct address *target)
{
    bool is_public = address_scope(target) == SCOPE_GLOBAL;
    const struct subject subject = {
        .ports = summary->ports,
        .open = summary->states[PORT_STATE_OPEN],
        .judged = summary->ports - summary->states[PORT_STATE_LIMITED],
    };

    *page = (struct check_page){
        .summary = summary,
        .is_ipv6 = address_family_number(target) == 6,
    };
    text_init(&page->html, FRAME_MAX + summary->ports * ROW_MAX);
    address_format(target, page->address);
    begin(&page->html, "answer", headline_of(is_public, &subject), &subject);
    if (summary->ports > 0)
        text_append_str(&page->html, "<table><thead><tr><th>Port</th><th>State</th>"
                                     "<th>Reason</th></tr></thead><tbody>\n");
}

static void put_row(struct check_page *page)
{
    const char *state = port_state_text(page->first.state);
    const char *error = port_verdict_error(&page->first);

    text_printf(&page->html, "<tr><td>%u", page->first.port);
    if (page->last != page->first.port)
        text_printf(&page->html, "&ndash;%u", page->last);
    text_printf(&page->html,
                "</td><td><span class=\"glyph\" data-state=\"%s\"></span>%s</td><td>",
                state, state);
    html_append(&page->html, error ? error : "answered");
    if (page->first.icmp.is_there)
        text_printf(&page->html, " (%s%s)", icmp_meaning(&page->first.icmp),
                    page->first.icmp.is_from_target ? ", from the address itself" : "");
    text_append_str(&page->html, "</td></tr>\n");
}

static bool are_alike(const struct port_verdict *a, const struct port_verdict *b)
{
    return a->state == b->state && a->errnum == b->errnum &&
           a->icmp.is_there == b->icmp.is_there && a->icmp.type == b->icmp.type &&
           a->icmp.code == b->icmp.code && a->icmp.is_from_target == b->icmp.is_from_target;
}

void check_page_add(struct check_page *page, const struct port_verdict *verdict)
{
    bool is_alike = page->count > 0 && verdict->port == page->last + 1 &&
                    are_alike(verdict, &page->first);
    if (!is_alike) {
        if (page->count > 0)
            put_row(page);
        page->first = *verdict;
    }
    page->last = verdict->port;
    page->count++;
}

static void put_remedies(struct check_page *page)
{
    text_append_str(&page->html, "<div class=\"card report\">\n");
    for (size_t i = 0; i < PORT_STATE_COUNT; i++) {
        const struct subject subject = {
            .address = page->address,
            .ports = page->summary->states[i],
            .answered = page->summary->limit.answered,
        };
        const char *state = port_state_text((enum port_state)i);
        if (page->summary->states[i] == 0)
            continue;
        text_printf(
            &page->html,
            "<section data-state=\"%s\"><h3><span class=\"glyph\" "
            "data-state=\"%s\"></span>%s <span class=\"count\">%zu</span></h3><div>",
            state, state, state, page->summary->states[i]);
        put_remedy(&page->html, remedy_of((enum port_state)i, page->is_ipv6), &subject);
        text_append_str(&page->html, "</div></section>\n");
    }
    text_append_str(&page->html, "</div>\n");
}

char *check_page_end(struct check_page *page)
{
    if (page->count > 0) {
        put_row(page);
        text_append_str(&page->html, "</tbody></table>\n");
        put_remedies(page);
    }
    return end(&page->html);
}

/* ---- anything else ---------------------------------------------------------------- */

static bool is_of(const struct trouble *trouble, unsigned status, const char *code)
{
    if (trouble->status == 0)
        return true;
    return trouble->status == status &&
           (!trouble->code || (code && strcmp(trouble->code, code) == 0));
}

static const struct trouble *trouble_of(unsigned status, const char *code)
{
    size_t i = 0;
    while (!is_of(&troubles[i], status, code))
        i++;
    return &troubles[i];
}

static char *make_problem(const char *title, const char *text, const char *detail)
{
    struct text html;

    text_init(&html, FRAME_MAX);
    begin(&html, "answer card problem", title, NULL);
    text_append_str(&html, "<p>");
    html_append(&html, text);
    text_append_str(&html, "</p>\n");
    if (detail) {
        text_append_str(&html, "<p class=\"hint\">");
        html_append(&html, detail);
        text_append_str(&html, "</p>\n");
    }
    return end(&html);
}

char *check_page_problem(enum problem problem, const char *detail)
{
    const struct trouble *trouble =
        trouble_of(problem_status(problem), problem_code(problem));
    return make_problem(trouble->title, trouble->text, detail);
}

char *check_page_refusal(enum access_reason reason, const char *detail)
{
    size_t i = 0;
    while (refusals[i].reason != reason)
        i++;
    return make_problem(refusals[i].title, refusals[i].text, detail);
}

char *check_page_violations(const struct violation_list *violations)
{
    struct text html;

    text_init(&html, FRAME_MAX + violations->count * 8 * VIOLATION_MESSAGE_SIZE);
    begin(&html, "answer card problem", trouble_of(422, NULL)->title, NULL);
    text_append_str(&html, "<ul>\n");
    for (size_t i = 0; i < violations->count; i++) {
        const struct violation_place *place = &violations->items[i].place;
        bool is_address = place->field && strcmp(place->field, "provider_ip") == 0;
        text_append_str(&html, is_address ? "<li>Address: " : "<li>Ports");
        if (place->field && place->has_index)
            text_printf(&html, ", item %zu", place->index + 1);
        if (!is_address)
            text_append_str(&html, ": ");
        html_append(&html, violations->items[i].message);
        text_append_str(&html, "</li>\n");
    }
    text_append_str(&html, "</ul>\n");
    return end(&html);
}
