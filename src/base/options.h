/* SPDX-License-Identifier: MIT
 *
 * A command line as a table. The table is the only list of a program's options. The
 * command line is parsed with it, and --help, the manual page and the shell completions are
 * generated from it (options_doc.c, a build tool).
 *
 * Options may come before, between and after operands: --name VALUE, --name=VALUE, an
 * unambiguous beginning of a name, -n VALUE, -nVALUE; letters without a value may be
 * joined. After "--" all words are operands. No state is kept between two calls.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct err;

#define OPTIONS_MAX 32 /* rows of a table */

struct option_row {
    const char *name;    /* without its hyphens */
    char letter;         /* of the short form; '\0': none */
    bool is_list;        /* may be given several times; the values add up */
    bool is_last;        /* ends the parsing: --help, --version */
    const char *value;   /* "FILE", "COMMAND", ...; NULL: it takes no value */
    const char *example; /* an example of a value; NULL if it takes none */
    const char *offered; /* values to complete, separated by spaces; NULL: files for FILE,
                            commands for COMMAND, else nothing */
    const char
        *command;      /* the only commands that take it, separated by spaces; NULL: all */
    const char *needs; /* an option that it requires; or NULL */
    const char *help;  /* a phrase */
    const char *more;  /* sentences for the manual page, `code` in backticks; or NULL */
};

/* Whether the row applies to this command. */
static inline bool option_row_is_of(const struct option_row *row, const char *command)
{
    size_t len = strlen(command);
    for (const char *at = row->command; at; at = strchr(at, ' ')) {
        at += *at == ' ';
        if (strncmp(at, command, len) == 0 && (at[len] == ' ' || at[len] == '\0'))
            return true;
    }
    return !row->command;
}

/* The first one is the default. */
struct option_command {
    const char *name;     /* NULL: the program has no commands */
    const char *operands; /* for the usage; NULL: it takes none */
    const char *help;     /* a phrase; NULL if it is the only command */
};

struct option_table {
    const char *program;
    const struct option_command *commands;
    size_t command_count;
    const struct option_row *rows;
    size_t row_count;
    const char *operand_variable; /* the completions offer the words in it; or NULL */
    const char *notes;            /* the last lines of --help */
};

/* The program's table. Each program defines one. */
extern const struct option_table options_table;

/* Applies one option; `value` is NULL when it takes none. An invalid value is ERR_INVALID
 * with words that complete "must be ...". */
typedef bool(options_take_fn)(void *ctx, size_t row, const char *value, struct err *err);

/* What remains after the options. */
struct option_rest {
    size_t command; /* index in the table */
    bool is_ended;  /* by an `is_last` option: the remaining operands were not read */
    int operand_count;
    char **operands; /* inside argv */
};

/* Calls `take` for every option in the order given; moves the operands to the front of
 * argv. ERR_INVALID: one sentence with what was given, what is accepted, an example. */
bool options_parse(const struct option_table *table, int argc, char *argv[],
                   options_take_fn *take, void *ctx, struct option_rest *ret,
                   struct err *err);

/* Prints usage, options and notes. */
void options_print_help(const struct option_table *table, FILE *out);
