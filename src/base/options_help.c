/* SPDX-License-Identifier: MIT */
#include "base/options.h"

#define OPTION_WIDTH 17 /* the longest: on-change COMMAND */
#define USAGE_WIDTH  35 /* the longest: [verify] [OPTION]... [CHECKER]... */

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

void options_print_help(const struct option_table *table, FILE *out)
{
    for (size_t i = 0; i < table->command_count; i++)
        usage_print(table, i, out);
    fputc('\n', out);
    for (size_t i = 0; i < table->row_count; i++) {
        const struct option_row *row = &table->rows[i];
        char line[64];
        snprintf(line, sizeof line, "%s%s%s", row->name, row->value ? " " : "",
                 row->value ? row->value : "");
        fprintf(out, row->letter ? "  -%c, " : "    %c ", row->letter ? row->letter : ' ');
        fprintf(out, "--%-*s %s\n", OPTION_WIDTH, line, row->help);
    }
    fprintf(out, "\n%s", table->notes);
}
