/* SPDX-License-Identifier: MIT */
#include "settings/settings_forms.h"

#include "base/text.h"
#include "settings/settings_table.h"

#include <assert.h>
#include <string.h>

#define MAN_LINE_MAX 78 /* mandoc wants source lines under 80 bytes */

/* --- .env.example and /etc/port-checker.env ------------------------------------------ */

/* All settings, commented out but for `set`, which has `value`. */
static void print_settings(const char *set, const char *value, FILE *out)
{
    for (size_t id = 0; id < SETTING_COUNT; id++) {
        const struct setting *row = &settings_table[id];
        if (settings_sections[id])
            fprintf(out, "\n# === %s ===\n", settings_sections[id]);
        fputc('\n', out);
        setting_print_help("# ", row, out);
        if (*row->unset)
            fprintf(out, "# Not set: %s.\n", row->unset);
        bool is_set = strcmp(row->name, set) == 0;
        fprintf(out, "%s%s=%s\n", is_set ? "" : "#", row->name,
                is_set ? value : row->default_text);
    }
}

void settings_form_example(FILE *out)
{
    fputs(
        "# Settings of port-checker. Copy this file to .env in the working directory, or\n"
        "# name it with --env-file. Lines that are commented out show the defaults. The\n"
        "# environment overrides this file; an empty value counts as not set.\n",
        out);
    print_settings("", "", out);
}

void settings_form_unit(FILE *out)
{
    fputs("# Settings of port-checker.service. After a change: systemctl reload "
          "port-checker\n"
          "# Lines that are commented out show the defaults; an empty value counts as not\n"
          "# set. PORT_CHECKER_USER has no effect here: the unit sets the user.\n",
          out);
    print_settings("PORT_CHECKER_TARGETS", "caller", out);
}

/* --- the manual page: mdoc(7) ------------------------------------------------------ */

/* Appends a word: code in bold, hyphens that can be copied, and no roff requests. */
static void append_roff_word(struct text *line, const char *word, size_t len, bool *is_code)
{
    if (line->len == 0 && (word[0] == '.' || word[0] == '\''))
        text_append_str(line, "\\&");
    for (size_t i = 0; i < len; i++) {
        if (word[i] == '`') {
            text_append_str(line, *is_code ? "\\fR" : "\\fB");
            *is_code = !*is_code;
        } else if (word[i] == '-' || word[i] == '\\') {
            text_append_str(line, word[i] == '-' ? "\\-" : "\\e");
        } else {
            text_append(line, &word[i], 1);
        }
    }
}

static void flush_line(struct text *line, FILE *out)
{
    if (line->len > 0)
        fprintf(out, "%s\n", line->data);
    text_reset(line);
}

/* Starts each sentence on a new line, as mdoc wants it. */
static void print_roff(const char *text, FILE *out)
{
    AUTO_TEXT line = text_up_to(1024);
    const char *word;
    size_t len;
    bool is_paragraph;
    bool is_code = false;
    while (word_next(&text, &word, &len, &is_paragraph)) {
        if (is_paragraph || line.len + 1 + 2 * len > MAN_LINE_MAX)
            flush_line(&line, out);
        if (is_paragraph)
            fputs(".Pp\n", out);
        if (line.len > 0)
            text_append_str(&line, " ");
        append_roff_word(&line, word, len, &is_code);
        if (word[len - 1] == '.')
            flush_line(&line, out);
    }
    flush_line(&line, out);
    assert(!line.failed && !is_code);
}

void settings_form_manual(FILE *out)
{
    for (size_t id = 0; id < SETTING_COUNT; id++) {
        const struct setting *row = &settings_table[id];
        if (settings_sections[id])
            fprintf(out, "%s.Ss %s\n.Bl -tag -width Ds\n", id > 0 ? ".El\n" : "",
                    settings_sections[id]);
        fprintf(out, ".It Ev %s Pq default: %s\n", row->name, setting_shown_default(row));
        print_roff(row->help, out);
        fputs(".Pp\nAccepted:\n", out);
        print_roff(row->accepted, out);
    }
    fputs(".El\n", out);
}

/* --- Markdown --------------------------------------------------------------------- */

static void print_cell(const char *text, FILE *out)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\n')
            fputs("<br>", out);
        else if (*c == '|')
            fputs("\\|", out);
        else
            fputc(*c, out);
    }
}

void settings_form_markdown(FILE *out)
{
    fputs("| variable | default | accepted | |\n|---|---|---|---|\n", out);
    for (size_t id = 0; id < SETTING_COUNT; id++) {
        const struct setting *row = &settings_table[id];
        const char *quote = *row->default_text ? "`" : "";
        fprintf(out, "| `%s` | %s%s%s | ", row->name, quote, setting_shown_default(row),
                quote);
        print_cell(row->accepted, out);
        fputs(" | ", out);
        print_cell(row->help, out);
        fputs(" |\n", out);
    }
}
