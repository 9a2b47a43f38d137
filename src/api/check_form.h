/* SPDX-License-Identifier: MIT
 *
 * Reads the form that the page sends without JavaScript, and makes from it the JSON that
 * check_request_parse() reads, so that both have the same rules. Pure.
 *
 *   provider_ip=192.0.2.7&ports=7466%2C+50800-50900
 *
 * Ports are separated by commas, semicolons and spaces; a dash between two numbers may have
 * spaces around it, and may be a typographical one. A word of digits becomes a number; any
 * other word remains text, so that its violation is reported.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define CHECK_FORM_ADDRESS_SIZE 72

struct check_form {
    char address[CHECK_FORM_ADDRESS_SIZE]; /* as typed, cut off; "" = the caller's own */
    char *ports;                           /* as typed; owned */
};

/* The last of two fields with the same name counts; unknown fields are ignored. Characters
 * other than ASCII and dashes become "?", control characters become spaces. False without
 * memory. */
bool check_form_parse(const char *body, size_t len, struct check_form *ret);
void check_form_done(struct check_form *form);

/* The JSON; `own` replaces an empty address. free() it; NULL without
 * memory. */
char *check_form_json(const struct check_form *form, const char *own, size_t *ret_len);
