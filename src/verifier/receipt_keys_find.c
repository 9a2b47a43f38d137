/* SPDX-License-Identifier: MIT */
#include "verifier/receipt_keys_find.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/libc.h"
#include "loop/loop.h"
#include "verifier/arguments.h"
#include "verifier/fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One request for the key set, over one family after the other. */
struct request {
    const struct arguments *arguments; /* borrowed */
    struct loop *loop;                 /* owned, as are the next two */
    struct fetcher *fetcher;
    struct fetch *fetch;
    bool has_answer;
    bool is_read;
    struct receipt_key_set keys; /* is_read */
    struct err failure;          /* otherwise */
};

static void answer_read(struct request *request, const struct fetch_result *result)
{
    struct err why;
    if (result->status != 200) {
        err_set(&request->failure, ERR_LIMIT, "it answered with status %u", result->status);
        return;
    }
    request->is_read =
        receipt_key_set_parse(result->body, result->body_len, &request->keys, &why);
    if (!request->is_read)
        err_set(&request->failure, ERR_INVALID, "no key set: %.100s", why.message);
}

static void fetch_done(void *ctx, const struct fetch_result *result)
{
    struct request *request = ctx;
    bool is_of_system =
        result->end == FETCH_NO_CONNECTION || result->end == FETCH_NO_FAMILY;
    request->has_answer = result->end == FETCH_ANSWERED;
    if (request->has_answer)
        answer_read(request, result);
    else
        err_set(&request->failure, ERR_LIMIT, "no answer: %.150s",
                is_of_system ? libc_error_text(result->errnum) : result->message);
    loop_stop(request->loop);
}

static bool family_ask(struct request *request, enum family family, struct err *err)
{
    const struct fetch_request asked = {
        .url = request->arguments->jwks, .done = fetch_done, .ctx = request};
    request->fetch = fetch_free(request->fetch);
    return fetch_new(request->fetcher, family_number(family), NULL, &request->fetch, err) &&
           fetch_start(request->fetch, &asked, err) && loop_run(request->loop, err);
}

static bool ask(struct request *request, struct err *err)
{
    const struct fetch_config config = {.ca_file = request->arguments->ca_file,
                                        .timeout = request->arguments->timeout};
    if (!loop_new(&request->loop, err) ||
        !fetcher_new(request->loop, &config, &request->fetcher, err))
        return false;
    for (enum family family = 0; family < FAMILY_COUNT && !request->has_answer; family++)
        if (request->arguments->is_family[family] && !family_ask(request, family, err))
            return false;
    return request->is_read || err_set(err, request->failure.kind, "%s: %s",
                                       request->arguments->jwks, request->failure.message);
}

static bool keys_fetch(const struct arguments *arguments, struct receipt_key_set *ret,
                       struct err *err)
{
    struct request request = {.arguments = arguments};
    bool is_fine = ask(&request, err);
    fetch_free(request.fetch);
    fetcher_free(request.fetcher);
    loop_free(request.loop);
    if (is_fine)
        *ret = request.keys;
    return is_fine;
}

static bool keys_read(const char *path, struct receipt_key_set *ret, struct err *err)
{
    char *text = malloc(RECEIPT_KEY_SET_MAX);
    size_t len;
    struct err why;
    if (!text)
        return err_sys(err, ENOMEM, "keys");
    bool is_there = fd_read_file(path, text, RECEIPT_KEY_SET_MAX, &len, err);
    bool is_fine = is_there && receipt_key_set_parse(text, len, ret, &why);
    if (is_there && !is_fine)
        err_set(err, ERR_INVALID, "%.150s: no key set: %.100s", path, why.message);
    free(text);
    return is_fine;
}

bool receipt_keys_find(const struct arguments *arguments, struct receipt_key_set *ret,
                       struct err *err)
{
    return strstr(arguments->jwks, "://") ? keys_fetch(arguments, ret, err)
                                          : keys_read(arguments->jwks, ret, err);
}
