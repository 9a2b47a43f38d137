/* SPDX-License-Identifier: MIT */
#include "api/check_page.h"

#include "api/pages.h"
#include "net/address.h"

#include <stdio.h>
#include <string.h>

#define ROW_MAX   512 /* of HTML, for one row */
#define FRAME_MAX 8192

/* For somebody at home, about so many ports. The page with JavaScript has more of it, in
 * web/words.js. */
static void put_remedy(struct text *html, enum port_state state, bool is_ipv6, size_t ports)
{
    const char *these = ports == 1 ? "this port" : "these ports";
    switch (state) {
    case PORT_STATE_OPEN:
        text_append_str(html, ports == 1
                                  ? "It answered. This is the port to advertise."
                                  : "They answered. These are the ports to advertise.");
        break;
    case PORT_STATE_CLOSED:
        text_append_str(html,
                        "Somebody answered, and refused. Start the provider first and "
                        "check while it runs; ");
        if (is_ipv6)
            text_append_str(html, "see that it listens on IPv6, too.");
        else
            text_printf(html, "see that the router forwards %s to this very computer.",
                        these);
        text_append_str(html, " A firewall that rejects looks the same.");
        break;
    case PORT_STATE_FILTERED:
        if (is_ipv6)
            text_printf(html,
                        "Nothing came back. IPv6 needs no port forward, but most routers "
                        "let nothing in: allow %s (TCP, over IPv6) for this computer in "
                        "the router, and in its own firewall.",
                        these);
        else
            text_printf(html,
                        "Nothing came back. Forward %s (TCP) in the router to this "
                        "computer, and allow %s in its firewall. If the internet address "
                        "on the router's status page is not the one that was checked, "
                        "there is another router or carrier-grade NAT in front of it: ask "
                        "your internet provider for a public address.",
                        these, ports == 1 ? "it" : "them");
        break;
    case PORT_STATE_UNREACHABLE:
        text_append_str(html,
                        "A router on the way says that there is no path. See that the "
                        "address is yours and that the machine is online; some firewalls "
                        "answer like this, too.");
        break;
    case PORT_STATE_COUNT:
        break;
    }
}

static void begin(struct text *html, const char *class, const char *title)
{
    text_printf(html, "<section class=\"%s\" aria-labelledby=\"answer-title\">\n", class);
    text_append_str(html, "<h2 id=\"answer-title\">");
    html_append(html, title);
    text_append_str(html, "</h2>\n");
}

static char *end(struct text *html)
{
    size_t len;
    text_append_str(html, "</section>\n");
    return text_take(html, &len);
}

/* ---- verdicts -------------------------------------------------------------------------
 */

void check_page_begin(struct check_page *page, const struct check_summary *summary,
                      const struct address *target)
{
    size_t open = summary->states[PORT_STATE_OPEN];
    char address[ADDRESS_TEXT_SIZE];
    char title[128 + ADDRESS_TEXT_SIZE];

    *page = (struct check_page){
        .summary = summary,
        .is_ipv6 = address_family_number(target) == 6,
    };
    text_init(&page->html, FRAME_MAX + summary->ports * ROW_MAX);
    snprintf(title, sizeof title,
             "%zu of %zu ports of %s can be reached from this checker.", open,
             summary->ports, address_format(target, address));
    begin(&page->html, "answer", title);
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
    text_append_str(&page->html, "</td></tr>\n");
}

void check_page_add(struct check_page *page, const struct port_verdict *verdict)
{
    bool is_alike = page->count > 0 && verdict->port == page->last + 1 &&
                    verdict->state == page->first.state &&
                    verdict->errnum == page->first.errnum;
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
        const char *state = port_state_text((enum port_state)i);
        if (page->summary->states[i] == 0)
            continue;
        text_printf(&page->html,
                    "<section data-state=\"%s\"><h3><span class=\"glyph\" "
                    "data-state=\"%s\"></span>%s <span class=\"count\">%zu</span></h3><p>",
                    state, state, state, page->summary->states[i]);
        put_remedy(&page->html, (enum port_state)i, page->is_ipv6,
                   page->summary->states[i]);
        text_append_str(&page->html, "</p></section>\n");
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

/* ---- anything else --------------------------------------------------------------------
 */

static const char *title_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *title;
    } titles[] = {
        {403, "This checker does not look at that address for you"},
        {422, "The checker did not understand that"},
        {429, "A short pause, please"},
        {503, "This checker cannot do it just now"},
    };
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++) {
        if (titles[i].status == status)
            return titles[i].title;
    }
    return "That did not work";
}

char *check_page_problem(enum problem problem, const char *detail)
{
    struct text html;

    text_init(&html, FRAME_MAX);
    begin(&html, "answer card problem",
          problem == PROBLEM_OTHER_SITE ? "This form was sent by another site"
                                        : title_of(problem_status(problem)));
    text_append_str(&html, "<p>");
    html_append(&html, detail);
    text_append_str(&html, "</p>\n");
    return end(&html);
}

char *check_page_violations(const struct violation_list *violations)
{
    struct text html;

    text_init(&html, FRAME_MAX + violations->count * 8 * VIOLATION_MESSAGE_SIZE);
    begin(&html, "answer card problem", title_of(422));
    text_append_str(&html, "<ul>\n");
    for (size_t i = 0; i < violations->count; i++) {
        const struct violation_place *place = &violations->items[i].place;
        bool is_address = place->field && strcmp(place->field, "provider_ip") == 0;
        text_append_str(&html, is_address ? "<li>Address: " : "<li>Ports: ");
        if (place->field && place->has_index)
            text_printf(&html, "number %zu: ", place->index + 1);
        html_append(&html, violations->items[i].message);
        text_append_str(&html, "</li>\n");
    }
    text_append_str(&html, "</ul>\n");
    return end(&html);
}
