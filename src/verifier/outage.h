/* SPDX-License-Identifier: MIT
 *
 * While watching, reports on standard error that no checker answers, or that the results of
 * some ports are kept because places of the checkers are missing: when that begins, when
 * the reasons change, and when it ends.
 */
#pragma once

struct report;

struct outage {
    char *told; /* owned; what was last reported, or NULL */
};

/* After every round. `firm` is the last report that counts; NULL in the first round, whose
 * own report names the reasons. */
void outage_tell(struct outage *outage, const struct report *firm,
                 const struct report *report);
void outage_done(struct outage *outage);
