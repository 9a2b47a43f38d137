/* SPDX-License-Identifier: MIT */
#include "verifier/checker_state.h"

#include "base/err.h"
#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX     (1u << 17)
#define RECEIPTS_MAX FETCH_REPLY_MAX

/* --- GET /ip -------------------------------------------------------------------------- */

static void ask_or_fail(struct checker *checker)
{
    if (!checker_ask(checker, NULL))
        checker_fail(checker, FAILURE_NO_MEMORY, NULL);
}

/* What is wrong with the address that the checker sees. */
static enum failure doubt_of(const struct checker *checker, const struct address *told)
{
    const struct checker_result *result = &checker->result;
    if (result->has_local &&
        !origin_is_plausible(&result->local_address, &result->peer_address, told))
        return FAILURE_CALLER_HIDDEN;
    return address_family_number(told) == family_number(checker->config.family)
               ? FAILURE_NONE
               : FAILURE_TRANSLATED;
}

static void address_done(void *ctx, const struct fetch_result *result)
{
    struct checker *checker = ctx;
    struct address address;
    struct err err;
    size_t ignored;

    checker_note(checker, result);
    if (result->end != FETCH_ANSWERED) {
        checker_fail_unanswered(checker, result);
        return;
    }
    if (result->status == 429 || result->status >= 500 ||
        checker_wants_https(checker, result) ||
        checker_has_moved(result, ADDRESS_PATH, &ignored)) {
        checker_fail_status(checker, result);
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

    checker->result.has_public = true;
    checker->result.public_address = address;
    enum failure doubt = doubt_of(checker, &address);
    if (doubt != FAILURE_NONE) {
        char text[ADDRESS_TEXT_SIZE];
        checker_fail(checker, doubt, address_format(&address, text));
        return;
    }

    checker->result.has_told = true;
    ask_or_fail(checker);
    checker->config.changed(checker->config.ctx, checker);
}

bool checker_told(const struct checker *checker, struct address *ret)
{
    if (!checker->result.has_told)
        return false;
    *ret = checker->result.public_address;
    return true;
}

/* Without NAT, the checker sees the address of our end of the connection. */
static bool own_end_is_seen(const struct checker *checker)
{
    return checker->result.has_local &&
           origin_is_seen(&checker->result.local_address, &checker->result.peer_address);
}

void checker_tell(struct checker *checker, const struct address *address)
{
    assert(checker->phase == CHECKER_WAITING_FOR_ADDRESS);
    if (!address && own_end_is_seen(checker))
        address = &checker->result.local_address;
    if (!address) {
        checker_fail(checker, FAILURE_NO_ADDRESS, NULL);
        return;
    }

    checker->result.has_public = true;
    checker->result.public_address = *address;
    address_set_port(&checker->result.public_address, 0);
    ask_or_fail(checker);
}

/* --- life ----------------------------------------------------------------------------- */

static bool ask_address(struct checker *checker, struct err *err)
{
    checker->phase = CHECKER_ASKING_ADDRESS;
    return checker_request(checker, ADDRESS_PATH, NULL, NULL, address_done, err);
}

static bool begin(struct checker *checker, struct err *err)
{
    if (!checker->config.public_address)
        return ask_address(checker, err);
    checker->result.has_public = true;
    checker->result.public_address = *checker->config.public_address;
    return checker_ask(checker, err);
}

bool checker_new(const struct checker_config *config, struct checker **ret, struct err *err)
{
    struct checker *checker = calloc(1, sizeof *checker);
    if (!checker)
        return err_sys(err, ENOMEM, "checker");

    checker->config = *config;
    checker->begin = begin;
    checker->ask_address = ask_address;
    checker->url = config->url;
    checker->start = clock_now();
    text_init(&checker->body, BODY_MAX);
    text_init(&checker->receipts, RECEIPTS_MAX);
    checker_timer_init(checker);
    checker->waiting = calloc(config->port_count + 1, sizeof *checker->waiting);
    if (!checker->waiting ||
        !fetch_new(config->fetcher, family_number(config->family), &config->source,
                   &checker->fetch, err) ||
        !begin(checker, err)) {
        checker_free(checker);
        return err_sys(err, ENOMEM, "checker");
    }
    *ret = checker;
    return true;
}

struct checker *checker_free(struct checker *checker)
{
    if (!checker)
        return NULL;

    loop_timer_stop(checker->config.loop, &checker->timer);
    fetch_free(checker->fetch);
    free(checker->waiting);
    text_done(&checker->body);
    text_done(&checker->receipts);
    checker_result_done(&checker->result);
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
    checker->result.places = NULL;
    return result;
}

const char *checker_receipts(const struct checker *checker)
{
    return checker->receipts.data;
}

const char *checker_no_receipt(const struct checker *checker)
{
    return checker->no_receipt[0] ? checker->no_receipt
                                  : "this checker does not know receipts";
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
