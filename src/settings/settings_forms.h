/* SPDX-License-Identifier: MIT
 *
 * The table of settings in the formats of the documentation. For the build and its tests;
 * not part of port-checker.
 */
#pragma once

#include <stdio.h>

/* As a commented `.env`; as /etc/port-checker.env, which allows callers only their own
 * address; as mdoc for the manual page; as a Markdown table. */
void settings_form_example(FILE *out);
void settings_form_unit(FILE *out);
void settings_form_manual(FILE *out);
void settings_form_markdown(FILE *out);
