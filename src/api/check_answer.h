/* SPDX-License-Identifier: MIT
 *
 * The form of the answer to a check: one JSON body, a stream of lines while it runs
 * (POST with Accept: application/x-ndjson), plain text with one line per port (GET with
 * Accept: text/plain), or a page (for a browser without JavaScript). A check that fails is
 * answered with JSON, except on a page. check_ports decides what to answer; this module
 * decides how to write it.
 *
 * A stream starts with its first port. An error before it has its usual status; an error
 * after it is a last line with `detail` and `code`.
 */
#pragma once

#include "api/check_form.h"
#include "api/check_reply.h"
#include "api/problem.h"
#include "policy/access.h"

#include <stdbool.h>
#include <stddef.h>

struct address;
struct exchange;
struct gather;
struct job;
struct pages;
struct port_verdict;

enum answer_form {
    ANSWER_JSON,
    ANSWER_STREAM,
    ANSWER_PLAIN,
    ANSWER_PAGE,
};

/* May be copied until the first call that ends it. */
struct answer {
    struct exchange *exchange; /* borrowed */
    enum answer_form form;
    bool has_details;
    bool has_proof;            /* among the details */
    bool has_begun;            /* the first line of the stream has been written */
    const struct pages *pages; /* borrowed */
    struct check_form typed;   /* owned; for a page */
};

/* ANSWER_STREAM when the request asks for one, else ANSWER_JSON. */
enum answer_form answer_form_of_body(struct exchange *exchange);

/* ANSWER_PLAIN if the request names plain text and prefers it to JSON, else ANSWER_JSON. */
enum answer_form answer_form_of_query(struct exchange *exchange);

/* The verdicts of a judged check, in the order of the request: of this place alone, or of
 * several. Both NULL = there were no ports. */
struct answer_source {
    const struct job *job;
    const struct gather *gather; /* takes precedence */
};

/* The verdict at `index`, which may be in *scratch. */
const struct port_verdict *answer_source_verdict(const struct answer_source *source,
                                                 size_t index,
                                                 struct port_verdict *scratch);

/* What each place says about it; none if this place is alone. */
void answer_source_places(const struct answer_source *source, size_t index,
                          struct check_places *ret);

/* Does nothing unless this is a stream. `places` NULL = this place alone. `port_count` is
 * that of the whole check. Never calls back. */
void answer_port(struct answer *answer, const struct port_verdict *verdict,
                 const struct check_places *places, size_t port_count);

/* Each of these ends the answer, frees what it owns, and ends the exchange. */

/* The verdicts about `target`. `receipt` is NULL unless it was asked for, which only JSON
 * and streams can do. */
void answer_verdicts(struct answer *answer, const struct check_summary *summary,
                     const struct address *target, const struct answer_source *source,
                     const char *receipt);
void answer_violations(struct answer *answer, const struct violation_list *violations);

/* `detail` NULL: the sentence of the table. `retry_after` may be NULL. */
void answer_problem(struct answer *answer, enum problem problem, const char *detail,
                    const char *retry_after);

/* 403 for an address that may not be checked. `detail` is meant for the operator: a page
 * shows it only where `is_operator`. */
void answer_refusal(struct answer *answer, enum access_reason reason, const char *detail,
                    bool is_operator);

/* 403 for an unknown caller. The sentence is access_ground_sentence(). */
void answer_unknown_caller(struct answer *answer, const char *sentence);

/* The same without a struct answer: a page with the sentence in place of the form. The
 * exchange ends. */
void answer_unknown_reader(const struct pages *pages, struct exchange *exchange,
                           unsigned status, const char *sentence);

/* Frees what it owns if the exchange has already ended. */
void answer_drop(struct answer *answer);
