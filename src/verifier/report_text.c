/* SPDX-License-Identifier: MIT
 *
 * The report for people: on a terminal laid out and coloured, elsewhere one fact a line.
 */
#include "verifier/report.h"

#include "verifier/advice.h"

#include <stdio.h>
#include <stdlib.h>
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

/* Words of one line; what would pass the terminal's edge goes on below, indented. */
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

/* After what is `column` wide already. */
static void sentence_put(const struct sheet *sheet, const char *words, size_t column)
{
    struct flow flow = {.sheet = sheet, .column = column, .indent = column};
    flow_put(&flow, COLOUR_NONE, words);
    text_append_str(sheet->text, "\n");
}

/* "2026-03-29T14:05:09+02:00": local time and its offset, ISO 8601. */
static void time_put(const struct sheet *sheet)
{
    struct tm parts;
    char text[32];
    char offset[8];
    localtime_r(&sheet->report->time.tv_sec, &parts);
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    strftime(offset, sizeof offset, "%z", &parts);
    snprintf(text + len, sizeof text - len, "%.3s:%s", offset, offset + 3);

    text_append_str(sheet->text, sheet->style->is_terminal ? "" : "time ");
    colour_put(sheet, COLOUR_BOLD, text);
    text_append_str(sheet->text, "\n");
}

static void family_prefix(const struct sheet *sheet, const struct family_report *half)
{
    if (sheet->style->is_terminal)
        text_printf(sheet->text, "%*s", INDENT, "");
    else
        text_printf(sheet->text, "ipv%d ", family_number(half->family));
}

/* --- heading and checkers ------------------------------------------------------------- */

static void heading_put(const struct sheet *sheet, const struct family_report *half)
{
    char ip[ADDRESS_TEXT_SIZE];
    const char *address =
        half->has_public ? address_format(&half->public_address, ip) : "address not known";
    if (!sheet->style->is_terminal) {
        text_printf(sheet->text, "ipv%d address %s\n", family_number(half->family),
                    half->has_public ? address : "unknown");
        return;
    }
    struct text line;
    text_init(&line, LINE_MAX);
    text_printf(&line, "IPv%d, %s", family_number(half->family), address);
    colour_put(sheet, COLOUR_BOLD, line.data);
    text_append_str(sheet->text, "\n");
    text_done(&line);
}

/* A probe's own engine is worth a word only when it could not do its work. */
static void checker_put(const struct sheet *sheet, const struct family_report *half,
                        const struct report_checker *checker)
{
    const struct checker_result *result = &checker->result;
    bool has_failed = result->failure != FAILURE_NONE;
    struct flow flow = {.sheet = sheet, .column = INDENT, .indent = 2 * INDENT};
    struct text words;
    if (!checker->url && !has_failed)
        return;

    family_prefix(sheet, half);
    text_init(&words, LINE_MAX);
    if (checker->url) {
        text_printf(&words, "checker %s:", checker->url);
        flow_put(&flow, COLOUR_NONE, words.data);
        text_reset(&words);
    }
    if (has_failed) {
        flow_put(&flow, COLOUR_YELLOW, checker->url ? "failed:" : "could not try:");
        text_append_str(&words, result->message);
    } else {
        text_printf(&words, "answered in %.1f s%s", span_to_seconds(result->duration),
                    result->is_plain ? ", knows no proof" : "");
    }
    flow_put(&flow, COLOUR_NONE, words.data);
    text_append_str(sheet->text, "\n");
    text_done(&words);
}

/* --- the table ------------------------------------------------------------------------ */

static enum colour colour_of(const struct report *report, const struct family_report *half,
                             size_t index)
{
    const struct finding *finding = &half->findings[index];
    if (finding->is_good && !half->is_advertised[index])
        return COLOUR_YELLOW;
    if (finding->is_good)
        return COLOUR_GREEN;
    return finding->cause == CAUSE_UNKNOWN || report->is_probe ? COLOUR_YELLOW : COLOUR_RED;
}

static void range_format(const struct family_report *half, size_t first, size_t last,
                         char *ret, size_t size)
{
    if (first == last)
        snprintf(ret, size, "%u", half->ports[first]);
    else
        snprintf(ret, size, "%u-%u", half->ports[first], half->ports[last]);
}

/* What a probe adds to a state: ": Connection refused, 0.1-0.3 ms". */
static void probe_detail_put(const struct family_report *half, size_t first, size_t last,
                             struct text *text)
{
    const struct remote_verdict *verdicts = half->checkers[0].result.verdicts;
    const struct remote_verdict *least = NULL;
    const struct remote_verdict *most = NULL;
    for (size_t i = first; verdicts && i <= last; i++) {
        if (!verdicts[i].has_rtt)
            continue;
        if (!least || verdicts[i].rtt_ms < least->rtt_ms)
            least = &verdicts[i];
        if (!most || verdicts[i].rtt_ms > most->rtt_ms)
            most = &verdicts[i];
    }
    /* The label of an unreachable port has its reason already. */
    if (verdicts && verdicts[first].state != PORT_STATE_UNREACHABLE &&
        verdicts[first].words[0])
        text_printf(text, ": %s", verdicts[first].words);
    if (!least)
        return;
    text_printf(text, ", %.1f", least->rtt_ms);
    if (most->rtt_ms - least->rtt_ms >= 0.1)
        text_printf(text, "-%.1f", most->rtt_ms);
    text_append_str(text, " ms");
}

static void run_put(const struct sheet *sheet, const struct family_report *half,
                    size_t first, size_t last)
{
    char range[16];
    struct text label;
    text_init(&label, LINE_MAX);
    range_format(half, first, last, range, sizeof range);
    advice_label(sheet->report, half, first, &label);
    if (sheet->report->is_probe)
        probe_detail_put(half, first, last, &label);

    family_prefix(sheet, half);
    text_printf(sheet->text, sheet->style->is_terminal ? "%-13s" : "%s ", range);
    colour_put(sheet, colour_of(sheet->report, half, first), label.data);
    text_append_str(sheet->text, "\n");
    text_done(&label);
}

static void table_put(const struct sheet *sheet, const struct family_report *half)
{
    for (size_t first = 0; first < half->port_count;) {
        size_t last = report_run_end(half, first);
        run_put(sheet, half, first, last);
        first = last + 1;
    }
}

/* --- causes --------------------------------------------------------------------------- */

static void cause_put(const struct sheet *sheet, const struct family_report *half,
                      size_t index)
{
    struct text cause;
    struct text remedy;
    text_init(&cause, LINE_MAX);
    text_init(&remedy, LINE_MAX);
    advice_cause(sheet->report, half, index, &cause);
    advice_remedy(sheet->report, half, index, &remedy);

    family_prefix(sheet, half);
    text_append_str(sheet->text, "why: ");
    sentence_put(sheet, cause.data, INDENT + 5);
    if (remedy.len > 0) {
        family_prefix(sheet, half);
        text_append_str(sheet->text, sheet->style->is_terminal ? "do:  " : "do: ");
        sentence_put(sheet, remedy.data, INDENT + 5);
    }
    text_done(&cause);
    text_done(&remedy);
}

static void causes_put(const struct sheet *sheet, const struct family_report *half)
{
    bool *is_told = calloc(half->port_count + 1, sizeof *is_told);
    for (size_t i = 0; is_told && i < half->port_count; i++) {
        if (is_told[i] || sheet->report->is_probe || half->findings[i].cause == CAUSE_GOOD)
            continue;
        cause_put(sheet, half, i);
        for (size_t j = i; j < half->port_count; j++)
            is_told[j] = is_told[j] || report_ports_alike(half, i, j);
    }
    free(is_told);
}

/* --- the end -------------------------------------------------------------------------- */

static void advertised_put(const struct sheet *sheet, const struct family_report *half)
{
    struct text ports;
    if (!half->is_known)
        return;

    text_init(&ports, LINE_MAX);
    report_format_advertised(half, &ports);
    family_prefix(sheet, half);
    colour_put(sheet, COLOUR_BOLD, sheet->report->is_probe ? "open:" : "advertise:");
    text_printf(sheet->text, " %s\n", ports.len > 0 ? ports.data : "nothing");
    text_done(&ports);
}

static void half_put(const struct sheet *sheet, const struct family_report *half)
{
    heading_put(sheet, half);
    for (size_t i = 0; i < half->checker_count; i++)
        checker_put(sheet, half, &half->checkers[i]);
    if (half->is_known)
        table_put(sheet, half);
    causes_put(sheet, half);
    advertised_put(sheet, half);
}

void report_text(const struct report *report, const struct report_style *style,
                 struct text *text)
{
    const struct sheet sheet = {.report = report, .style = style, .text = text};
    bool is_first = true;
    if (style->has_time)
        time_put(&sheet);
    for (enum family family = 0; family < FAMILY_COUNT; family++) {
        if (!report->families[family])
            continue;
        if (!is_first && style->is_terminal)
            text_append_str(text, "\n");
        half_put(&sheet, report->families[family]);
        is_first = false;
    }
}
