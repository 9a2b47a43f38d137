/* SPDX-License-Identifier: MIT */
#include "verifier/checker.h"

#include "base/err.h"
#include "base/libc.h"
#include "base/text.h"
#include "net/scope.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX              (1u << 17)
#define URL_SIZE              2100
#define ADDRESS_PATH          "/ip"
#define CHECK_PATH            "/check-ports"

/* What is tried first, and may well lead nowhere, is not waited for as long. */
#define GUESS_CONNECT_SECONDS 3

struct checker {
    struct checker_config config; /* all borrowed */
    const char *url;              /* one of the two */
    struct fetch *fetch;          /* owned */
    enum checker_phase phase;
    bool has_told; /* the address came from it */
    struct address peer;
    struct text body; /* of the POST that is under way */
    size_t judged;
    struct instant start;
    struct checker_result result;
    struct checker_result first; /* why `url` is the other one; has no verdicts */
};

static const char *const failure_texts[] = {
#define FAILURE(NAME, name, ...) [FAILURE_##NAME] = (name),
#include "verifier/failures.def"
#undef FAILURE
};

const char *failure_text(enum failure failure)
{
    return failure_texts[failure];
}

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
    switch (checker->result.failure) {
    case FAILURE_NO_CONNECTION:
    case FAILURE_TLS:
    case FAILURE_TIMEOUT:
    case FAILURE_BROKEN_OFF:
    case FAILURE_SERVER_ERROR:
    case FAILURE_REFUSED:
    case FAILURE_NONSENSE:
        return checker->config.other_url && checker->url == checker->config.url &&
               !checker->has_told;
    case FAILURE_NONE:
    case FAILURE_NO_NAME:
    case FAILURE_NO_FAMILY:
    case FAILURE_RATE_LIMITED:
    case FAILURE_NO_ADDRESS:
    case FAILURE_INTERNAL:
        return false;
    }
    return false;
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

/* Neither is a port checker: the reason that says more stands first. */
static void reasons_join(struct checker *checker)
{
    char message[2 * sizeof checker->result.message];
    struct checker_result other = checker->first;
    const char *url = checker->config.url;
    if (checker->result.failure == FAILURE_NO_CONNECTION) {
        other = checker->result;
        url = checker->url;
        checker->result = checker->first;
        checker->url = checker->config.url;
    }
    snprintf(message, sizeof message, "%.100s; %.100s: %.100s", checker->result.message,
             url, other.message);
    reply_copy_printable(message, checker->result.message, sizeof checker->result.message);
}

static void fail(struct checker *checker, enum failure failure, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void fail(struct checker *checker, enum failure failure, const char *format, ...)
{
    char message[2 * sizeof checker->result.message]; /* more: a cut has to be seen */
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);

    checker->result.failure = failure;
    reply_copy_printable(message, checker->result.message, sizeof checker->result.message);
    if (may_be_elsewhere(checker) && other_begin(checker))
        return;
    if (checker->url == checker->config.other_url)
        reasons_join(checker);
    finish(checker);
}

static void fail_tls(struct checker *checker, const struct fetch_result *result)
{
    static const char *const words[] = {
#define X(NAME, words) [CERTIFICATE_##NAME] = (words),
        CERTIFICATE_MAP(X)
#undef X
    };
    bool is_fine = result->certificate == CERTIFICATE_FINE;
    checker->result.certificate = result->certificate;
    fail(checker, FAILURE_TLS, "TLS: %s",
         is_fine ? result->message : words[result->certificate]);
}

/* The request got no answer. */
static void fail_unanswered(struct checker *checker, const struct fetch_result *result)
{
    const char *words = result->errnum > 0 ? libc_error_text(result->errnum) : NULL;
    switch (result->end) {
    case FETCH_ANSWERED:
        break;
    case FETCH_NO_NAME:
        fail(checker, FAILURE_NO_NAME,
             "its host name does not exist, or has no IPv%d address",
             family_number(checker->config.family));
        break;
    case FETCH_NO_FAMILY:
        fail(checker, FAILURE_NO_FAMILY, "this machine cannot reach it over IPv%d: %s",
             family_number(checker->config.family), words ? words : "no route");
        break;
    case FETCH_NO_CONNECTION:
        fail(checker, FAILURE_NO_CONNECTION, "could not connect: %s",
             words ? words : "timed out");
        break;
    case FETCH_TLS:
        fail_tls(checker, result);
        break;
    case FETCH_NO_TLS:
        fail(checker, FAILURE_TLS, "this port does not serve HTTPS: use http://%s",
             checker->url + strlen("https://"));
        break;
    case FETCH_TIMEOUT:
        fail(checker, FAILURE_TIMEOUT, "timed out while waiting for the answer");
        break;
    case FETCH_BROKEN_OFF:
        fail(checker, FAILURE_BROKEN_OFF, "the reply is incomplete or not HTTP: %s",
             result->message);
        break;
    case FETCH_TOO_LARGE:
        fail(checker, FAILURE_NONSENSE, "the reply is larger than %u bytes",
             FETCH_REPLY_MAX);
        break;
    case FETCH_FAILED:
        fail(checker, FAILURE_INTERNAL, "%s", result->message);
        break;
    }
}

/* Whether the answer leads to the path that was asked for at another place: what stands
 * there before the path is the URL of the checker. */
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

/* A page to log in at, say, is named without its query, which may hold secrets. */
static void fail_redirect(struct checker *checker, const struct fetch_result *result)
{
    const char *path = checker->phase == CHECKER_ASKING_ADDRESS ? ADDRESS_PATH : CHECK_PATH;
    size_t len = strcspn(result->location, "?#");
    checker->result.has_moved = has_moved(result, path, &len);
    fail(checker, FAILURE_REFUSED,
         checker->result.has_moved ? "status %u, a redirect: use %.*s instead"
                                   : "status %u, a redirect to %.*s",
         result->status, (int)len, result->location);
}

/* Whether plain HTTP was sent to a port of HTTPS: what our checker, nginx, Apache and Go
 * say to that. */
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

/* An answer other than 200. */
static void fail_status(struct checker *checker, const struct fetch_result *result)
{
    char detail[REPLY_SENTENCE_SIZE];
    char wait[48] = "";
    if (result->location) {
        fail_redirect(checker, result);
        return;
    }
    if (wants_https(checker, result)) {
        fail(checker, FAILURE_REFUSED, "this port serves HTTPS: use https://%s",
             checker->url + strlen("http://"));
        return;
    }
    if (result->status == 404 || result->status == 405) {
        fail(checker, FAILURE_REFUSED, "status %u: there is no port checker at this URL",
             result->status);
        return;
    }
    reply_read_detail(result->body, result->body_len, detail);
    if (result->retry_after > 0)
        snprintf(wait, sizeof wait, ", retry after %u s", result->retry_after);
    checker->result.retry_after = result->retry_after;

    enum failure failure = result->status == 429   ? FAILURE_RATE_LIMITED
                           : result->status >= 500 ? FAILURE_SERVER_ERROR
                                                   : FAILURE_REFUSED;
    fail(checker, failure, "status %u%s%s%s", result->status, wait, detail[0] ? ": " : "",
         detail);
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

/* --- the question --------------------------------------------------------------------- */

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

static void verdicts_take(struct checker *checker, const struct fetch_result *result)
{
    if (result->is_page) {
        fail(checker, FAILURE_NONSENSE, "it is a web site, not a port checker");
        return;
    }
    size_t count = checker->config.port_count;
    struct remote_verdict *verdicts = calloc(count, sizeof *verdicts);
    struct err err;
    if (!verdicts) {
        fail(checker, FAILURE_INTERNAL, "out of memory");
        return;
    }
    if (!reply_parse(result->body, result->body_len, result->is_stream,
                     checker->config.ports, count, verdicts, &err)) {
        free(verdicts);
        if (err.kind == ERR_LIMIT)
            fail(checker, FAILURE_SERVER_ERROR, "the checker could not check all ports: %s",
                 err.message);
        else
            fail(checker, FAILURE_NONSENSE, "invalid reply: %s", err.message);
        return;
    }
    checker->result.verdicts = verdicts;
    checker->judged = count;
    for (size_t i = 0; i < count; i++)
        if (verdicts[i].proof != PROOF_NONE)
            checker->result.knows_proof = true;
    finish(checker);
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
        fail(checker, FAILURE_INTERNAL, "out of memory");
}

/* --- the own address ------------------------------------------------------------------ */

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
        /* The plain contract has no /ip, and what stands in front of such a checker may
         * send unknown paths elsewhere: the question itself decides. */
        checker->phase = CHECKER_WAITING_FOR_ADDRESS;
        checker->config.changed(checker->config.ctx, checker);
        return;
    }

    char text[ADDRESS_TEXT_SIZE];
    if (address_family_number(&address) != family_number(checker->config.family)) {
        fail(checker, FAILURE_NO_ADDRESS,
             "asked over IPv%d, the checker sees this machine as %s: an address translator "
             "(NAT64) is on the path",
             family_number(checker->config.family), address_format(&address, text));
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

/* Without a translator between, our end of the connection is what the checker sees: when
 * that end is an address of the internet, or when both ends are not. */
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
        fail(checker, FAILURE_NO_ADDRESS,
             "no checker reports the public address of this machine: pass it with --ip");
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
    checker->result.has_public = checker->result.is_ip_named = true;
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
    return a->config.url == b->config.url;
}

enum family checker_family(const struct checker *checker)
{
    return checker->config.family;
}
