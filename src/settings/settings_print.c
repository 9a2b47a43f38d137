/* SPDX-License-Identifier: MIT
 *
 * What the program itself shows of its settings: the table as help, and the values.
 */
#include "settings/settings.h"

#include "base/text.h"
#include "settings/settings_table.h"

#include <stdbool.h>
#include <string.h>

#define HELP_WIDTH 79 /* some terminals wrap in the last of 80 columns */
#define VALUE_MAX  (SETTINGS_ORIGINS_MAX * 264ul)

const char *setting_shown_default(const struct setting *row)
{
    return *row->default_text ? row->default_text : row->unset;
}

/* --- words ------------------------------------------------------------------------ */

bool word_next(const char **text, const char **ret_word, size_t *ret_len,
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

/* Prints plain text without the backticks, each line after `prefix` and within
 * HELP_WIDTH. */
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

void setting_print_help(const char *prefix, const struct setting *row, FILE *out)
{
    AUTO_TEXT accepted = text_up_to(1024);
    text_printf(&accepted, "Accepted: %s.", row->accepted);
    print_wrapped(prefix, row->help, out);
    print_wrapped(prefix, accepted.data, out);
}

/* --- help ------------------------------------------------------------------------- */

void settings_print_help(FILE *out)
{
    for (size_t id = 0; id < SETTING_COUNT; id++) {
        const struct setting *row = &settings_table[id];
        if (settings_sections[id])
            fprintf(out, "%s%s:\n", id > 0 ? "\n" : "", settings_sections[id]);
        fprintf(out, "  %s (default: %s)\n", row->name, setting_shown_default(row));
        setting_print_help("      ", row, out);
    }
}

/* --- effective values ------------------------------------------------------------- */

void settings_print_values(const struct settings *settings, FILE *out)
{
    AUTO_TEXT value = text_up_to(VALUE_MAX + 4 * sizeof settings->tls_cert);
    for (size_t id = 0; id < SETTING_COUNT; id++) {
        const struct setting *row = &settings_table[id];
        text_reset(&value);
        row->kind->print(row, (const char *)settings + row->offset, &value);
        if (value.len > 0)
            fprintf(out, "%s=%s\n", row->name, value.data);
        else
            fprintf(out, "# %s is not set: %s\n", row->name, row->unset);
    }
}
