/* SPDX-License-Identifier: MIT */
#include "verifier/delivery.h"

#include "base/err.h"
#include "verifier/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TEXT_MAX        (16u << 20)
#define DEFAULT_COLUMNS 80
#define COLUMNS_MAX     120 /* sentences wider than this are hard to read */

enum status delivery_status(const struct report *report)
{
    switch (report_status(report)) {
    case REPORT_OK:
        return STATUS_OK;
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
    struct report_style style = {.is_terminal = isatty(STDOUT_FILENO),
                                 .has_time = arguments->is_watching,
                                 .columns = DEFAULT_COLUMNS};
    const char *no_color = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    struct winsize window;
    style.has_colours = style.is_terminal && !(no_color && no_color[0]) &&
                        !(terminal && strcmp(terminal, "dumb") == 0);
    if (style.is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 &&
        window.ws_col > 0)
        style.columns = window.ws_col < COLUMNS_MAX ? window.ws_col : COLUMNS_MAX;
    return style;
}

static char *text_make(const struct arguments *arguments, const struct report *report,
                       size_t *ret_len)
{
    struct report_style style = style_of_output(arguments);
    struct text text;
    text_init(&text, TEXT_MAX);
    report_text(report, &style, &text);
    return text_take(&text, ret_len);
}

bool delivery_print(const struct arguments *arguments, const struct report *report,
                    struct err *err)
{
    size_t len;
    char *data =
        arguments->is_json ? report_json(report, &len) : text_make(arguments, report, &len);
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
