/* SPDX-License-Identifier: MIT
 *
 * The options of port-checker as data. This file needs nothing else of the program: the
 * build generates the manual page and the completions from it. */
#include "base/options.h"

static const struct option_row rows[] = {
#define OPTION(take, ...) {__VA_ARGS__},
#include "service/options.def"
#undef OPTION
};

static const struct option_command commands[] = {{.name = NULL}};

const struct option_table options_table = {
    .program = "port-checker",
    .commands = commands,
    .command_count = 1,
    .rows = rows,
    .row_count = sizeof rows / sizeof *rows,
    .notes = "Settings are read from the environment, then from the file.\n",
};
