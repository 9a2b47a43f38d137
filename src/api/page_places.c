/* SPDX-License-Identifier: MIT */
#include "api/page_places.h"

#include "api/pages.h"

#include <string.h>

struct page_reach page_reach_of(const struct check_places *places)
{
    struct page_reach reach = {0};
    for (size_t i = 0; i < places->count; i++) {
        const struct gather_view *view = &places->views[i];
        unsigned *set = view->reason                                ? &reach.missing
                        : view->verdict.state == PORT_STATE_OPEN    ? &reach.from
                        : view->verdict.state == PORT_STATE_LIMITED ? &reach.limited
                                                                    : &reach.without;
        *set |= 1u << i;
    }
    return reach;
}

bool page_reach_differs(const struct page_reach *reach)
{
    return reach->from != 0 && reach->without != 0;
}

bool page_reach_wants(const struct page_reach *reach)
{
    return reach->missing != 0 && reach->limited == 0;
}

static bool views_alike(const struct gather_view *a, const struct gather_view *b)
{
    if (strcmp(a->place, b->place) != 0 || !a->reason != !b->reason)
        return false;
    if (!a->reason)
        return a->verdict.state == b->verdict.state;
    return a->is_refusal == b->is_refusal && strcmp(a->reason, b->reason) == 0;
}

bool page_places_alike(const struct check_places *a, const struct check_places *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!views_alike(&a->views[i], &b->views[i]))
            return false;
    return true;
}

static const char *state_of(const struct gather_view *view)
{
    return view->reason ? "missing" : port_state_text(view->verdict.state);
}

/* "no_answer" is "no answer". */
static void put_reason(struct text *html, const struct gather_view *view)
{
    text_append_str(html, view->is_refusal ? " (refused: " : " (");
    for (const char *reason = view->reason; *reason; reason++) {
        const char piece[2] = {*reason == '_' ? ' ' : *reason};
        html_append(html, piece);
    }
    text_append_str(html, ")");
}

static void put_time(struct text *html, double ms)
{
    if (ms < 0.1)
        text_append_str(html, " under 0.1 ms");
    else
        text_printf(html, " %.*f ms", ms < 10 ? 1 : 0, ms);
}

static void put_view(struct text *html, const struct gather_view *view, bool has_times)
{
    const struct port_verdict *verdict = &view->verdict;
    text_printf(html, "%s %s", view->place, state_of(view));
    if (view->reason)
        put_reason(html, view);
    else if (has_times && verdict->has_rtt)
        put_time(html, span_to_ms(verdict->rtt));
}

void page_places_put(struct text *html, const struct check_places *places, bool has_times)
{
    if (places->count == 0)
        return;
    text_append_str(html, "<span class=\"dots\" aria-hidden=\"true\">");
    for (size_t i = 0; i < places->count; i++)
        text_printf(html, "<i data-state=\"%s\"></i>", state_of(&places->views[i]));
    text_append_str(html, "</span><span class=\"hint\">");
    for (size_t i = 0; i < places->count; i++) {
        text_append_str(html, i > 0 ? ", " : "");
        put_view(html, &places->views[i], has_times);
    }
    text_append_str(html, "</span>");
}

void page_places_put_names(struct text *text, const struct check_places *places,
                           unsigned set)
{
    bool is_first = true;
    for (size_t i = 0; i < places->count; i++) {
        unsigned rest = set >> i;
        if (!(rest & 1))
            continue;
        text_append_str(text, is_first ? "" : rest == 1 ? " and " : ", ");
        text_append_str(text, places->views[i].place);
        is_first = false;
    }
}
