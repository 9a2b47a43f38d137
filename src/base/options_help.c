/* SPDX-License-Identifier: MIT */
#include "base/options.h"

#define USAGE_WIDTH 35 /* the longest: [verify] [OPTION]... [CHECKER]... */

static void usage_print(const struct option_table *table, size_t index, FILE *out)
{
    const struct option_command *command = &table->commands[index];
    char line[120];
    int len = 0;
    if (command->name)
        len = snprintf(line, sizeof line, index == 0 ? "[%s] " : "%s ", command->name);
    snprintf(line + len, sizeof line - (size_t)len, "[OPTION]...%s%s",
             command->operands ? " " : "", command->operands ? command->operands : "");
    fprintf(out, "%s %s ", index == 0 ? "usage:" : "      ", table->program);
    if (command->help)
        fprintf(out, "%-*s %s\n", USAGE_WIDTH, line, command->help);
    else
        fprintf(out, "%s\n", line);
}

/* "on-change COMMAND" */
static int row_format(const struct option_row *row, char ret[64])
{
    return snprintf(ret, 64, "%s%s%s", row->name, row->value ? " " : "",
                    row->value ? row->value : "");
}

void options_print_help(const struct option_table *table, FILE *out)
{
    char line[64];
    int width = 0;
    for (size_t i = 0; i < table->command_count; i++)
        usage_print(table, i, out);
    for (size_t i = 0; i < table->row_count; i++) {
        int len = row_format(&table->rows[i], line);
        width = len > width ? len : width;
    }
    fputc('\n', out);
    for (size_t i = 0; i < table->row_count; i++) {
        const struct option_row *row = &table->rows[i];
        row_format(row, line);
        fprintf(out, row->letter ? "  -%c, " : "    %c ", row->letter ? row->letter : ' ');
        fprintf(out, "--%-*s %s\n", width, line, row->help);
    }
    fprintf(out, "\n%s", table->notes);
}
