/* SPDX-License-Identifier: MIT
 *
 * The page for people and the reference: files that are embedded at build time, compressed
 * once at the start, and served with an ETag under a policy that allows nothing from other
 * sites and nothing inline. Created once and read by all workers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;
struct exchange;
struct pages;

bool pages_new(struct pages **ret, struct err *err);
struct pages *pages_free(struct pages *pages);

/* Answers a GET for the path of its route, which must be one of those in pages.c: 200, or
 * 304 to a client that has it, or 308 from /docs/ to /docs. `vary` names the request
 * headers that it depends on, including Accept-Encoding. */
void pages_handle(const struct pages *pages, struct exchange *exchange, const char *vary);

/* The page with the given words in its form and an answer below it, for a browser without
 * JavaScript. `address` and `ports` are plain text, `answer` is HTML. free() it; NULL
 * without memory. */
char *pages_answer(const struct pages *pages, const char *address, const char *ports,
                   const char *answer, size_t *ret_len);

/* The page with a message, in HTML, in place of its form. The caller frees it; NULL without
 * memory. */
char *pages_message(const struct pages *pages, const char *message, size_t *ret_len);

/* The 404 page for a browser. Its links work at any depth. */
void pages_not_found(struct exchange *exchange);

/* Sets the headers of a page on a reply. */
void pages_set_headers(struct exchange *exchange);

struct text;

/* Appends plain text as HTML. */
void html_append(struct text *html, const char *plain);
