/* SPDX-License-Identifier: MIT
 *
 * The report for people: on a terminal with layout and colours, elsewhere one fact per
 * line.
 */
#include "verifier/report.h"

#include "verifier/advice.h"
#include "verifier/local_time.h"
#include "verifier/mapping_text.h"
#include "verifier/report_places.h"

#include <stdio.h>
#include <string.h>

#define LINE_MAX (1u << 16)
#define INDENT   2

enum colour {
    COLOUR_NONE,
    COLOUR_BOLD,
    COLOUR_RED,
    COLOUR_GREEN,
    COLOUR_YELLOW,
};

struct sheet {
    const struct report *report;
    const struct report_style *style;
    struct text *text;
};

static void colour_put_some(const struct sheet *sheet, enum colour colour,
                            const char *words, size_t len)
{
    static const char *const codes[] = {
        [COLOUR_NONE] = "",           [COLOUR_BOLD] = "\033[1m",
        [COLOUR_RED] = "\033[31m",    [COLOUR_GREEN] = "\033[32m",
        [COLOUR_YELLOW] = "\033[33m",
    };
    bool is_coloured = sheet->style->has_colours && colour != COLOUR_NONE;
    text_append_str(sheet->text, is_coloured ? codes[colour] : "");
    text_append(sheet->text, words, len);
    text_append_str(sheet->text, is_coloured ? "\033[0m" : "");
}

static void colour_put(const struct sheet *sheet, enum colour colour, const char *words)
{
    colour_put_some(sheet, colour, words, strlen(words));
}

/* Words of one line; those that would cross the edge of the terminal continue on the next
 * line, indented. */
struct flow {
    const struct sheet *sheet;
    size_t column; /* where the next word begins */
    size_t indent;
    bool has_words;
};

static void flow_put(struct flow *flow, enum colour colour, const char *words)
{
    const struct sheet *sheet = flow->sheet;
    size_t edge = sheet->style->is_terminal ? sheet->style->columns : SIZE_MAX;
    for (;;) {
        size_t len = strcspn(words, " ");
        if (flow->has_words && flow->column + 1 + len > edge) {
            text_printf(sheet->text, "\n%*s", (int)flow->indent, "");
            flow->column = flow->indent;
        } else if (flow->has_words) {
            text_append_str(sheet->text, " ");
            flow->column++;
        }
        colour_put_some(sheet, colour, words, len);
        flow->column += len;
        flow->has_words = true;
        if (words[len] == '\0')
            return;
        words += len + 1;
    }
}

/* After `column` columns of this line. */
static void sentence_put(const struct sheet *sheet, const char *words, size_t column)
{
    struct flow flow = {.sheet = sheet, .column = column, .indent = column};
    flow_put(&flow, COLOUR_NONE, words);
    text_append_str(sheet->text, "\n");
}

static void time_put(const struct sheet *sheet)
{
    AUTO_TEXT text = text_up_to(LINE_MAX);
    local_time_put(sheet->report->time.tv_sec, &text);
    text_append_str(sheet->text, sheet->style->is_terminal ? "" : "time ");
    colour_put(sheet, COLOUR_BOLD, text.data);
    text_append_str(sheet->text, "\n");
}

static void family_prefix(const struct sheet *sheet, const struct family_report *family)
{
    if (sheet->style->is_terminal)
        text_printf(sheet->text, "%*s", INDENT, "");
    else
        text_printf(sheet->text, "ipv%d ", family_number(family->which));
}

/* --- heading and checkers ------------------------------------------------------------- */

static void heading_put(const struct sheet *sheet, const struct family_report *family)
{
    char ip[ADDRESS_TEXT_SIZE];
    const char *address = family->has_public ? address_format(&family->public_address, ip)
                                             : "address unknown";
    if (!sheet->style->is_terminal) {
        text_printf(sheet->text, "ipv%d address %s\n", family_number(family->which),
                    family->has_public ? address : "unknown");
        return;
    }
    AUTO_TEXT line = text_up_to(LINE_MAX);
    text_printf(&line, "IPv%d, %s", family_number(family->which), address);
    colour_put(sheet, COLOUR_BOLD, line.data);
    text_append_str(sheet->text, "\n");
}

/* The engine of a probe is mentioned only if it failed. */
static void checker_put(const struct sheet *sheet, const struct family_report *family,
                        size_t index)
{
    const struct report_checker *checker = &family->checkers[index];
    const struct checker_result *result = &checker->result;
    bool has_failed = result->failure != FAILURE_NONE;
    struct flow flow = {.sheet = sheet, .column = INDENT, .indent = 2 * INDENT};
    AUTO_TEXT words = text_up_to(LINE_MAX);
    if (!checker->url && !has_failed)
        return;

    family_prefix(sheet, family);
    if (checker->url) {
        text_printf(&words, "checker %s:", checker->url);
        flow_put(&flow, COLOUR_NONE, words.data);
        text_reset(&words);
    }
    if (has_failed) {
        flow_put(&flow, COLOUR_YELLOW, checker->url ? "failed:" : "could not probe:");
        text_append_str(&words, result->message);
    } else {
        bool is_inside = result->has_local && result->vantage != VANTAGE_INTERNET;
        text_printf(&words, "answered in %.1f s%s", span_to_seconds(result->duration),
                    result->is_plain ? ", does not support proofs" : "");
        if (is_inside)
            text_printf(&words, ", from %s, not from the internet",
                        vantage_text(result->vantage));
        report_places_put_checker(family, index, &words);
    }
    flow_put(&flow, COLOUR_NONE, words.data);
    text_append_str(sheet->text, "\n");
}

/* Several uplinks, or a checker that sees a proxy. */
static void disagreement_put(const struct sheet *sheet, const struct family_report *family)
{
    AUTO_TEXT words = text_up_to(LINE_MAX);
    const char *between = "checkers see different addresses of this machine: ";
    if (!signs_have(family->signs, SIGN_ADDRESSES_DISAGREE))
        return;
    for (size_t i = 0; i < family->checker_count; i++) {
        const struct report_checker *checker = &family->checkers[i];
        char ip[ADDRESS_TEXT_SIZE];
        if (!checker->result.has_public)
            continue;
        text_printf(&words, "%s%s (%s)", between,
                    address_format(&checker->result.public_address, ip), checker->url);
        between = ", ";
    }
    family_prefix(sheet, family);
    sentence_put(sheet, words.data, INDENT);
}

/* --- the router ----------------------------------------------------------------------- */

static void protocols_put(const struct family_report *family, struct text *text)
{
    const struct mapping_summary *mapping = &family->mapping;
    router_view_format_protocols(&family->router, text);
    if (mapping->has_protocol && mapping->protocol == ROUTER_UPNP)
        text_printf(text, "%s%s", text->len > 0 ? ", " : "",
                    router_protocol_text(ROUTER_UPNP));
}

/* "outer address 45.12.7.7, 102 of 102 ports mapped". */
static void router_words_put(const struct family_report *family, struct text *text)
{
    AUTO_TEXT mapped = text_up_to(LINE_MAX);
    AUTO_TEXT spoken = text_up_to(1024);
    mapping_text_put(family, &mapped);
    router_view_format_protocols(&family->router, &spoken);
    if (family->router.answer.has_outer || (spoken.len > 0 && mapped.len == 0))
        router_view_format_outer(&family->router, text);
    text_append_str(text, text->len > 0 && mapped.len > 0 ? ", " : "");
    text_append_str(text, mapped.data);
}

/* Nothing about a router that does not answer, without --map: many do not. */
static void router_put(const struct sheet *sheet, const struct family_report *family)
{
    char ip[ADDRESS_TEXT_SIZE];
    AUTO_TEXT protocols = text_up_to(LINE_MAX);
    AUTO_TEXT words = text_up_to(LINE_MAX);
    AUTO_TEXT line = text_up_to(LINE_MAX);
    protocols_put(family, &protocols);
    router_words_put(family, &words);
    if (words.len == 0)
        return;
    if (family->router.is_asked)
        text_printf(&line, "router %s", address_format(&family->router.address, ip));
    if (protocols.len > 0)
        text_printf(&line, " (%s)", protocols.data);
    text_printf(&line, "%s%s", line.len > 0 ? ": " : "", words.data);
    family_prefix(sheet, family);
    sentence_put(sheet, line.data, INDENT);
}

static void unmapped_put(const struct sheet *sheet, const struct family_report *family)
{
    size_t at = 0;
    AUTO_TEXT words = text_up_to(LINE_MAX);
    text_append_str(&words, "not mapped ");
    while (mapping_text_put_next(family, &at, &words)) {
        family_prefix(sheet, family);
        sentence_put(sheet, words.data, INDENT);
        text_reset(&words);
        text_append_str(&words, "not mapped ");
    }
}

/* --- the table ------------------------------------------------------------------------ */

static enum colour colour_of(const struct report *report,
                             const struct family_report *family, size_t index)
{
    const struct finding *finding = &family->findings[index];
    if (finding->is_good && !family->is_advertised[index])
        return COLOUR_YELLOW;
    if (finding->is_good)
        return COLOUR_GREEN;
    return finding->cause == CAUSE_UNKNOWN || report->is_probe ? COLOUR_YELLOW : COLOUR_RED;
}

/* The last of the adjacent ports from `first` on that belong to the same group. */
static size_t run_end(const struct family_report *family, size_t first)
{
    size_t last = first;
    while (last + 1 < family->port_count &&
           family->ports[last + 1] == family->ports[last] + 1 &&
           family->group_of[last + 1] == family->group_of[first])
        last++;
    return last;
}

/* The label of a probe: "closed: Connection refused, 0.1-0.3 ms", or "unreachable: No route
 * to host (host administratively prohibited, sent by the target)". */
static void probe_label_put(const struct family_report *family, size_t first, size_t last,
                            struct text *text)
{
    const struct remote_verdict *verdicts = family->checkers[0].result.verdicts;
    const struct remote_verdict *least = NULL;
    const struct remote_verdict *most = NULL;
    for (size_t i = first; i <= last; i++) {
        if (!verdicts[i].has_rtt)
            continue;
        if (!least || verdicts[i].rtt_ms < least->rtt_ms)
            least = &verdicts[i];
        if (!most || verdicts[i].rtt_ms > most->rtt_ms)
            most = &verdicts[i];
    }
    text_append_str(text, port_state_text(verdicts[first].state));
    if (verdicts[first].words[0])
        text_printf(text, ": %s", verdicts[first].words);
    if (verdicts[first].icmp[0])
        text_printf(text, " (%s, %s by the target)", verdicts[first].icmp,
                    verdicts[first].is_icmp_from_target ? "sent" : "not sent");
    if (!least)
        return;
    text_printf(text, ", %.1f", least->rtt_ms);
    if (most->rtt_ms - least->rtt_ms >= 0.1)
        text_printf(text, "-%.1f", most->rtt_ms);
    text_append_str(text, " ms");
}

static void run_put(const struct sheet *sheet, const struct family_report *family,
                    size_t first, size_t last)
{
    char range[16];
    AUTO_TEXT label = text_up_to(LINE_MAX);
    int len = snprintf(range, sizeof range, "%u", family->ports[first]);
    if (last > first)
        snprintf(range + len, sizeof range - (size_t)len, "-%u", family->ports[last]);
    if (sheet->report->is_probe)
        probe_label_put(family, first, last, &label);
    else
        advice_put(sheet->report, family, &family->groups[family->group_of[first]],
                   ADVICE_LABEL, &label);

    family_prefix(sheet, family);
    text_printf(sheet->text, sheet->style->is_terminal ? "%-13s" : "%s ", range);
    colour_put(sheet, colour_of(sheet->report, family, first), label.data);
    text_append_str(sheet->text, "\n");
}

static void table_put(const struct sheet *sheet, const struct family_report *family)
{
    for (size_t first = 0; first < family->port_count;) {
        size_t last = run_end(family, first);
        run_put(sheet, family, first, last);
        first = last + 1;
    }
}

/* --- causes --------------------------------------------------------------------------- */

static void advice_line_put(const struct sheet *sheet, const struct family_report *family,
                            const struct port_group *group, enum advice_part part,
                            const char *lead)
{
    AUTO_TEXT sentence = text_up_to(LINE_MAX);
    advice_put(sheet->report, family, group, part, &sentence);
    if (sentence.len > 0) {
        family_prefix(sheet, family);
        text_printf(sheet->text, sheet->style->is_terminal ? "%-5s" : "%s ", lead);
        sentence_put(sheet, sentence.data, INDENT + 5);
    }
}

static void causes_put(const struct sheet *sheet, const struct family_report *family)
{
    for (size_t i = 0; i < family->group_count; i++) {
        advice_line_put(sheet, family, &family->groups[i], ADVICE_WHY, "why:");
        advice_line_put(sheet, family, &family->groups[i], ADVICE_REMEDY, "do:");
    }
}

/* --- the end -------------------------------------------------------------------------- */

static void summary_put(const struct sheet *sheet, const struct family_report *family)
{
    AUTO_TEXT summary = text_up_to(LINE_MAX);
    advice_put_summary(sheet->report, family, &summary);
    family_prefix(sheet, family);
    sentence_put(sheet, summary.data, INDENT);
}

static void advertised_put(const struct sheet *sheet, const struct family_report *family)
{
    AUTO_TEXT ports = text_up_to(LINE_MAX);
    report_format_advertised(family, &ports);
    family_prefix(sheet, family);
    colour_put(sheet, COLOUR_BOLD, sheet->report->is_probe ? "open:" : "advertise:");
    text_printf(sheet->text, " %s\n", ports.len > 0 ? ports.data : "none");
}

static void family_put(const struct sheet *sheet, const struct family_report *family)
{
    heading_put(sheet, family);
    for (size_t i = 0; i < family->checker_count; i++)
        checker_put(sheet, family, i);
    router_put(sheet, family);
    unmapped_put(sheet, family);
    disagreement_put(sheet, family);
    if (family->is_known)
        table_put(sheet, family);
    if (!sheet->report->is_probe)
        causes_put(sheet, family);
    if (!sheet->report->is_probe && family->is_known)
        summary_put(sheet, family);
    if (family->is_known)
        advertised_put(sheet, family);
}

void report_text(const struct report *report, const struct report_style *style,
                 struct text *text)
{
    const struct sheet sheet = {.report = report, .style = style, .text = text};
    bool is_first = true;
    if (style->has_time)
        time_put(&sheet);
    for (enum family which = 0; which < FAMILY_COUNT; which++) {
        if (!report->families[which])
            continue;
        if (!is_first && style->is_terminal)
            text_append_str(text, "\n");
        family_put(&sheet, report->families[which]);
        is_first = false;
    }
}
