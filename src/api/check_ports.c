/* SPDX-License-Identifier: MIT */
#include "api/check_ports.h"

#include "api/check_answer.h"
#include "api/check_log.h"
#include "api/check_receipt.h"
#include "api/check_reply.h"
#include "api/check_request.h"
#include "api/problem.h"
#include "base/err.h"
#include "http/exchange.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "net/port_set.h"
#include "policy/budget.h"
#include "probe/engine.h"
#include "receipt/receipts.h"
#include "settings/settings.h"
#include "vantage/gather.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Seconds for Retry-After where nothing better is known: a restart takes a moment, an
 * overload a few; a missing route does not come back by itself. */
#define RETRY_SOON     "5"
#define RETRY_NO_ROUTE "300"

struct checks {
    struct checks_config config;
    struct port_set ports; /* of the request that is being read; the engine copies them */
    size_t running;
};

/* One request. It lives on the handler's stack until the engine has taken its job. */
struct check {
    struct checks *checks; /* borrowed */
    struct answer answer;  /* to an exchange that is there until it has been answered
                              or is gone */
    struct job *job;       /* the engine's, until `done` or engine_cancel(); NULL then */
    struct gather *gather; /* owned: what other places say; NULL = this place alone */
    struct job_limit limit;
    struct check_subject subject;
    size_t place_count; /* that the caller is charged for */
    bool is_foreign;    /* the target is not the caller's own address */
    bool has_token;
    struct proof_token token;
    bool wants_receipt;
    char for_text[RECEIPT_FOR_MAX + 1]; /* wants_receipt */
};

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

/* ---- replies that are not 200 ------------------------------------------------------- */

static void count(const struct check *check, enum metric metric)
{
    metrics_add(check->checks->config.metrics, metric, 1);
}

/* Logs and replies, which ends the exchange. `detail` NULL: the sentence of the table.
 * `retry_after` may be NULL. */
static void reply_problem(struct check *check, enum problem problem, const char *reason,
                          const char *detail, const char *retry_after)
{
    check_log_failure(&check->subject, problem_status(problem), reason);
    answer_problem(&check->answer, problem, detail, retry_after);
}

static void reply_violations(struct check *check, const char *reason,
                             const struct violation_list *violations)
{
    check_log_failure(&check->subject, 422, reason);
    answer_violations(&check->answer, violations);
}

static void reply_not_allowed(struct check *check, const struct access_caller *caller,
                              const struct access_decision *decision)
{
    /* Reasons that allow have no rows: they are never looked up. */
    static const enum metric metrics[] = {
        [ACCESS_NEVER] = METRIC_REFUSED_NEVER,
        [ACCESS_NOT_OWN_ADDRESS] = METRIC_REFUSED_NOT_OWN_ADDRESS,
        [ACCESS_NOT_PUBLIC] = METRIC_REFUSED_NOT_PUBLIC,
        [ACCESS_THIS_MACHINE] = METRIC_REFUSED_THIS_MACHINE,
    };
    char detail[ACCESS_EXPLANATION_SIZE];

    count(check, metrics[decision->reason]);
    access_explain(caller, decision, detail);
    check_log_failure(&check->subject, problem_status(PROBLEM_TARGET_NOT_ALLOWED),
                      access_reason_code(decision->reason));
    answer_refusal(&check->answer, decision->reason, detail,
                   caller->kind == CALLER_OPERATOR);
}

static void reply_unknown_caller(struct check *check, const struct access_caller *caller)
{
    const struct checks_config *config = &check->checks->config;

    count(check, caller_unknown_metric(caller));
    caller_warn_unknown(check->answer.exchange, caller, config->warnings,
                        check->subject.begun);
    check_log_failure(&check->subject, problem_status(PROBLEM_CALLER_UNKNOWN),
                      access_ground_code(caller->ground));
    answer_unknown_caller(&check->answer, access_ground_sentence(caller->ground));
}

static void reply_no_budget(struct check *check, struct budget_answer answer)
{
    bool is_target = answer.denied == BUDGET_TARGET;
    char detail[320], target[ADDRESS_TEXT_SIZE], retry_after[24];

    count(check, is_target ? METRIC_BUDGET_DENIED_TARGET : METRIC_BUDGET_DENIED_CALLER);
    address_format(&check->subject.target, target);
    if (answer.retry_after.ns < 0) {
        snprintf(detail, sizeof detail,
                 "%zu ports exceed what this checker's rate limit allows at once: "
                 "request fewer ports at a time",
                 check->subject.port_count);
        reply_problem(check, PROBLEM_RATE_LIMITED, "never_enough_budget", detail, NULL);
        return;
    }

    /* Rounded up, so that a client that waits this long is not refused again. */
    int64_t seconds = (answer.retry_after.ns + NS_PER_SECOND - 1) / NS_PER_SECOND;
    if (seconds < 1)
        seconds = 1;
    snprintf(retry_after, sizeof retry_after, "%lld", (long long)seconds);
    if (is_target)
        snprintf(detail, sizeof detail,
                 "too many ports of %s were checked for other callers: try again in "
                 "%s s, or from that address",
                 target, retry_after);
    else
        snprintf(detail, sizeof detail,
                 "too many ports were checked for your address: try again in %s s, or "
                 "request fewer ports",
                 retry_after);
    reply_problem(check, PROBLEM_RATE_LIMITED,
                  is_target ? "target_budget" : "caller_budget", detail, retry_after);
}

/* Says why there are no verdicts, in the engine's words, and what the client can do. */
static void reply_unjudged(struct check *check, const struct job_result *result)
{
    static const struct {
        enum metric metric;
        enum problem problem;
        const char *advice;
        const char *retry_after;
    } ends[] = {
        [JOB_OVERLOADED] = {METRIC_REFUSED_OVERLOADED, PROBLEM_OVERLOADED,
                            "try again later, or use another checker", RETRY_SOON},
        [JOB_FAULT] = {METRIC_REFUSED_FAULT, PROBLEM_CHECKER_FAULT,
                       "try again later, or use another checker", RETRY_SOON},
        [JOB_NO_ROUTE] = {METRIC_REFUSED_NO_ROUTE, PROBLEM_CHECKER_FAULT,
                          "use another checker", RETRY_NO_ROUTE},
    };
    char detail[sizeof result->reason.message + 64];

    assert(result->end != JOB_JUDGED && ends[result->end].advice);
    count(check, ends[result->end].metric);
    snprintf(detail, sizeof detail, "%s: %s", result->reason.message,
             ends[result->end].advice);
    reply_problem(check, ends[result->end].problem, result->reason.message, detail,
                  ends[result->end].retry_after);
}

/* Checks of this network, or of all, keep so many connections that others need the rest. */
static void reply_crowded(struct check *check)
{
    count(check, METRIC_REFUSED_OVERLOADED);
    reply_problem(check, PROBLEM_OVERLOADED, "too_many_checks", NULL, RETRY_SOON);
}

/* This checker gives none. */
static void reply_no_receipts(struct check *check)
{
    struct violation_list violations = {0};

    violation_add_message(&violations, VIOLATION_VALUE,
                          (struct violation_place){.field = "receipt"},
                          "this checker gives no receipts (PORT_CHECKER_RECEIPT_KEY is not "
                          "set): leave out receipt, or use another checker");
    reply_violations(check, "no_receipts", &violations);
}

static void reply_not_own_receipt(struct check *check, const struct access_caller *caller)
{
    char detail[320], own[ADDRESS_TEXT_SIZE], target[ADDRESS_TEXT_SIZE];

    snprintf(detail, sizeof detail,
             "receipts are only for your own address: name %s in provider_ip instead of "
             "%s, or leave out receipt",
             address_format(&caller->address, own),
             address_format(&check->subject.target, target));
    count(check, METRIC_REFUSED_RECEIPT);
    reply_problem(check, PROBLEM_RECEIPT_NOT_ALLOWED, "receipt_not_allowed", detail, NULL);
}

/* ---- while the engine works ------------------------------------------------------- */

/* Ends the accounting of a check that had a job. Called before the reply: a client that has
 * read it may ask another worker at once. */
static void check_end(struct check *check, size_t untried, size_t silent)
{
    struct checks *checks = check->checks;

    check->subject.has_cost = untried < check->subject.port_count;

    if (untried > 0)
        budget_give_back(checks->config.budget, &check->subject.caller,
                         &check->subject.target, check->is_foreign, untried,
                         check->place_count, loop_now(checks->config.loop));
    budget_settle_silent(checks->config.budget, &check->subject.target, check->is_foreign,
                         silent, loop_now(checks->config.loop));
    checks->running--;
    metrics_add(checks->config.metrics, METRIC_CHECKS_RUNNING, -1);
}

/* Ends the check, which this place has judged. */
static void reply_verdicts(struct check *check, const struct answer_source *source)
{
    struct check_summary summary = {.limit = check->limit};
    struct port_verdict scratch;

    if (source->gather)
        summary.places = gather_summary(source->gather);
    for (size_t i = 0; i < check->subject.port_count; i++)
        check_summary_add(&summary, answer_source_verdict(source, i, &scratch));
    char *receipt = NULL;
    struct err err;
    if (check->wants_receipt)
        receipt = check_receipt_make(check->checks->config.receipts, &check->subject,
                                     check->for_text, source, &err);
    if (check->wants_receipt && !receipt) {
        reply_unjudged(check, &(struct job_result){.end = JOB_FAULT, .reason = err});
        return;
    }
    if (receipt)
        count(check, METRIC_RECEIPTS);
    check_log_verdicts(&check->subject, &summary);
    answer_verdicts(&check->answer, &summary, &check->subject.target, source, receipt);
    free(receipt);
}

static void check_free(struct check *check)
{
    gather_free(check->gather);
    free(check);
}

static void reply_gathered(struct check *check)
{
    const struct answer_source source = {.gather = check->gather};

    reply_verdicts(check, &source);
    check_free(check);
}

static void answer_gathered_port(struct check *check, size_t index)
{
    const struct answer_source source = {.gather = check->gather};
    struct port_verdict scratch;
    struct check_places places;

    answer_source_places(&source, index, &places);
    answer_port(&check->answer, answer_source_verdict(&source, index, &scratch), &places,
                check->subject.port_count);
}

/* The other places have answered, or are missing. */
static void places_are_complete(void *ctx)
{
    struct check *check = ctx;

    for (size_t i = 0; check->answer.form == ANSWER_STREAM && i < check->subject.port_count;
         i++)
        if (gather_has_own(check->gather, i))
            answer_gathered_port(check, i);
    if (!check->job)
        reply_gathered(check);
}

/* Keeps the own verdicts, which end with the job, and waits for the other places. */
static void gather_rest(struct check *check, const struct job *job)
{
    for (size_t i = 0; i < check->subject.port_count; i++)
        gather_own(check->gather, i, job_verdict(job, i));
    if (gather_is_complete(check->gather))
        reply_gathered(check);
    else
        gather_own_ended(check->gather);
}

static void job_is_done(void *ctx, const struct job *job, const struct job_result *result)
{
    struct check *check = ctx;
    const struct answer_source source = {.job = job};

    check_end(check, result->untried, result->silent);
    check->job = NULL;
    check->limit = result->limit;
    if (result->end == JOB_JUDGED && check->gather) {
        gather_rest(check, job);
        return;
    }
    if (result->end == JOB_JUDGED)
        reply_verdicts(check, &source);
    else
        reply_unjudged(check, result);
    check_free(check);
}

static void port_is_settled(void *ctx, size_t index, const struct port_verdict *verdict)
{
    struct check *check = ctx;

    if (check->checks->config.settings->debug)
        check_log_port(&check->subject, verdict);
    if (check->gather)
        gather_own(check->gather, index, verdict);
    if (!check->gather)
        answer_port(&check->answer, verdict, NULL, check->subject.port_count);
    else if (gather_is_complete(check->gather) && check->answer.form == ANSWER_STREAM)
        answer_gathered_port(check, index);
}

static void client_is_gone(void *ctx, struct exchange *exchange)
{
    struct check *check = ctx;
    (void)exchange;

    if (check->job) {
        size_t silent, untried = engine_cancel(check->job, &silent);
        check_end(check, untried, silent);
    }
    count(check, METRIC_CHECKS_ABANDONED);
    check_log_failure(&check->subject, 0, "client_left");
    answer_drop(&check->answer);
    check_free(check);
}

/* ---- from the request to the job -------------------------------------------------- */

/* Without ports there is nothing to wait for. */
static void reply_no_ports(struct check *check)
{
    const struct check_summary summary = {0};
    const struct answer_source source = {0};

    check_log_verdicts(&check->subject, &summary);
    answer_verdicts(&check->answer, &summary, &check->subject.target, &source, NULL);
}

/* ERR_LIMIT is the engine's "too many"; anything else is a lack of memory. */
static void reply_not_started(struct check *check, const struct err *err)
{
    reply_unjudged(check, &(struct job_result){
                              .end = err->kind == ERR_LIMIT ? JOB_OVERLOADED : JOB_FAULT,
                              .reason = *err,
                          });
}

static bool start_job(struct check *check, struct err *err)
{
    const struct checks_config *config = &check->checks->config;
    bool needs_each = config->settings->debug || check->answer.form == ANSWER_STREAM;
    const struct job_request request = {
        .target = check->subject.target,
        .caller = &check->subject.caller,
        .token = check->has_token ? &check->token : NULL,
        .ports = check->checks->ports.ports,
        .port_count = check->subject.port_count,
        .deadline = instant_add(check->subject.begun, span_ms(CHECK_MILLISECONDS)),
        .settled = needs_each ? port_is_settled : NULL,
        .done = job_is_done,
        .ctx = check,
    };
    return engine_start(config->engine, &request, &check->job, err);
}

static void ask_places(struct check *check)
{
    const struct checks_config *config = &check->checks->config;
    if (!config->front)
        return;

    const struct vantage_job job = {
        .caller = check->subject.caller,
        .target = check->subject.target,
        .has_token = check->has_token,
        .token = check->token,
        .ports = check->checks->ports.ports,
        .port_count = check->subject.port_count,
    };
    check->gather = gather_new(
        config->front, &job, instant_add(check->subject.begun, span_ms(CHECK_MILLISECONDS)),
        places_are_complete, check);
}

/* Call it after the budget was charged. */
static void start_check(struct check *request)
{
    struct checks *checks = request->checks;
    struct err err;
    struct check *check = malloc(sizeof *check);
    bool is_started = false;

    if (check) {
        *check = *request;
        is_started = start_job(check, &err);
    } else {
        err_sys(&err, ENOMEM, "starting a check");
    }
    if (!is_started) {
        free(check);
        budget_give_back(checks->config.budget, &request->subject.caller,
                         &request->subject.target, request->is_foreign,
                         request->subject.port_count, request->place_count,
                         loop_now(checks->config.loop));
        reply_not_started(request, &err);
        return;
    }
    ask_places(check);
    checks->running++;
    count(check, METRIC_CHECKS_RUNNING);
    exchange_on_gone(check->answer.exchange, client_is_gone, check);
}

static void charge_and_start(struct check *check)
{
    const struct checks_config *config = &check->checks->config;
    check->place_count = config->front ? gather_expected(config->front) : 1;
    struct budget_answer answer = budget_take(
        config->budget, &check->subject.caller, &check->subject.target, check->is_foreign,
        check->subject.port_count, check->place_count, loop_now(config->loop));

    if (answer.denied != BUDGET_NONE)
        reply_no_budget(check, answer);
    else
        start_check(check);
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
            reply_violations(check, "invalid_body", &violations);
        else
            reply_problem(check, PROBLEM_OVERLOADED, "no_memory", NULL, RETRY_SOON);
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
    reply_no_receipts(check);
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
        reply_violations(check, "invalid_query", &violations);
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
        reply_problem(check, PROBLEM_OVERLOADED, "no_memory", NULL, RETRY_SOON);
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
        reply_not_allowed(check, caller, &decision);
    else if (check->wants_receipt && check->is_foreign)
        reply_not_own_receipt(check, caller);
    else if (check->subject.port_count == 0)
        reply_no_ports(check);
    else if (!exchange_may_wait(check->answer.exchange))
        reply_crowded(check);
    else
        charge_and_start(check);
}

static bool is_draining(struct check *check)
{
    const struct checks_config *config = &check->checks->config;
    if (!config->is_draining(config->service))
        return false;

    count(check, METRIC_REFUSED_DRAINING);
    reply_problem(check, PROBLEM_DRAINING, "draining", NULL, RETRY_SOON);
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
        reply_unknown_caller(check, caller);
        return false;
    }
    if (caller->is_other_site) {
        reply_problem(check, PROBLEM_OTHER_SITE, "other_site", NULL, NULL);
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
        reply_no_ports(check);
    else
        reply_unknown_caller(check, caller);
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
        reply_problem(&check, PROBLEM_OVERLOADED, "no_memory", NULL, RETRY_SOON);
        return;
    }
    check.answer.form = ANSWER_PAGE;
    if (may_ask(&check, &caller) && read_form(&check))
        decide(&check, &caller);
}
