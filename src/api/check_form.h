/* SPDX-License-Identifier: MIT
 *
 * Reads the form that the page sends where there is no JavaScript: two texts in, and out
 * comes the JSON that check_request_parse() reads, so that both have the same rules. Pure.
 *
 *   provider_ip=192.0.2.7&ports=7466%2C+50800-50900
 *
 * Ports stand between commas, semicolons and spaces; a dash between two numbers may have
 * spaces around it, and may be a typographical one. A word of digits is a number, any other
 * is handed on as text, for its violation to be told.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define CHECK_FORM_ADDRESS_SIZE 72

struct check_form {
    char address[CHECK_FORM_ADDRESS_SIZE]; /* as typed, cut off; "" = the caller's own */
    char *ports;                           /* as typed; owned */
};

/* The last of two fields with one name counts, others are ignored. What is neither ASCII
 * nor a dash becomes "?", control characters become spaces. False without memory. */
bool check_form_parse(const char *body, size_t len, struct check_form *ret);
void check_form_done(struct check_form *form);

/* The JSON; `own` stands in for an address that was left empty. free() it; NULL without
 * memory. */
char *check_form_json(const struct check_form *form, const char *own, size_t *ret_len);
