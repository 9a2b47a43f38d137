/* SPDX-License-Identifier: MIT
 *
 * Build tool: generates documentation from the table of settings and writes it to standard
 * output.
 *
 *     settings_doc example     .env.example
 *     settings_doc unit        /etc/port-checker.env
 *     settings_doc markdown    the table of docs/settings.md
 *     settings_doc manual      the settings as mdoc
 *     settings_doc FILE        FILE with its line @SETTINGS@ replaced by them
 */
#include "settings/settings_forms.h"

#include "base/page_fill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *form;
    void (*print)(FILE *out);
} forms[] = {
    {"example", settings_form_example},
    {"unit", settings_form_unit},
    {"markdown", settings_form_markdown},
    {"manual", settings_form_manual},
};

static void print_manual(void)
{
    settings_form_manual(stdout);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: settings_doc example|unit|markdown|manual|FILE\n", stderr);
        return 2;
    }

    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(argv[1], forms[i].form) != 0)
            continue;
        forms[i].print(stdout);
        return EXIT_SUCCESS;
    }
    return page_fill(argv[1], "@SETTINGS@", print_manual);
}
