/* SPDX-License-Identifier: MIT
 *
 * One check, as the modules that make it share it: check_ports reads and admits the
 * request, check_run has it judged and replies, check_refusal replies where there are no
 * verdicts. Nothing else includes this.
 */
#pragma once

#include "api/check_answer.h"
#include "api/check_log.h"
#include "api/checks_config.h"
#include "metrics/metrics.h"
#include "net/port_set.h"
#include "probe/engine.h"
#include "receipt/receipts.h"

#include <stdbool.h>
#include <stddef.h>

struct gather;

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

static inline void check_count(const struct check *check, enum metric metric)
{
    metrics_add(check->checks->config.metrics, metric, 1);
}
