/* SPDX-License-Identifier: MIT
 *
 * The requests of a checker, and how its work ends: with the reason why it has no verdict.
 */
#include "verifier/checker_state.h"

#include "base/libc.h"
#include "loop/loop.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_SIZE              2100

/* The first URL of a bare host is a guess, so it gets less time for its connection. */
#define GUESS_CONNECT_SECONDS 3

/* --- one request ---------------------------------------------------------------------- */

void checker_note(struct checker *checker, const struct fetch_result *result)
{
    if (checker->is_looking)
        return;
    checker->result.status = result->status;
    if (!result->has_addresses)
        return;
    checker->result.has_local = true;
    checker->result.local_address = result->local;
    checker->result.peer_address = result->peer;
    checker->result.vantage = vantage_of(&result->peer, origin_is_own(&result->peer));
    if (checker->result.has_told)
        checker->result.vantage =
            vantage_told(checker->result.vantage, &checker->result.public_address);
}

bool checker_request(struct checker *checker, const char *path, const char *body,
                     fetch_lines_fn *lines, fetch_done_fn *done, struct err *err)
{
    char url[URL_SIZE];
    snprintf(url, sizeof url, "%s%s", checker->url, path);
    bool is_guess = checker->config.other_url && checker->url == checker->config.url;
    const struct fetch_request request = {
        .url = url,
        .connect = span_seconds(is_guess ? GUESS_CONNECT_SECONDS : 0),
        .body = body,
        .lines = lines,
        .done = done,
        .ctx = checker,
    };
    return fetch_start(checker->fetch, &request, err);
}

/* --- the end -------------------------------------------------------------------------- */

void checker_result_done(struct checker_result *result)
{
    free(result->verdicts);
    result->verdicts = NULL;
    result->places = place_table_free(result->places);
}

void checker_finish(struct checker *checker)
{
    loop_timer_stop(checker->config.loop, &checker->timer);
    checker->phase = CHECKER_DONE;
    if (!checker->is_looking)
        checker->result.duration = instant_since(clock_now(), checker->start);
    checker->is_looking = false;
    checker->config.changed(checker->config.ctx, checker);
}

/* Whether what failed is the first of two URLs, and not known to be that of a checker. */
static bool may_be_elsewhere(const struct checker *checker)
{
    return failure_tries_next(checker->result.failure) && checker->config.other_url &&
           checker->url == checker->config.url && !checker->result.has_told;
}

static bool other_begin(struct checker *checker)
{
    checker->first = checker->result;
    checker->result = (struct checker_result){0};
    checker->url = checker->config.other_url;
    checker->waiting_count = 0;
    checker->piece_max = 0;
    checker->has_asked_limits = false;
    checker->has_changed = false;
    if (checker->begin(checker, NULL))
        return true;
    checker->result = checker->first;
    checker->url = checker->config.url;
    return false;
}

static bool was_connected(const struct checker_result *result)
{
    return result->failure != FAILURE_NO_CONNECTION &&
           result->failure != FAILURE_CONNECT_TIMEOUT;
}

/* Neither URL is that of a port checker: the reason that says more comes first. */
static void reasons_join(struct checker *checker)
{
    char message[2 * FAILURE_MESSAGE_SIZE];
    struct checker_result other = checker->first;
    const char *url = checker->config.url;
    if (!was_connected(&checker->result)) {
        other = checker->result;
        url = checker->url;
        checker->result = checker->first;
        checker->url = checker->config.url;
    }
    snprintf(message, sizeof message, "%.100s; %.100s: %.100s", checker->result.message,
             url, other.message);
    reply_copy_printable(message, checker->result.message, FAILURE_MESSAGE_SIZE);
}

/* What was judged before stands. */
static void leave_out(struct checker *checker, enum failure failure,
                      const struct failure_facts *facts)
{
    if (!checker->is_looking)
        failure_message(failure, facts, checker->result.message);
    checker_finish(checker);
}

void checker_fail(struct checker *checker, enum failure failure, const char *words)
{
    const struct failure_facts facts = {
        .family = checker->config.family,
        .status = checker->result.status,
        .retry_after = checker->result.retry_after,
        .words = words,
    };
    if (checker->result.verdicts) {
        leave_out(checker, failure, &facts);
        return;
    }
    checker->result.failure = failure;
    failure_message(failure, &facts, checker->result.message);
    if (may_be_elsewhere(checker) && other_begin(checker))
        return;
    if (checker->url == checker->config.other_url)
        reasons_join(checker);
    checker_finish(checker);
}

/* With the same URL, of another scheme. */
static void fail_scheme(struct checker *checker, enum failure failure, const char *scheme)
{
    char url[URL_SIZE];
    snprintf(url, sizeof url, "%s%s", scheme, strstr(checker->url, "://"));
    checker_fail(checker, failure, url);
}

/* The request got no answer. */
void checker_fail_unanswered(struct checker *checker, const struct fetch_result *result)
{
    static const enum failure failures[] = {
#define X(NAME) [FETCH_##NAME] = FAILURE_##NAME,
        FETCH_END_MAP(X)
#undef X
    };
    bool is_of_system =
        result->end == FETCH_NO_CONNECTION || result->end == FETCH_NO_FAMILY;
    bool is_lost = result->end == FETCH_TIMEOUT && checker->phase == CHECKER_ASKING &&
                   checker->result.has_told;
    if (result->end == FETCH_NO_TLS)
        fail_scheme(checker, FAILURE_NO_TLS, "http");
    else if (is_lost)
        checker_fail(checker, FAILURE_ANSWER_LOST, NULL);
    else
        checker_fail(checker, failures[result->end],
                     is_of_system ? libc_error_text(result->errnum) : result->message);
}

bool checker_has_moved(const struct fetch_result *result, const char *path,
                       size_t *ret_url_len)
{
    if (!result->location)
        return false;
    size_t len = strlen(result->location);
    size_t path_len = strlen(path);
    if (len <= path_len || strpbrk(result->location, "?#") ||
        strcmp(result->location + len - path_len, path) != 0)
        return false;
    *ret_url_len = len - path_len;
    return true;
}

/* The message has the URL without its query, which may contain secrets. */
static void fail_redirect(struct checker *checker, const struct fetch_result *result)
{
    const char *path = checker->phase == CHECKER_ASKING_ADDRESS ? ADDRESS_PATH : CHECK_PATH;
    size_t len = strcspn(result->location, "?#");
    bool is_moved = checker_has_moved(result, path, &len);
    char *url = strndup(result->location, len);
    checker_fail(checker, is_moved ? FAILURE_MOVED : FAILURE_REDIRECTED, url);
    free(url);
}

/* Whether plain HTTP was sent to a port that serves HTTPS: the words with which our
 * checker, nginx, Apache and Go report it. */
bool checker_wants_https(const struct checker *checker, const struct fetch_result *result)
{
    static const char *const signs[] = {"this port serves HTTPS", "HTTPS port",
                                        "SSL-enabled server port", "to an HTTPS server"};
    if (result->status != 400 || strncmp(checker->url, "http://", strlen("http://")) != 0)
        return false;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (strstr(result->body, signs[i]))
            return true;
    return false;
}

static enum failure failure_of_status(const struct checker *checker, unsigned status)
{
    static const struct {
        unsigned first, last;
        enum failure failure;
    } rows[] = {
        {300, 399, FAILURE_STATUS_3XX},   {404, 405, FAILURE_NOT_HERE},
        {429, 429, FAILURE_RATE_LIMITED}, {500, UINT_MAX, FAILURE_SERVER_ERROR},
        {0, UINT_MAX, FAILURE_REFUSED},
    };
    if (status == 403 && checker->config.public_address)
        return FAILURE_IP_REFUSED;
    size_t i = 0;
    while (status < rows[i].first || status > rows[i].last)
        i++;
    return rows[i].failure;
}

/* An answer other than 200. */
void checker_fail_status(struct checker *checker, const struct fetch_result *result)
{
    char detail[REPLY_SENTENCE_SIZE];
    checker->result.retry_after = result->retry_after;
    if (result->location) {
        fail_redirect(checker, result);
    } else if (checker_wants_https(checker, result)) {
        fail_scheme(checker, FAILURE_ONLY_TLS, "https");
    } else {
        bool is_unknown =
            result->status == 403 && strstr(result->body, "\"caller_unknown\"");
        reply_read_detail(result->body, result->body_len, detail);
        checker_fail(checker,
                     is_unknown ? FAILURE_CALLER_UNKNOWN
                                : failure_of_status(checker, result->status),
                     detail);
    }
}
