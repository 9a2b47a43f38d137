/* SPDX-License-Identifier: MIT
 *
 * The options of port-verifier as data. Nothing of the program is needed here: the build
 * makes the manual page and the completions from it.
 */
#include "base/options.h"

static const struct option_row rows[] = {
#define OPTION(take, ...) {__VA_ARGS__},
#include "verifier/options.def"
#undef OPTION
};

static const struct option_command commands[] = {
    {"verify", "[CHECKER]...", "check this machine"},
    {"probe", "HOST PORTS", "check HOST from here"},
    {"receipt", "FILE", "verify receipts"},
};

const struct option_table options_table = {
    .program = "port-verifier",
    .commands = commands,
    .command_count = sizeof commands / sizeof *commands,
    .rows = rows,
    .row_count = sizeof rows / sizeof *rows,
    .operand_variable = "PORT_VERIFIER_SERVERS",
    .notes =
        "CHECKER is a URL or a host name. Without it, PORT_VERIFIER_SERVERS is used.\n"
        "Exit status: 0: all required ports and at least one other are reachable;\n"
        "1: they are not; 2: wrong arguments; 3: no checker answered; 4: a system error;\n"
        "5: as 0, but no checker gave a receipt. With receipt: 0: all are valid;\n"
        "1: one is refused or expired; 3: no keys; 5: not verified, without --jwks.\n",
};
