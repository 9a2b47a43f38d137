/* SPDX-License-Identifier: MIT
 *
 * The answer below the page's form for a browser without JavaScript, as HTML. Pure.
 *
 * The order is: check_page_begin(), check_page_add() for every verdict in the order of the
 * request, check_page_end(). Adjacent ports with the same result are one row.
 */
#pragma once

#include "api/check_reply.h"
#include "api/problem.h"
#include "base/text.h"
#include "net/address.h"
#include "policy/access.h"
#include "probe/verdict.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct violation_list;

struct check_page {
    struct text html;
    const struct check_summary *summary; /* borrowed until check_page_end() */
    char address[ADDRESS_TEXT_SIZE];     /* that was checked */
    bool is_ipv6;
    struct port_verdict first; /* of the current row */
    uint16_t last;
    size_t count; /* of verdicts */
};

void check_page_begin(struct check_page *page, const struct check_summary *summary,
                      const struct address *target);
void check_page_add(struct check_page *page, const struct port_verdict *verdict);

/* All of these return HTML, to be freed with free(); NULL without memory. */
char *check_page_end(struct check_page *page);
/* `detail` says more than the texts of the page, or is NULL. */
char *check_page_problem(enum problem problem, const char *detail);
/* A refused address. `detail` is the operator's sentence, or NULL. */
char *check_page_refusal(enum access_reason reason, const char *detail);
char *check_page_violations(const struct violation_list *violations);
