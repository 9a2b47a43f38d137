/* SPDX-License-Identifier: MIT */
#include "api/check_refusal.h"

#include "api/check.h"
#include "policy/access.h"
#include "policy/budget.h"

#include <assert.h>
#include <stdio.h>

/* Seconds for Retry-After: a missing route does not come back by itself. */
#define RETRY_NO_ROUTE "300"

void check_refuse(struct check *check, enum problem problem, const char *reason,
                  const char *detail, const char *retry_after)
{
    check_log_failure(&check->subject, problem_status(problem), reason);
    answer_problem(&check->answer, problem, detail, retry_after);
}

void check_refuse_violations(struct check *check, const char *reason,
                             const struct violation_list *violations)
{
    check_log_failure(&check->subject, 422, reason);
    answer_violations(&check->answer, violations);
}

void check_refuse_target(struct check *check, const struct access_caller *caller,
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

    check_count(check, metrics[decision->reason]);
    access_explain(caller, decision, detail);
    check_log_failure(&check->subject, problem_status(PROBLEM_TARGET_NOT_ALLOWED),
                      access_reason_code(decision->reason));
    answer_refusal(&check->answer, decision->reason, detail,
                   caller->kind == CALLER_OPERATOR);
}

void check_refuse_unknown(struct check *check, const struct access_caller *caller)
{
    const struct checks_config *config = &check->checks->config;

    check_count(check, caller_unknown_metric(caller));
    caller_warn_unknown(check->answer.exchange, caller, config->warnings,
                        check->subject.begun);
    check_log_failure(&check->subject, problem_status(PROBLEM_CALLER_UNKNOWN),
                      access_ground_code(caller->ground));
    answer_unknown_caller(&check->answer, access_ground_sentence(caller->ground));
}

void check_refuse_budget(struct check *check, struct budget_answer answer)
{
    bool is_target = answer.denied == BUDGET_TARGET;
    char detail[320], target[ADDRESS_TEXT_SIZE], retry_after[24];

    check_count(check,
                is_target ? METRIC_BUDGET_DENIED_TARGET : METRIC_BUDGET_DENIED_CALLER);
    address_format(&check->subject.target, target);
    if (answer.retry_after.ns < 0) {
        snprintf(detail, sizeof detail,
                 "%zu ports exceed what this checker's rate limit allows at once: "
                 "request fewer ports at a time",
                 check->subject.port_count);
        check_refuse(check, PROBLEM_RATE_LIMITED, "never_enough_budget", detail, NULL);
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
    check_refuse(check, PROBLEM_RATE_LIMITED, is_target ? "target_budget" : "caller_budget",
                 detail, retry_after);
}

void check_refuse_unjudged(struct check *check, const struct job_result *result)
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
    check_count(check, ends[result->end].metric);
    snprintf(detail, sizeof detail, "%s: %s", result->reason.message,
             ends[result->end].advice);
    check_refuse(check, ends[result->end].problem, result->reason.message, detail,
                 ends[result->end].retry_after);
}

void check_refuse_crowded(struct check *check)
{
    check_count(check, METRIC_REFUSED_OVERLOADED);
    check_refuse(check, PROBLEM_OVERLOADED, "too_many_checks", NULL, RETRY_SOON);
}

void check_refuse_no_receipts(struct check *check)
{
    struct violation_list violations = {0};

    violation_add_message(&violations, VIOLATION_VALUE,
                          (struct violation_place){.field = "receipt"},
                          "this checker gives no receipts (PORT_CHECKER_RECEIPT_KEY is not "
                          "set): leave out receipt, or use another checker");
    check_refuse_violations(check, "no_receipts", &violations);
}

void check_refuse_foreign_receipt(struct check *check, const struct access_caller *caller)
{
    char detail[320], own[ADDRESS_TEXT_SIZE], target[ADDRESS_TEXT_SIZE];

    snprintf(detail, sizeof detail,
             "receipts are only for your own address: name %s in provider_ip instead of "
             "%s, or leave out receipt",
             address_format(&caller->address, own),
             address_format(&check->subject.target, target));
    check_count(check, METRIC_REFUSED_RECEIPT);
    check_refuse(check, PROBLEM_RECEIPT_NOT_ALLOWED, "receipt_not_allowed", detail, NULL);
}
