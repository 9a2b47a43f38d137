/* SPDX-License-Identifier: MIT */
#include "api/check_ports.h"

#include "api/check.h"
#include "api/check_refusal.h"
#include "api/check_request.h"
#include "api/check_run.h"
#include "base/err.h"
#include "http/exchange.h"
#include "loop/loop.h"
#include "policy/budget.h"
#include "settings/settings.h"
#include "vantage/gather.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool checks_new(const struct checks_config *config, struct checks **ret, struct err *err)
{
    struct checks *checks = calloc(1, sizeof *checks);
    if (!checks)
        return err_sys(err, ENOMEM, "checks");

    if (!port_set_init(&checks->ports, config->settings->max_ports, err)) {
        free(checks);
        return false;
    }
    checks->config = *config;
    *ret = checks;
    return true;
}

struct checks *checks_free(struct checks *checks)
{
    if (!checks)
        return NULL;

    assert(checks->running == 0);
    port_set_done(&checks->ports);
    free(checks);
    return NULL;
}

static void charge_and_start(struct check *check)
{
    const struct checks_config *config = &check->checks->config;
    check->place_count = config->front ? gather_expected(config->front) : 1;
    struct budget_answer answer = budget_take(
        config->budget, &check->subject.caller, &check->subject.target, check->is_foreign,
        check->subject.port_count, check->place_count, loop_now(config->loop));

    if (answer.denied != BUDGET_NONE)
        check_refuse_budget(check, answer);
    else
        check_start(check);
}

/* ---- the handlers ----------------------------------------------------------------- */

static bool read_request(struct check *check, const char *body, size_t len,
                         const char *content_type)
{
    struct check_request request;
    struct violation_list violations;

    if (!check_request_parse(body, len, content_type, &check->checks->ports, &request,
                             &violations)) {
        if (violations.count > 0)
            check_refuse_violations(check, "invalid_body", &violations);
        else
            check_refuse(check, PROBLEM_OVERLOADED, "no_memory", NULL, RETRY_SOON);
        return false;
    }
    check->subject.target = request.target;
    check->subject.port_count = check->checks->ports.count;
    check->subject.has_target = true;
    check->answer.has_details = request.wants_details;

    /* A proof is one of the details: without them it is not shown. */
    check->has_token =
        (request.wants_details || request.wants_receipt) && request.has_token;
    check->token = request.token;
    check->answer.has_proof = request.wants_details && request.has_token;
    check->wants_receipt = request.wants_receipt;
    memcpy(check->for_text, request.for_text, sizeof check->for_text);
    if (!request.wants_receipt || check->checks->config.receipts)
        return true;
    check_refuse_no_receipts(check);
    return false;
}

static bool read_body(struct check *check)
{
    struct exchange *exchange = check->answer.exchange;
    size_t len = 0;
    const char *body = exchange_body(exchange, &len);

    return read_request(check, body, len, exchange_header(exchange, "Content-Type"));
}

static bool read_query(struct check *check)
{
    struct port_set *ports = &check->checks->ports;
    struct violation_list violations;

    if (!check_query_parse(exchange_query(check->answer.exchange), ports, &violations)) {
        check_refuse_violations(check, "invalid_query", &violations);
        return false;
    }
    check->subject.target = check->subject.caller;
    check->subject.port_count = ports->count;
    check->subject.has_target = true;
    return true;
}

/* Writes the form as JSON, so that it is judged like any other request. */
static bool read_form(struct check *check)
{
    char own[ADDRESS_TEXT_SIZE];
    size_t len = 0;
    char *json = check_form_json(&check->answer.typed,
                                 address_format(&check->subject.caller, own), &len);
    if (!json) {
        check_refuse(check, PROBLEM_OVERLOADED, "no_memory", NULL, RETRY_SOON);
        return false;
    }
    bool is_read = read_request(check, json, len, NULL);
    free(json);
    return is_read;
}

static void decide(struct check *check, const struct access_caller *caller)
{
    const struct checks_config *config = &check->checks->config;
    struct access_decision decision = access_decide(
        caller, &check->subject.target, config->settings->targets, &config->machine);

    check->subject.target = decision.target;
    check->is_foreign = !address_equals(&decision.target, &caller->address);
    if (!decision.is_allowed)
        check_refuse_target(check, caller, &decision);
    else if (check->wants_receipt && check->is_foreign)
        check_refuse_foreign_receipt(check, caller);
    else if (check->subject.port_count == 0)
        check_reply_no_ports(check);
    else if (!exchange_may_wait(check->answer.exchange, &check->subject.caller))
        check_refuse_crowded(check);
    else
        charge_and_start(check);
}

static bool is_draining(struct check *check)
{
    const struct checks_config *config = &check->checks->config;
    if (!config->is_draining(config->service))
        return false;

    check_count(check, METRIC_REFUSED_DRAINING);
    check_refuse(check, PROBLEM_DRAINING, "draining", NULL, RETRY_SOON);
    return true;
}

static struct check check_init(struct checks *checks, struct exchange *exchange,
                               const struct access_caller *caller)
{
    return (struct check){
        .checks = checks,
        .answer = {.exchange = exchange, .pages = checks->config.pages},
        .subject = {.caller = caller->address, .begun = loop_now(checks->config.loop)},
    };
}

/* On false, the reply has been sent. */
static bool may_ask(struct check *check, const struct access_caller *caller)
{
    if (caller->kind == CALLER_UNKNOWN) {
        check_refuse_unknown(check, caller);
        return false;
    }
    if (caller->is_other_site) {
        check_refuse(check, PROBLEM_OTHER_SITE, "other_site", NULL, NULL);
        return false;
    }
    return !is_draining(check);
}

/* An unknown caller gets no verdict. What is wrong with its request it may know, and one
 * without ports gets its empty reply: nothing is probed. */
static void answer_unknown(struct check *check, const struct access_caller *caller)
{
    if (!read_body(check))
        return;
    if (check->subject.port_count == 0)
        check_reply_no_ports(check);
    else
        check_refuse_unknown(check, caller);
}

void check_ports_handle(struct checks *checks, struct exchange *exchange)
{
    struct access_caller caller = caller_of(exchange, checks->config.settings);
    struct check check = check_init(checks, exchange, &caller);

    check.answer.form = answer_form_of_body(exchange);
    if (caller.kind == CALLER_UNKNOWN)
        answer_unknown(&check, &caller);
    else if (may_ask(&check, &caller) && read_body(&check))
        decide(&check, &caller);
}

void check_query_handle(struct checks *checks, struct exchange *exchange)
{
    struct access_caller caller = caller_of(exchange, checks->config.settings);
    struct check check = check_init(checks, exchange, &caller);

    check.answer.form = answer_form_of_query(exchange);
    if (may_ask(&check, &caller) && read_query(&check))
        decide(&check, &caller);
}

void check_form_handle(struct checks *checks, struct exchange *exchange)
{
    struct access_caller caller = caller_of(exchange, checks->config.settings);
    struct check check = check_init(checks, exchange, &caller);
    size_t len = 0;
    const char *body = exchange_body(exchange, &len);

    if (!check_form_parse(body, len, &check.answer.typed)) {
        check_refuse(&check, PROBLEM_OVERLOADED, "no_memory", NULL, RETRY_SOON);
        return;
    }
    check.answer.form = ANSWER_PAGE;
    if (may_ask(&check, &caller) && read_form(&check))
        decide(&check, &caller);
}
