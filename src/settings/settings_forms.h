/* SPDX-License-Identifier: MIT
 *
 * The table of settings in the forms of the documentation. For the build and its tests:
 * port-checker has none of it.
 */
#pragma once

#include <stdio.h>

/* As a commented `.env`, as mdoc for the manual page, and as a Markdown table. */
void settings_form_example(FILE *out);
void settings_form_manual(FILE *out);
void settings_form_markdown(FILE *out);
