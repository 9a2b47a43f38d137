/* SPDX-License-Identifier: MIT */
#include "api/check_answer.h"

#include "api/check_page.h"
#include "api/negotiate.h"
#include "api/pages.h"
#include "http/exchange.h"
#include "probe/engine.h"
#include "receipt/receipts.h"

#include <stdlib.h>
#include <string.h>

#define JSON_TYPE   "application/json"
#define STREAM_TYPE "application/x-ndjson"
#define PLAIN_TYPE  "text/plain; charset=utf-8"
#define HTML_TYPE   "text/html; charset=utf-8"

/* A client that names both and prefers JSON gets JSON. */
enum answer_form answer_form_of_body(struct exchange *exchange)
{
    const char *accept = exchange_header(exchange, "Accept");
    unsigned quality = negotiate_quality(accept, STREAM_TYPE);

    return quality > 0 && quality >= negotiate_quality(accept, JSON_TYPE) ? ANSWER_STREAM
                                                                          : ANSWER_JSON;
}

enum answer_form answer_form_of_query(struct exchange *exchange)
{
    const char *accept = exchange_header(exchange, "Accept");

    return negotiate_quality(accept, "text/plain") > negotiate_quality(accept, JSON_TYPE)
               ? ANSWER_PLAIN
               : ANSWER_JSON;
}

void answer_drop(struct answer *answer)
{
    if (answer->form == ANSWER_PAGE)
        check_form_done(&answer->typed);
}

/* ---- where verdicts come from ------------------------------------------------------ */

const struct port_verdict *answer_source_verdict(const struct answer_source *source,
                                                 size_t index, struct port_verdict *scratch)
{
    if (!source->gather)
        return job_verdict(source->job, index);

    *scratch = gather_verdict(source->gather, index);
    return scratch;
}

void answer_source_places(const struct answer_source *source, size_t index,
                          struct check_places *ret)
{
    ret->count = source->gather ? gather_places(source->gather) : 0;
    for (size_t i = 0; i < ret->count; i++)
        ret->views[i] = gather_view(source->gather, i, index);
}

/* ---- a page ----------------------------------------------------------------------- */

/* Takes `html`, which may be NULL. */
static void reply_page(struct answer *answer, unsigned status, char *html)
{
    size_t len = 0;
    char *page = NULL;

    if (html)
        page = pages_answer(answer->pages, answer->typed.address, answer->typed.ports, html,
                            &len);
    free(html);
    pages_set_headers(answer->exchange);
    exchange_reply(answer->exchange, status, HTML_TYPE, page, len);
    answer_drop(answer);
}

/* ---- a stream --------------------------------------------------------------------- */

/* The client cannot be behind by more than the whole stream. */
static size_t stream_max(size_t port_count, bool has_places)
{
    return (port_count + 4) * (CHECK_LINE_SIZE + (has_places ? CHECK_PLACES_SIZE : 0)) +
           RECEIPT_LEN_MAX(port_count);
}

void answer_port(struct answer *answer, const struct port_verdict *verdict,
                 const struct check_places *places, size_t port_count)
{
    char line[CHECK_LINE_SIZE + CHECK_PLACES_SIZE];
    bool has_places = places && answer->has_details;

    if (answer->form != ANSWER_STREAM)
        return;
    if (!answer->has_begun) {
        answer->has_begun = true;
        exchange_stream_begin(answer->exchange, 200, STREAM_TYPE,
                              stream_max(port_count, has_places));
    }
    size_t len = check_line_port(verdict, answer->has_details, answer->has_proof, line);
    if (has_places) {
        len -= strlen("}\n");
        len += check_line_places(places, answer->has_proof, line + len);
    }
    exchange_stream_write(answer->exchange, line, len);
}

/* `body` NULL: without memory the client sees that the stream is incomplete. */
static void end_with_body(struct answer *answer, const char *body, size_t len)
{
    exchange_stream_write(answer->exchange, body, len);
    exchange_stream_write(answer->exchange, "\n", 1);
    exchange_stream_end(answer->exchange);
}

static void reply_last_line(struct answer *answer, const struct check_summary *summary,
                            const char *receipt)
{
    size_t len = 0;
    char *line = check_line_last(summary, answer->has_details, receipt, &len);

    if (!answer->has_begun) {
        exchange_reply(answer->exchange, 200, STREAM_TYPE, line, len);
        return;
    }
    exchange_stream_write(answer->exchange, line, len);
    exchange_stream_end(answer->exchange);
    free(line);
}

/* ---- the ends of a check ---------------------------------------------------------- */

static void reply_json(struct answer *answer, const struct check_summary *summary,
                       const struct answer_source *source, const char *receipt)
{
    struct check_reply reply;
    struct check_places places;
    struct port_verdict scratch;
    size_t len = 0;

    check_reply_begin(&reply, summary, answer->has_details, answer->has_proof);
    for (size_t i = 0; i < summary->ports; i++) {
        answer_source_places(source, i, &places);
        check_reply_add(&reply, answer_source_verdict(source, i, &scratch), &places);
    }
    char *body = check_reply_end(&reply, receipt, &len);
    exchange_reply(answer->exchange, 200, JSON_TYPE, body, len);
}

static void reply_plain(struct answer *answer, const struct check_summary *summary,
                        const struct answer_source *source)
{
    struct text text;
    struct port_verdict scratch;
    char line[CHECK_LINE_SIZE];
    size_t len = 0;

    text_init(&text, summary->ports * CHECK_LINE_SIZE);
    for (size_t i = 0; i < summary->ports; i++)
        text_append(&text, line,
                    check_line_plain(answer_source_verdict(source, i, &scratch), line));
    char *body = text_take(&text, &len);
    exchange_reply(answer->exchange, 200, PLAIN_TYPE, body, len);
}

static void reply_table(struct answer *answer, const struct check_summary *summary,
                        const struct address *target, const struct answer_source *source)
{
    struct check_page page;
    struct check_places places;
    struct port_verdict scratch;

    check_page_begin(&page, summary, target);
    for (size_t i = 0; i < summary->ports; i++) {
        answer_source_places(source, i, &places);
        check_page_add(&page, answer_source_verdict(source, i, &scratch), &places);
    }
    reply_page(answer, 200, check_page_end(&page));
}

void answer_verdicts(struct answer *answer, const struct check_summary *summary,
                     const struct address *target, const struct answer_source *source,
                     const char *receipt)
{
    switch (answer->form) {
    case ANSWER_JSON:
        reply_json(answer, summary, source, receipt);
        return;
    case ANSWER_STREAM:
        reply_last_line(answer, summary, receipt);
        return;
    case ANSWER_PLAIN:
        reply_plain(answer, summary, source);
        return;
    case ANSWER_PAGE:
        reply_table(answer, summary, target, source);
        return;
    }
}

void answer_violations(struct answer *answer, const struct violation_list *violations)
{
    size_t len = 0;

    if (answer->form == ANSWER_PAGE) {
        reply_page(answer, 422, check_page_violations(violations));
        return;
    }
    char *body = violation_list_body(violations, &len);
    exchange_reply(answer->exchange, 422, JSON_TYPE, body, len);
}

void answer_refusal(struct answer *answer, enum access_reason reason, const char *detail,
                    bool is_operator)
{
    if (answer->form == ANSWER_PAGE)
        reply_page(answer, problem_status(PROBLEM_TARGET_NOT_ALLOWED),
                   check_page_refusal(reason, is_operator ? detail : NULL));
    else
        answer_problem(answer, PROBLEM_TARGET_NOT_ALLOWED, detail, NULL);
}

void answer_unknown_caller(struct answer *answer, const char *sentence)
{
    if (answer->form != ANSWER_PAGE) {
        answer_problem(answer, PROBLEM_CALLER_UNKNOWN, sentence, NULL);
        return;
    }
    answer_unknown_reader(answer->pages, answer->exchange,
                          problem_status(PROBLEM_CALLER_UNKNOWN), sentence);
    answer_drop(answer);
}

void answer_unknown_reader(const struct pages *pages, struct exchange *exchange,
                           unsigned status, const char *sentence)
{
    size_t len = 0;
    char *html = check_page_refusal(ACCESS_CALLER_UNKNOWN, sentence);
    char *page = html ? pages_message(pages, html, &len) : NULL;

    free(html);
    pages_set_headers(exchange);
    exchange_reply(exchange, status, HTML_TYPE, page, len);
}

void answer_problem(struct answer *answer, enum problem problem, const char *detail,
                    const char *retry_after)
{
    unsigned status = problem_status(problem);
    const char *sentence = detail ? detail : problem_sentence(problem);
    size_t len = 0;

    if (retry_after && !answer->has_begun)
        exchange_set_header(answer->exchange, "Retry-After", retry_after);
    if (answer->form == ANSWER_PAGE) {
        reply_page(answer, status, check_page_problem(problem, detail));
        return;
    }
    if (!detail && !answer->has_begun) {
        const char *text = problem_text(problem);
        exchange_reply_const(answer->exchange, status, JSON_TYPE, text, strlen(text));
        return;
    }
    char *body = problem_body(problem, sentence, &len);
    if (answer->has_begun) {
        end_with_body(answer, body, len);
        free(body);
    } else {
        exchange_reply(answer->exchange, status, JSON_TYPE, body, len);
    }
}
