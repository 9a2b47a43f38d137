/* SPDX-License-Identifier: MIT
 *
 * Build tool: generates documentation from a program's table of options, with which it is
 * linked, and writes it to standard output.
 *
 *     options_doc bash|zsh|fish    the completion for that shell
 *     options_doc FILE             FILE with its line @OPTIONS@ replaced by them, as mdoc
 */
#include "base/options.h"
#include "base/page_fill.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const struct option_table *const table = &options_table;

static bool takes(const struct option_row *row, const char *value)
{
    return row->value && strcmp(row->value, value) == 0;
}

/* Whether the row applies to `command`. NULL: to any command. */
static bool is_of(const struct option_row *row, const char *command)
{
    return !command || option_row_is_of(row, command);
}

/* Prints `text` with `escaped` in place of every `c`. */
static void put(const char *text, char c, const char *escaped)
{
    for (; *text; text++)
        fputs(*text == c ? escaped : (const char[]){*text, '\0'}, stdout);
}

/* --- the manual page: mdoc(7) ------------------------------------------------------ */

/* Escapes hyphens so that they can be copied, sets code in bold, and starts each sentence
 * on a new line. No text begins with a space. */
static void manual_put(const char *text)
{
    bool is_code = false;
    for (; *text; text++) {
        if (*text == '`') {
            is_code = !is_code;
            fputs(is_code ? "\\fB" : "\\fR", stdout);
        } else if (*text == '-') {
            fputs("\\-", stdout);
        } else {
            bool is_between = *text == ' ' && text[-1] == '.';
            putchar(is_between ? '\n' : *text);
        }
    }
}

static void manual_row(const struct option_row *row)
{
    fputs(".It ", stdout);
    if (row->letter)
        printf("Fl %c , ", row->letter);
    fputs("Fl \\-", stdout);
    put(row->name, '-', "\\-");
    printf("%s%s\n", row->value ? " Ar " : "", row->value ? row->value : "");
    if (row->needs)
        printf("With\n.Fl \\-%s :\n", row->needs);
    putchar(row->needs ? *row->help : toupper((unsigned char)*row->help));
    manual_put(row->help + 1);
    puts(".");
    if (row->more) {
        manual_put(row->more);
        putchar('\n');
    }
}

static void manual_print(void)
{
    puts(".Bl -tag -width Ds");
    for (size_t i = 0; i < table->row_count; i++)
        manual_row(&table->rows[i]);
    puts(".El");
}

/* --- completions ------------------------------------------------------------------- */

static void head_put(const char *shell, const char *first_line)
{
    printf("%s# SPDX-License-Identifier: MIT\n"
           "# Completion of %s for %s. Made from the table of its options.\n\n",
           first_line, table->program, shell);
}

static void function_name_put(void)
{
    putchar('_');
    put(table->program, '-', "_");
}

static void commands_put(const char *between)
{
    for (size_t i = 0; table->commands->name && i < table->command_count; i++)
        printf("%s%s", i > 0 ? between : "", table->commands[i].name);
}

static void bash_options(const char *command)
{
    for (size_t i = 0; i < table->row_count; i++)
        if (is_of(&table->rows[i], command))
            printf(" --%s", table->rows[i].name);
}

static void bash_values(const struct option_row *row)
{
    if (!row->value)
        return;
    printf("    --%s", row->name);
    if (row->letter)
        printf(" | -%c", row->letter);
    if (takes(row, "FILE"))
        puts(")\n        compopt -o filenames\n"
             "        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
             "        return\n        ;;");
    else if (takes(row, "COMMAND"))
        puts(")\n        mapfile -t COMPREPLY < <(compgen -c -- \"$current\")\n"
             "        return\n        ;;");
    else
        printf(") candidates=\"%s\" ;;\n", row->offered ? row->offered : "");
}

static void bash_commands(void)
{
    fputs("    for word in \"${COMP_WORDS[@]:1:COMP_CWORD - 1}\"; do\n"
          "        case $word in\n        ",
          stdout);
    commands_put(" | ");
    puts(")\n            command=$word\n            break\n            ;;\n"
         "        esac\n    done\n    case $command in");
    for (size_t i = 0; i < table->command_count; i++) {
        printf("    %s) options=\"", table->commands[i].name);
        bash_options(table->commands[i].name);
        puts("\" ;;");
    }
    fputs("    *) options+=\" ", stdout);
    commands_put(" ");
    puts("\" ;;\n    esac");
}

static void bash_print(void)
{
    head_put("bash", "# shellcheck shell=bash\n");
    function_name_put();
    puts("()\n{\n"
         "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - "
         "1]}");
    fputs("    local candidates='' options=\"", stdout);
    bash_options(NULL);
    puts(table->commands->name ? "\" command='' word\n" : "\"\n");
    if (table->commands->name)
        bash_commands();
    puts("    case $previous in");
    for (size_t i = 0; i < table->row_count; i++)
        bash_values(&table->rows[i]);
    puts("    *)\n        candidates=$options");
    if (table->operand_variable)
        printf("        [[ $current == -* ]] || candidates+=\" ${%s//,/ }\"\n",
               table->operand_variable);
    puts("        ;;\n    esac\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$candidates\" -- \"$current\")\n\n"
         "    # The shell splits words at colons: the part before a colon must not be "
         "repeated.\n"
         "    if declare -F __ltrim_colon_completions >/dev/null; then\n"
         "        __ltrim_colon_completions \"$current\"\n    fi\n}\n");
    fputs("complete -F ", stdout);
    function_name_put();
    printf(" %s\n", table->program);
}

static void zsh_row(const struct option_row *row)
{
    fputs("    ", stdout);
    if (row->is_list)
        fputs("'*'", stdout);
    else if (row->letter)
        printf("'(-%c --%s)'", row->letter, row->name);
    if (row->letter)
        printf("{-%c%s,--%s%s}'[", row->letter, row->value ? "+" : "", row->name,
               row->value ? "=" : "");
    else
        printf("'--%s%s[", row->name, row->value ? "=" : "");
    put(row->help, '\'', "'\\''");
    putchar(']');
    if (row->value)
        printf(":%s:", row->value);
    if (takes(row, "FILE"))
        fputs("_files", stdout);
    else if (takes(row, "COMMAND"))
        fputs("_cmdstring", stdout);
    else if (row->value)
        printf("(%s)", row->offered ? row->offered : "");
    puts("'");
}

/* Prints the rows of this command that not all have. NULL: the rows that all have. */
static void zsh_rows(const char *command)
{
    for (size_t i = 0; i < table->row_count; i++) {
        const struct option_row *row = &table->rows[i];
        if (command ? row->command && option_row_is_of(row, command) : !row->command)
            zsh_row(row);
    }
}

/* Adds the command's own options unless another command is on the line. */
static void zsh_command(const char *command)
{
    const char *between = "[[ -n ${words[(r)(";
    for (size_t i = 0; i < table->command_count; i++)
        if (strcmp(table->commands[i].name, command) != 0) {
            printf("%s%s", between, table->commands[i].name);
            between = "|";
        }
    puts(")]} ]] || specs+=(");
    zsh_rows(command);
    puts(")");
}

static void zsh_print(void)
{
    printf("#compdef %s\n", table->program);
    head_put("zsh", "");
    puts("local -aU specs=(");
    zsh_rows(NULL);
    puts(")");
    for (size_t i = 0; table->commands->name && i < table->command_count; i++)
        zsh_command(table->commands[i].name);
    if (table->commands->name) {
        fputs("specs+=('*: :{compadd -- ", stdout);
        commands_put(" ");
        if (table->operand_variable)
            printf(" ${=%s//,/ }", table->operand_variable);
        puts("}')");
    }
    puts("_arguments -s -S : $specs");
}

static void fish_row(const struct option_row *row)
{
    printf("complete -c %s", table->program);
    for (size_t i = 0; row->command && i < table->command_count; i++)
        if (!option_row_is_of(row, table->commands[i].name))
            printf(" -n 'not __fish_seen_subcommand_from %s'", table->commands[i].name);
    if (row->letter)
        printf(" -s %c", row->letter);
    printf(" -l %s", row->name);
    if (takes(row, "FILE"))
        fputs(" -r -F", stdout);
    else if (takes(row, "COMMAND"))
        fputs(" -x -a '(__fish_complete_command)'", stdout);
    else if (row->value)
        printf(" -x -a '%s'", row->offered ? row->offered : "");
    fputs(" -d '", stdout);
    put(row->help, '\'', "\\'");
    puts("'");
}

static void fish_print(void)
{
    head_put("fish", "");
    printf("complete -c %s -f\n", table->program);
    for (size_t i = 0; table->commands->name && i < table->command_count; i++)
        printf("complete -c %s -n __fish_is_first_arg -a %s -d '%s'\n", table->program,
               table->commands[i].name, table->commands[i].help);
    if (table->operand_variable)
        printf("complete -c %s -a '(string split -n \" \" (string replace -a \",\" \" \" "
               "\"$%s\"))'\n",
               table->program, table->operand_variable);
    for (size_t i = 0; i < table->row_count; i++)
        fish_row(&table->rows[i]);
}

int main(int argc, char *argv[])
{
    static const struct {
        const char *shell;
        void (*print)(void);
    } shells[] = {{"bash", bash_print}, {"zsh", zsh_print}, {"fish", fish_print}};
    if (argc != 2) {
        fputs("usage: options_doc bash|zsh|fish|FILE\n", stderr);
        return 2;
    }
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (strcmp(argv[1], shells[i].shell) == 0) {
            shells[i].print();
            return EXIT_SUCCESS;
        }
    return page_fill(argv[1], "@OPTIONS@", manual_print);
}
