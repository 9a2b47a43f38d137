/* SPDX-License-Identifier: MIT */
#include "verifier/checker.h"

#include "base/err.h"
#include "base/libc.h"
#include "base/text.h"
#include "net/scope.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX              (1u << 17)
#define URL_SIZE              2100
#define ADDRESS_PATH          "/ip"
#define CHECK_PATH            "/check-ports"

/* The first URL of a bare host is a guess, so it gets less time for its connection. */
#define GUESS_CONNECT_SECONDS 3

struct checker {
    struct checker_config config; /* all borrowed */
    const char *url;              /* one of the two */
    struct fetch *fetch;          /* owned */
    enum checker_phase phase;
    bool has_told; /* it has reported the address itself */
    struct address peer;
    struct text body; /* of the POST that is under way */
    size_t judged;
    struct instant start;
    struct checker_result result;
    struct checker_result first; /* why `url` is the other one; has no verdicts */
};

/* --- the end -------------------------------------------------------------------------- */

static void finish(struct checker *checker)
{
    checker->phase = CHECKER_DONE;
    checker->result.duration = instant_since(clock_now(), checker->start);
    checker->config.changed(checker->config.ctx, checker);
}

static bool begin(struct checker *checker, struct err *err);

/* Whether what failed is the first of two URLs, and not known to be that of a checker. */
static bool may_be_elsewhere(const struct checker *checker)
{
    return failure_tries_next(checker->result.failure) && checker->config.other_url &&
           checker->url == checker->config.url && !checker->has_told;
}

static bool other_begin(struct checker *checker)
{
    checker->first = checker->result;
    checker->result = (struct checker_result){0};
    checker->url = checker->config.other_url;
    if (begin(checker, NULL))
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

/* `words` is what the message of this failure speaks of, or NULL. */
static void fail(struct checker *checker, enum failure failure, const char *words)
{
    const struct failure_facts facts = {
        .family = checker->config.family,
        .status = checker->result.status,
        .retry_after = checker->result.retry_after,
        .words = words,
    };
    checker->result.failure = failure;
    failure_message(failure, &facts, checker->result.message);
    if (may_be_elsewhere(checker) && other_begin(checker))
        return;
    if (checker->url == checker->config.other_url)
        reasons_join(checker);
    finish(checker);
}

/* With the same URL, of another scheme. */
static void fail_scheme(struct checker *checker, enum failure failure, const char *scheme)
{
    char url[URL_SIZE];
    snprintf(url, sizeof url, "%s%s", scheme, strstr(checker->url, "://"));
    fail(checker, failure, url);
}

/* The request got no answer. */
static void fail_unanswered(struct checker *checker, const struct fetch_result *result)
{
    static const enum failure failures[] = {
#define X(NAME) [FETCH_##NAME] = FAILURE_##NAME,
        FETCH_END_MAP(X)
#undef X
    };
    bool is_of_system =
        result->end == FETCH_NO_CONNECTION || result->end == FETCH_NO_FAMILY;
    if (result->end == FETCH_NO_TLS)
        fail_scheme(checker, FAILURE_NO_TLS, "http");
    else
        fail(checker, failures[result->end],
             is_of_system ? libc_error_text(result->errnum) : result->message);
}

/* Whether a redirect leads to the same path elsewhere: what precedes the path there is the
 * URL of the checker. */
static bool has_moved(const struct fetch_result *result, const char *path,
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
    bool is_moved = has_moved(result, path, &len);
    char *url = strndup(result->location, len);
    fail(checker, is_moved ? FAILURE_MOVED : FAILURE_REDIRECTED, url);
    free(url);
}

/* Whether plain HTTP was sent to a port that serves HTTPS: the words with which our
 * checker, nginx, Apache and Go report it. */
static bool wants_https(const struct checker *checker, const struct fetch_result *result)
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
static void fail_status(struct checker *checker, const struct fetch_result *result)
{
    char detail[REPLY_SENTENCE_SIZE];
    checker->result.retry_after = result->retry_after;
    if (result->location) {
        fail_redirect(checker, result);
    } else if (wants_https(checker, result)) {
        fail_scheme(checker, FAILURE_ONLY_TLS, "https");
    } else {
        reply_read_detail(result->body, result->body_len, detail);
        fail(checker, failure_of_status(checker, result->status), detail);
    }
}

static void note_connection(struct checker *checker, const struct fetch_result *result)
{
    checker->result.status = result->status;
    if (!result->has_addresses)
        return;
    checker->peer = result->peer;
    checker->result.has_local = true;
    checker->result.local_address = result->local;
}

static bool request_send(struct checker *checker, const char *path, const char *body,
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

/* --- POST /check-ports ------------------------------------------------------------------
 */

static void body_write(struct checker *checker)
{
    char ip[ADDRESS_TEXT_SIZE];
    text_reset(&checker->body);
    text_printf(&checker->body, "{\"provider_ip\": \"%s\", \"ports\": [",
                address_format(&checker->result.public_address, ip));
    for (size_t i = 0; i < checker->config.port_count; i++)
        text_printf(&checker->body, "%s%u", i > 0 ? ", " : "", checker->config.ports[i]);
    text_append_str(&checker->body, "]");
    if (!checker->result.is_plain)
        text_printf(&checker->body, ", \"details\": true, \"token\": \"%s\"",
                    checker->config.token->hex);
    text_append_str(&checker->body, "}");
}

static void ask(struct checker *checker);

/* Notes what the verdicts show; false if none of them is known. */
static bool verdicts_note(struct checker *checker, const struct remote_verdict *verdicts)
{
    bool has_known = false;
    for (size_t i = 0; i < checker->config.port_count; i++) {
        has_known = has_known || !verdicts[i].is_unknown;
        if (verdicts[i].proof != PROOF_NONE)
            checker->result.knows_proof = true;
    }
    return has_known;
}

static void verdicts_take(struct checker *checker, const struct fetch_result *result)
{
    if (result->is_page) {
        fail(checker, FAILURE_WEB_SITE, NULL);
        return;
    }
    size_t count = checker->config.port_count;
    struct remote_verdict *verdicts = calloc(count, sizeof *verdicts);
    struct err err;
    if (!verdicts) {
        fail(checker, FAILURE_NO_MEMORY, NULL);
        return;
    }
    bool is_fine = reply_parse(result->body, result->body_len, result->is_stream,
                               checker->config.ports, count, verdicts, &err);
    if (is_fine && verdicts_note(checker, verdicts)) {
        checker->result.verdicts = verdicts;
        checker->judged = count;
        finish(checker);
        return;
    }
    free(verdicts);
    fail(checker,
         is_fine                 ? FAILURE_UNKNOWN_WORDS
         : err.kind == ERR_LIMIT ? FAILURE_NOT_ALL_CHECKED
                                 : FAILURE_INVALID_REPLY,
         is_fine ? NULL : err.message);
}

static void ask_done(void *ctx, const struct fetch_result *result)
{
    struct checker *checker = ctx;
    note_connection(checker, result);
    if (result->end != FETCH_ANSWERED) {
        fail_unanswered(checker, result);
        return;
    }
    if (result->status == 200) {
        verdicts_take(checker, result);
        return;
    }

    bool may_be_extension =
        (result->status == 422 || result->status == 400) && !wants_https(checker, result);
    if (!may_be_extension || checker->result.is_plain) {
        fail_status(checker, result);
        return;
    }

    checker->result.is_plain = true;
    ask(checker);
}

static void lines_came(void *ctx, size_t lines)
{
    struct checker *checker = ctx;
    checker->judged =
        lines < checker->config.port_count ? lines : checker->config.port_count;
}

static void ask(struct checker *checker)
{
    struct err err;
    checker->phase = CHECKER_ASKING;
    body_write(checker);
    if (checker->body.failed ||
        !request_send(checker, CHECK_PATH, checker->body.data, lines_came, ask_done, &err))
        fail(checker, FAILURE_NO_MEMORY, NULL);
}

/* --- GET /ip -------------------------------------------------------------------------- */

static void address_done(void *ctx, const struct fetch_result *result)
{
    struct checker *checker = ctx;
    struct address address;
    struct err err;
    size_t ignored;

    note_connection(checker, result);
    if (result->end != FETCH_ANSWERED) {
        fail_unanswered(checker, result);
        return;
    }
    if (result->status == 429 || result->status >= 500 || wants_https(checker, result) ||
        has_moved(result, ADDRESS_PATH, &ignored)) {
        fail_status(checker, result);
        return;
    }
    if (result->status != 200 ||
        !reply_parse_ip(result->body, result->body_len, &address, &err)) {
        /* The plain contract has no /ip, and a proxy in front of such a checker may
         * redirect unknown paths: POST /check-ports decides. */
        checker->phase = CHECKER_WAITING_FOR_ADDRESS;
        checker->config.changed(checker->config.ctx, checker);
        return;
    }

    char text[ADDRESS_TEXT_SIZE];
    if (address_family_number(&address) != family_number(checker->config.family)) {
        fail(checker, FAILURE_TRANSLATED, address_format(&address, text));
        return;
    }

    checker->has_told = true;
    checker->result.has_public = true;
    checker->result.public_address = address;
    ask(checker);
    checker->config.changed(checker->config.ctx, checker);
}

bool checker_told(const struct checker *checker, struct address *ret)
{
    if (!checker->has_told)
        return false;
    *ret = checker->result.public_address;
    return true;
}

/* Without NAT, the checker sees the address of our end of the connection. NAT can be
 * excluded if that address is global, or if the address of the checker is not. */
static bool own_end_is_public(const struct checker *checker)
{
    return checker->result.has_local &&
           (address_scope(&checker->result.local_address) == SCOPE_GLOBAL ||
            address_scope(&checker->peer) != SCOPE_GLOBAL);
}

void checker_tell(struct checker *checker, const struct address *address)
{
    assert(checker->phase == CHECKER_WAITING_FOR_ADDRESS);
    if (!address && own_end_is_public(checker))
        address = &checker->result.local_address;
    if (!address) {
        fail(checker, FAILURE_NO_ADDRESS, NULL);
        return;
    }

    checker->result.has_public = true;
    checker->result.public_address = *address;
    address_set_port(&checker->result.public_address, 0);
    ask(checker);
}

/* --- life ----------------------------------------------------------------------------- */

static bool begin(struct checker *checker, struct err *err)
{
    if (!checker->config.public_address) {
        checker->phase = CHECKER_ASKING_ADDRESS;
        return request_send(checker, ADDRESS_PATH, NULL, NULL, address_done, err);
    }
    checker->result.has_public = true;
    checker->result.public_address = *checker->config.public_address;
    checker->phase = CHECKER_ASKING;
    body_write(checker);
    if (checker->body.failed)
        return err_sys(err, ENOMEM, "request");
    return request_send(checker, CHECK_PATH, checker->body.data, lines_came, ask_done, err);
}

bool checker_new(const struct checker_config *config, struct checker **ret, struct err *err)
{
    struct checker *checker = calloc(1, sizeof *checker);
    if (!checker)
        return err_sys(err, ENOMEM, "checker");

    checker->config = *config;
    checker->url = config->url;
    checker->start = clock_now();
    text_init(&checker->body, BODY_MAX);
    if (!fetch_new(config->fetcher, family_number(config->family), &checker->fetch, err) ||
        !begin(checker, err)) {
        checker_free(checker);
        return false;
    }
    *ret = checker;
    return true;
}

struct checker *checker_free(struct checker *checker)
{
    if (!checker)
        return NULL;

    fetch_free(checker->fetch);
    text_done(&checker->body);
    free(checker->result.verdicts);
    free(checker);
    return NULL;
}

enum checker_phase checker_phase(const struct checker *checker)
{
    return checker->phase;
}

size_t checker_judged(const struct checker *checker)
{
    return checker->judged;
}

const struct checker_result *checker_result(const struct checker *checker)
{
    return &checker->result;
}

struct checker_result checker_take_result(struct checker *checker)
{
    struct checker_result result = checker->result;
    checker->result.verdicts = NULL;
    return result;
}

const char *checker_url(const struct checker *checker)
{
    return checker->url;
}

bool checker_is_same(const struct checker *a, const struct checker *b)
{
    return a->config.url == b->config.url || a->config.url == b->config.other_url;
}

enum family checker_family(const struct checker *checker)
{
    return checker->config.family;
}
