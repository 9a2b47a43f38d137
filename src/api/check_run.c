/* SPDX-License-Identifier: MIT */
#include "api/check_run.h"

#include "api/check.h"
#include "api/check_receipt.h"
#include "api/check_refusal.h"
#include "api/check_reply.h"
#include "base/err.h"
#include "base/text.h"
#include "http/exchange.h"
#include "loop/loop.h"
#include "policy/budget.h"
#include "settings/settings.h"
#include "vantage/gather.h"

#include <errno.h>
#include <stdlib.h>

static void refund(const struct check *check, size_t ports)
{
    const struct checks_config *config = &check->checks->config;
    budget_give_back(config->budget, &check->subject.caller, &check->subject.target,
                     check->is_foreign, ports, check->place_count, loop_now(config->loop));
}

/* Ends the accounting of a check that had a job. Called before the reply: a client that has
 * read it may ask another worker at once. */
static void check_end(struct check *check, size_t untried, size_t silent)
{
    struct checks *checks = check->checks;

    check->subject.has_cost = untried < check->subject.port_count;
    refund(check, untried);
    budget_charge_silent(checks->config.budget, &check->subject.target, check->is_foreign,
                         silent, loop_now(checks->config.loop));
    checks->running--;
    metrics_add(checks->config.metrics, METRIC_CHECKS_RUNNING, -1);
}

/* Whether the client would take missing places for a verdict: only details and the forms
 * for people show them. */
static bool hides_places(const struct check *check)
{
    return check->gather && !check->answer.has_details &&
           (check->answer.form == ANSWER_JSON || check->answer.form == ANSWER_STREAM);
}

static bool lacks_places(const struct check *check)
{
    for (size_t i = 0; hides_places(check) && i < check->subject.port_count; i++)
        if (gather_is_undecided(check->gather, i))
            return true;
    return false;
}

static void reply_lacking_places(struct check *check)
{
    struct job_result result = {.end = JOB_FAULT};
    AUTO_TEXT names = text_up_to(PLACES_MAX * (PLACE_NAME_SIZE + 1));
    for (size_t i = 0; i < gather_places(check->gather); i++) {
        struct gather_view view = gather_view(check->gather, i, 0);
        if (view.reason)
            text_printf(&names, "%s%s", names.len > 0 ? ", " : "", view.place);
    }
    err_set(
        &result.reason, ERR_SYSTEM,
        "this checker has no verdict from its places %.200s, and the others are too few",
        names.data);
    check_refuse_unjudged(check, &result);
}

/* Ends the check, which this place has judged. */
static void reply_verdicts(struct check *check, const struct answer_source *source)
{
    struct check_summary summary = {.limit = check->limit};
    struct port_verdict scratch;

    if (lacks_places(check)) {
        reply_lacking_places(check);
        return;
    }
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
        check_refuse_unjudged(check, &(struct job_result){.end = JOB_FAULT, .reason = err});
        return;
    }
    if (receipt)
        check_count(check, METRIC_RECEIPTS);
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

    if (hides_places(check) && gather_is_undecided(check->gather, index))
        return;
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
        check_refuse_unjudged(check, result);
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
    check_count(check, METRIC_CHECKS_ABANDONED);
    check_log_failure(&check->subject, 0, "client_left");
    answer_drop(&check->answer);
    check_free(check);
}

void check_reply_no_ports(struct check *check)
{
    const struct check_summary summary = {0};
    const struct answer_source source = {0};

    check_log_verdicts(&check->subject, &summary);
    answer_verdicts(&check->answer, &summary, &check->subject.target, &source, NULL);
}

/* ERR_LIMIT is the engine's "too many"; anything else is a lack of memory. */
static void reply_not_started(struct check *check, const struct err *err)
{
    check_refuse_unjudged(check,
                          &(struct job_result){
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

void check_start(struct check *request)
{
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
        refund(request, request->subject.port_count);
        reply_not_started(request, &err);
        return;
    }
    ask_places(check);
    check->checks->running++;
    check_count(check, METRIC_CHECKS_RUNNING);
    exchange_on_gone(check->answer.exchange, client_is_gone, check);
}
