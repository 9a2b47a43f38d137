/* SPDX-License-Identifier: MIT */
#include "api/check_page.h"

#include "api/page_places.h"
#include "api/page_words.h"
#include "api/pages.h"
#include "net/scope.h"

#include <string.h>

#define ROW_MAX   512 /* of HTML, for one row */
#define FRAME_MAX 8192
#define RUNS_MAX  2048 /* of text, for the ports of one mix */

static void begin(struct text *html, const char *class, const char *title,
                  const struct page_subject *subject)
{
    text_printf(html,
                "<section class=\"%s\" aria-labelledby=\"answer-title\">\n"
                "<h2 id=\"answer-title\">",
                class);
    page_words_put(html, title, subject);
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
    const struct page_subject subject = {
        .ports = summary->ports,
        .open = summary->states[PORT_STATE_OPEN],
        .judged = summary->ports - summary->states[PORT_STATE_LIMITED],
    };

    *page = (struct check_page){
        .summary = summary,
        .is_ipv6 = address_family_number(target) == 6,
    };
    size_t row = ROW_MAX + (summary->places.places > 0 ? PAGE_PLACES_MAX : 0);
    text_init(&page->html, 2ul * FRAME_MAX + summary->ports * row);
    address_format(target, page->address);
    begin(&page->html, "answer", page_words_headline(is_public, &subject), &subject);
    if (summary->ports > 0)
        text_append_str(&page->html, "<table><thead><tr><th>Port</th><th>State</th>"
                                     "<th>Reason</th></tr></thead><tbody>\n");
}

static void put_range(struct text *text, uint16_t first, uint16_t last, const char *dash)
{
    text_printf(text, "%u", first);
    if (last != first)
        text_printf(text, "%s%u", dash, last);
}

static void put_row(struct check_page *page)
{
    const char *state = port_state_text(page->first.state);
    const char *error = port_verdict_error(&page->first);

    text_append_str(&page->html, "<tr><td>");
    put_range(&page->html, page->first.port, page->last, "&ndash;");
    text_printf(&page->html,
                "</td><td><span class=\"glyph\" data-state=\"%s\"></span>%s</td><td>",
                state, state);
    html_append(&page->html, error ? error : "answered");
    if (page->first.icmp.is_there)
        text_printf(&page->html, " (%s%s)", icmp_meaning(&page->first.icmp),
                    page->first.icmp.is_from_target ? ", from the address itself" : "");
    page_places_put(&page->html, &page->places, page->last == page->first.port);
    text_append_str(&page->html, "</td></tr>\n");
}

/* ---- what is advised about a row --------------------------------------------------- */

static bool is_mixed_alike(const struct page_mix *mix, const struct check_places *places)
{
    struct page_reach a = page_reach_of(&mix->places);
    struct page_reach b = page_reach_of(places);
    return a.from == b.from && a.without == b.without;
}

/* NULL = there are too many. */
static struct page_mix *mix_of(struct check_page *page)
{
    for (size_t i = 0; i < page->mix_count; i++)
        if (is_mixed_alike(&page->mixes[i], &page->places))
            return &page->mixes[i];
    if (page->mix_count == PAGE_MIXES_MAX)
        return NULL;

    struct page_mix *mix = &page->mixes[page->mix_count++];
    *mix = (struct page_mix){.places = page->places};
    text_init(&mix->runs, RUNS_MAX);
    return mix;
}

/* Where some places get through, advice about a missing forward would be wrong. */
static void count_row(struct check_page *page)
{
    size_t ports = 1u + page->last - page->first.port;
    struct page_reach reach = page_reach_of(&page->places);
    bool is_mixed = page_reach_differs(&reach);
    struct page_mix *mix = is_mixed ? mix_of(page) : NULL;
    if (mix) {
        text_append_str(&mix->runs, mix->count > 0 ? ", " : "");
        put_range(&mix->runs, page->first.port, page->last, "&ndash;");
        mix->count += ports;
    }

    if (page->first.state == PORT_STATE_LIMITED && page_reach_wants(&reach))
        page->undecided += ports;
    else if (page->first.state == PORT_STATE_OPEN || !is_mixed)
        page->told_states[page->first.state] += ports;
}

static void end_row(struct check_page *page)
{
    put_row(page);
    count_row(page);
}

static bool are_alike(const struct port_verdict *a, const struct port_verdict *b)
{
    return a->state == b->state && a->errnum == b->errnum &&
           a->icmp.is_there == b->icmp.is_there && a->icmp.type == b->icmp.type &&
           a->icmp.code == b->icmp.code && a->icmp.is_from_target == b->icmp.is_from_target;
}

void check_page_add(struct check_page *page, const struct port_verdict *verdict,
                    const struct check_places *places)
{
    static const struct check_places none = {0};
    places = places ? places : &none;
    bool is_alike = page->count > 0 && verdict->port == page->last + 1 &&
                    are_alike(verdict, &page->first) &&
                    page_places_alike(places, &page->places);
    if (!is_alike) {
        if (page->count > 0)
            end_row(page);
        page->first = *verdict;
        page->places = *places;
    }
    page->last = verdict->port;
    page->count++;
}

/* ---- the advice -------------------------------------------------------------------- */

static void put_section(struct text *html, const char *state, const char *name,
                        const char *runs, const struct page_remedy *remedy,
                        const struct page_subject *subject)
{
    text_printf(html,
                "<section data-state=\"%s\"><h3><span class=\"glyph\" "
                "data-state=\"%s\"></span>%s <span class=\"count\">%zu</span></h3><div>",
                state, state, name, subject->ports);
    if (runs)
        text_printf(html, "<p class=\"runs\">%s</p>", runs);
    page_words_put_remedy(html, remedy, subject);
    text_append_str(html, "</div></section>\n");
}

static void put_states(struct check_page *page)
{
    for (size_t i = 0; i < PORT_STATE_COUNT; i++) {
        const struct page_subject subject = {
            .address = page->address,
            .ports = page->told_states[i],
            .answered = page->summary->limit.answered,
        };
        const char *state = port_state_text((enum port_state)i);
        if (page->told_states[i] > 0)
            put_section(&page->html, state, state, NULL,
                        page_words_remedy((enum port_state)i, page->is_ipv6), &subject);
    }
}

static void put_of_places(struct check_page *page)
{
    const struct page_subject undecided = {.ports = page->undecided};
    if (page->undecided > 0)
        put_section(&page->html, "limited", "places missing", NULL,
                    page_words_place_remedy(ADVICE_UNDECIDED), &undecided);
    for (size_t i = 0; i < page->mix_count; i++) {
        struct page_mix *mix = &page->mixes[i];
        const struct page_subject subject = {.ports = mix->count, .places = &mix->places};
        /* text beyond its limit leaves out the ports, which the table has */
        put_section(&page->html, "open", "mixed", mix->runs.failed ? NULL : mix->runs.data,
                    page_words_place_remedy(ADVICE_DIFFER), &subject);
        text_done(&mix->runs);
    }
}

static void put_remedies(struct check_page *page)
{
    text_append_str(&page->html, "<div class=\"card report\">\n");
    put_states(page);
    put_of_places(page);
    text_append_str(&page->html, "</div>\n");
}

char *check_page_end(struct check_page *page)
{
    if (page->count > 0) {
        end_row(page);
        text_append_str(&page->html, "</tbody></table>\n");
        put_remedies(page);
    }
    return end(&page->html);
}

/* ---- anything else ---------------------------------------------------------------- */

static char *make_problem(struct page_message message, const char *detail)
{
    struct text html;

    text_init(&html, FRAME_MAX);
    begin(&html, "answer card problem", message.title, NULL);
    text_append_str(&html, "<p>");
    html_append(&html, message.text);
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
    return make_problem(page_words_problem(problem_status(problem), problem_code(problem)),
                        detail);
}

char *check_page_refusal(enum access_reason reason, const char *detail)
{
    return make_problem(page_words_refusal(reason), detail);
}

char *check_page_violations(const struct violation_list *violations)
{
    struct text html;

    text_init(&html, FRAME_MAX + violations->count * 8 * VIOLATION_MESSAGE_SIZE);
    begin(&html, "answer card problem", page_words_problem(422, NULL).title, NULL);
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
