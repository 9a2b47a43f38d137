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

#define PAGE_MIXES_MAX 8

/* Ports that the same places reach and the same could not: one line below the table. */
struct page_mix {
    struct check_places places;
    size_t count;
    struct text runs; /* of the ports, as in the table */
};

struct check_page {
    struct text html;
    const struct check_summary *summary; /* borrowed until check_page_end() */
    char address[ADDRESS_TEXT_SIZE];     /* that was checked */
    bool is_ipv6;
    struct port_verdict first;  /* of the current row */
    struct check_places places; /* of the current row; borrows from its caller's */
    uint16_t last;
    size_t count;                         /* of verdicts */
    size_t told_states[PORT_STATE_COUNT]; /* ports that get the advice of their states */
    size_t undecided;                     /* ports that miss places instead */
    size_t mix_count;
    struct page_mix mixes[PAGE_MIXES_MAX]; /* owned; further ones are in the table only */
};

void check_page_begin(struct check_page *page, const struct check_summary *summary,
                      const struct address *target);

/* `places` NULL = none; what its views point to must stay until check_page_end(). */
void check_page_add(struct check_page *page, const struct port_verdict *verdict,
                    const struct check_places *places);

/* All of these return HTML, to be freed with free(); NULL without memory. */
char *check_page_end(struct check_page *page);
/* `detail` says more than the texts of the page, or is NULL. */
char *check_page_problem(enum problem problem, const char *detail);
/* A refused address. `detail` is the operator's sentence, or NULL. */
char *check_page_refusal(enum access_reason reason, const char *detail);
char *check_page_violations(const struct violation_list *violations);
