/* SPDX-License-Identifier: MIT
 *
 * Reads one JSON object strictly, for job and answer. Each form_...() reads one member; a
 * member that is missing or of another type spoils the form, and so does one that was never
 * read. So a reader asks once, at the end.
 *
 *     form_begin(&form, object);
 *     const char *id = form_text(&form, "id", &len);
 *     if (!form_end(&form)) ...
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct form {
    const json_t *object; /* NULL = not an object */
    size_t taken;         /* members that were read */
    bool is_spoilt;
};

/* The document; NULL if it is no JSON in UTF-8, or has a member twice. *ret_has_memory is
 * false if it could not be read for a lack of memory. Free it with json_decref(). */
json_t *form_load(const char *text, size_t len, bool *ret_has_memory);

void form_begin(struct form *form, const json_t *object);

/* Whether the member is there. It must be read then. */
bool form_has(const struct form *form, const char *name);

/* NULL if spoilt; borrowed from the document. */
const char *form_text(struct form *form, const char *name, size_t *ret_len);
int64_t form_number(struct form *form, const char *name, int64_t min, int64_t max);
const json_t *form_list(struct form *form, const char *name);

/* Nothing was missing, and nothing is left. */
bool form_end(const struct form *form);
