/* SPDX-License-Identifier: MIT
 *
 * The replies of a check that are not a 200: each logs why and ends the exchange, and
 * counts it if it has a metric of its own. The check itself stays the caller's.
 */
#pragma once

#include "api/problem.h"

struct access_caller;
struct access_decision;
struct budget_answer;
struct check;
struct job_result;

/* Seconds for Retry-After where nothing better is known: a restart takes a moment, an
 * overload a few. */
#define RETRY_SOON "5"

/* `detail` NULL: the sentence of the table. `retry_after` may be NULL. */
void check_refuse(struct check *check, enum problem problem, const char *reason,
                  const char *detail, const char *retry_after);
void check_refuse_violations(struct check *check, const char *reason,
                             const struct violation_list *violations);

void check_refuse_target(struct check *check, const struct access_caller *caller,
                         const struct access_decision *decision);
void check_refuse_unknown(struct check *check, const struct access_caller *caller);
void check_refuse_budget(struct check *check, struct budget_answer answer);

/* Says why there are no verdicts, in the engine's words, and what the client can do. */
void check_refuse_unjudged(struct check *check, const struct job_result *result);

/* Checks of this network, or of all, keep so many connections that others need the rest. */
void check_refuse_crowded(struct check *check);

/* This checker gives none, or not to this caller. */
void check_refuse_no_receipts(struct check *check);
void check_refuse_foreign_receipt(struct check *check, const struct access_caller *caller);
