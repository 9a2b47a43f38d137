/* SPDX-License-Identifier: MIT
 *
 * One log line per check (`event=check`), at info; with debug also one per port
 * (`event=verdict`). Lines of requests that cost nothing are limited (base/log.h).
 */
#pragma once

#include "base/clock.h"
#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>

struct check_summary;
struct port_verdict;

/* Who asked about what, as far as it is known. */
struct check_subject {
    struct address caller;
    struct address target;
    struct instant begun;
    size_t port_count;
    bool has_target; /* the request was read far enough to know it */
    bool has_cost;   /* it used up a part of a budget */
};

void check_log_verdicts(const struct check_subject *subject,
                        const struct check_summary *summary);

/* `status` 0: the client has left. */
void check_log_failure(const struct check_subject *subject, unsigned status,
                       const char *reason);

void check_log_port(const struct check_subject *subject,
                    const struct port_verdict *verdict);
