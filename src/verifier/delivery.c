/* SPDX-License-Identifier: MIT */
#include "verifier/delivery.h"

#include "base/err.h"
#include "verifier/output.h"
#include "verifier/terminal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX    (16u << 20)
#define COLUMNS_MAX 120 /* sentences wider than this are hard to read */

enum status delivery_status(const struct report *report)
{
    switch (report_status(report)) {
    case REPORT_OK:
        return report->receipts && !report->receipts[0] ? STATUS_NO_RECEIPT : STATUS_OK;
    case REPORT_NOT_OK:
        return STATUS_NOT_OK;
    case REPORT_UNKNOWN:
        return STATUS_UNKNOWN;
    }
    return STATUS_SYSTEM;
}

/* https://no-color.org: any value that is not empty switches colours off. */
static struct report_style style_of_output(const struct arguments *arguments)
{
    const char *no_color = getenv("NO_COLOR");
    unsigned columns = terminal_columns(STDOUT_FILENO);
    return (struct report_style){
        .is_terminal = isatty(STDOUT_FILENO),
        .has_colours = terminal_is_capable(STDOUT_FILENO) && !(no_color && no_color[0]),
        .has_time = arguments->is_watching,
        .columns = columns < COLUMNS_MAX ? columns : COLUMNS_MAX,
    };
}

static char *text_make(const struct arguments *arguments, const struct report *report,
                       size_t *ret_len)
{
    struct report_style style = style_of_output(arguments);
    AUTO_TEXT text = text_up_to(TEXT_MAX);
    report_text(report, &style, &text);
    return text_take(&text, ret_len);
}

static void failures_print(const struct family_report *family)
{
    for (size_t i = 0; i < family->checker_count; i++)
        fprintf(stderr, "port-verifier: %s%s%s\n",
                family->checkers[i].url ? family->checkers[i].url : "",
                family->checkers[i].url ? ": " : "", family->checkers[i].result.message);
}

static bool are_lists_equal(const struct family_report *a, const struct family_report *b)
{
    return a->port_count == b->port_count &&
           memcmp(a->is_advertised, b->is_advertised,
                  a->port_count * sizeof *a->is_advertised) == 0;
}

/* The list of the families that are known: one line if they have the same, else a line for
 * each, "ipv4 7466". Of the others, standard error says why. */
static char *list_make(const struct report *report, size_t *ret_len)
{
    AUTO_TEXT text = text_up_to(TEXT_MAX);
    const struct family_report *known[FAMILY_COUNT];
    size_t count = 0;
    for (enum family which = 0; which < FAMILY_COUNT; which++) {
        const struct family_report *family = report->families[which];
        if (family && family->is_known)
            known[count++] = family;
        else if (family)
            failures_print(family);
    }
    bool is_one = count < 2 || are_lists_equal(known[0], known[1]);
    for (size_t i = 0; i < (is_one && count > 0 ? 1 : count); i++) {
        if (!is_one)
            text_printf(&text, "ipv%d ", family_number(known[i]->which));
        report_format_advertised(known[i], &text);
        text_append_str(&text, "\n");
    }
    if (count == 0)
        text_append_str(&text, "\n");
    return text_take(&text, ret_len);
}

bool delivery_print(const struct arguments *arguments, const struct report *report,
                    struct err *err)
{
    size_t len;
    char *data = arguments->is_json    ? report_json(report, &len)
                 : arguments->is_quiet ? list_make(report, &len)
                                       : text_make(arguments, report, &len);
    if (!data)
        return err_sys(err, ENOMEM, "report");

    bool is_written = fwrite(data, 1, len, stdout) == len && fflush(stdout) == 0;
    free(data);
    return is_written || err_sys(err, errno, "standard output");
}

bool delivery_save(const struct arguments *arguments, const struct report *report,
                   struct err *err)
{
    size_t len;
    if (!arguments->output)
        return true;

    char *data = report_json(report, &len);
    if (!data)
        return err_sys(err, ENOMEM, "report");
    bool is_saved = output_replace(arguments->output, data, len, err);
    free(data);
    return is_saved;
}

bool delivery_receipts(const struct arguments *arguments, const struct report *report,
                       struct err *err)
{
    const char *line = report->no_receipts;
    for (const char *end; line && (end = strchr(line, '\n')); line = end + 1)
        fprintf(stderr, "port-verifier: %.*s\n", (int)(end - line), line);
    if (!report->receipts || !report->receipts[0])
        return true;
    return output_replace(arguments->receipt, report->receipts, strlen(report->receipts),
                          err);
}

bool delivery_put(const struct arguments *arguments, const struct report *report,
                  struct err *err)
{
    struct err unprinted;
    bool is_saved = delivery_save(arguments, report, err);
    bool is_printed = delivery_print(arguments, report, &unprinted);
    if (is_saved && !is_printed)
        *err = unprinted;
    return is_saved && is_printed;
}
