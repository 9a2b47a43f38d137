/* SPDX-License-Identifier: MIT
 *
 * The table of settings in the forms in which people meet it. All texts come from
 * settings.def; only their dress is made here.
 */
#include "settings/settings.h"

#include "base/text.h"
#include "settings/settings_table.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define HELP_WIDTH   79 /* leaves the last of 80 columns free, where some terminals wrap */
#define VALUE_MAX    (SETTINGS_ORIGINS_MAX * 264ul)
#define MAN_LINE_MAX 78 /* mandoc wants sources under 80 bytes a line */

static const char *shown_default(const struct setting *row)
{
    return *row->default_text ? row->default_text : row->unset;
}

/* --- words ------------------------------------------------------------------------ */

/* The next word of a text. `*ret_is_paragraph` says that a newline stood before it. */
static bool word_next(const char **text, const char **ret_word, size_t *ret_len,
                      bool *ret_is_paragraph)
{
    size_t skipped = strspn(*text, " \n");
    *ret_is_paragraph = memchr(*text, '\n', skipped) != NULL;
    *ret_word = *text + skipped;
    *ret_len = strcspn(*ret_word, " \n");
    *text = *ret_word + *ret_len;
    return *ret_len > 0;
}

static size_t visible_len(const char *word, size_t len)
{
    size_t visible = 0;
    for (size_t i = 0; i < len; i++)
        visible += word[i] != '`';
    return visible;
}

/* Plain text without the backticks, every line behind `prefix` and within HELP_WIDTH. */
static void print_wrapped(const char *prefix, const char *text, FILE *out)
{
    size_t column = 0;
    const char *word;
    size_t len;
    bool is_paragraph;
    while (word_next(&text, &word, &len, &is_paragraph)) {
        size_t visible = visible_len(word, len);
        bool is_full = column + 1 + visible > HELP_WIDTH;
        if (column > 0 && (is_paragraph || is_full)) {
            fputc('\n', out);
            column = 0;
        }
        if (column == 0)
            column = (size_t)fprintf(out, "%s", prefix);
        else
            column += fputc(' ', out) == ' ';
        for (size_t i = 0; i < len; i++)
            if (word[i] != '`')
                fputc(word[i], out);
        column += visible;
    }
    fputc('\n', out);
}

static void print_accepted(const char *prefix, const struct setting *row, FILE *out)
{
    struct text line;
    text_init(&line, 1024);
    text_printf(&line, "Accepted: %s.", row->accepted);
    print_wrapped(prefix, line.data, out);
    text_done(&line);
}

/* --- help and .env.example -------------------------------------------------------- */

void settings_print_help(FILE *out)
{
    for (size_t id = 0; id < SETTING_COUNT; id++) {
        const struct setting *row = &settings_table[id];
        if (settings_sections[id])
            fprintf(out, "%s%s:\n", id > 0 ? "\n" : "", settings_sections[id]);
        fprintf(out, "  %s (default: %s)\n", row->name, shown_default(row));
        print_wrapped("      ", row->help, out);
        print_accepted("      ", row, out);
    }
}

void settings_print_example(FILE *out)
{
    fputs(
        "# Settings of port-checker. Copy this file to .env in the working directory, or\n"
        "# name it with --env-file. What is commented out shows the default. The\n"
        "# environment wins over this file; an empty value counts as not set.\n",
        out);
    for (size_t id = 0; id < SETTING_COUNT; id++) {
        const struct setting *row = &settings_table[id];
        if (settings_sections[id])
            fprintf(out, "\n# === %s ===\n", settings_sections[id]);
        fputc('\n', out);
        print_wrapped("# ", row->help, out);
        print_accepted("# ", row, out);
        if (*row->unset)
            fprintf(out, "# Not set: %s.\n", row->unset);
        fprintf(out, "#%s=%s\n", row->name, row->default_text);
    }
}

/* --- the manual page: mdoc(7) ------------------------------------------------------ */

/* One word: code in bold, hyphens that can be copied, nothing that roff would obey. */
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

/* Every sentence on a line of its own, as mdoc wants it. */
static void print_roff(const char *text, FILE *out)
{
    struct text line;
    text_init(&line, 1024);
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
    text_done(&line);
}

void settings_print_manual(FILE *out)
{
    for (size_t id = 0; id < SETTING_COUNT; id++) {
        const struct setting *row = &settings_table[id];
        if (settings_sections[id])
            fprintf(out, "%s.Ss %s\n.Bl -tag -width Ds\n", id > 0 ? ".El\n" : "",
                    settings_sections[id]);
        fprintf(out, ".It Ev %s Pq default: %s\n", row->name, shown_default(row));
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

void settings_print_markdown(FILE *out)
{
    fputs("| variable | default | accepted | |\n|---|---|---|---|\n", out);
    for (size_t id = 0; id < SETTING_COUNT; id++) {
        const struct setting *row = &settings_table[id];
        const char *quote = *row->default_text ? "`" : "";
        fprintf(out, "| `%s` | %s%s%s | ", row->name, quote, shown_default(row), quote);
        print_cell(row->accepted, out);
        fputs(" | ", out);
        print_cell(row->help, out);
        fputs(" |\n", out);
    }
}

/* --- effective values ------------------------------------------------------------- */

void settings_print_values(const struct settings *settings, FILE *out)
{
    struct text value;
    text_init(&value, VALUE_MAX + 4 * sizeof settings->tls_cert);
    for (size_t id = 0; id < SETTING_COUNT; id++) {
        const struct setting *row = &settings_table[id];
        text_reset(&value);
        row->kind->print(row, (const char *)settings + row->offset, &value);
        if (value.len > 0)
            fprintf(out, "%s=%s\n", row->name, value.data);
        else
            fprintf(out, "# %s is not set: %s\n", row->name, row->unset);
    }
    text_done(&value);
}
