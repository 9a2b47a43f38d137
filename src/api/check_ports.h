/* SPDX-License-Identifier: MIT
 *
 * POST and GET /check-ports: from a request to a job of the engine, and from its verdicts
 * to a reply. Asked in this order, and the first "no" is the answer: is this checker
 * shutting down (503), is the body or the query a request (422), may this caller have that
 * address probed (403), are there ports at all (200 at once), is there budget for all of
 * them (429), can the engine take the job (503).
 *
 * A reply of 200 has a verdict for every port; the checker's own trouble is a 503 with
 * Retry-After. Whatever comes, the reply goes out CHECK_MILLISECONDS after the request at
 * the latest. A client that leaves ends its job at once. Ports that were never tried are
 * given back to the budget.
 *
 * A client may have the verdicts one by one while they come, see check_answer.h. A GET asks
 * about the caller's own address only, and the form of the page comes the same way; either
 * is a 403 when a page of another site sends it, for its reader did not ask for it.
 *
 * One log line a check (`event=check`), at info; with debug also one a port
 * (`event=verdict`).
 */
#pragma once

#include "api/caller.h"

#include <stdbool.h>
#include <stddef.h>

/* Clients give up after 30 s; the contract says 25; the rest is for the reply. */
#define CHECK_MILLISECONDS 24500

struct budget;
struct checks;
struct engine;
struct err;
struct exchange;
struct loop;
struct metrics;
struct pages;
struct settings;

/* All borrowed, for as long as the checks live. */
struct checks_config {
    struct loop *loop;
    struct engine *engine;
    const struct settings *settings;
    struct budget *budget;   /* shared */
    struct metrics *metrics; /* this worker's */
    const struct pages *pages;
    access_is_ours_fn *is_ours;
    bool (*is_draining)(const void *service); /* then nothing new is begun */
    const void *service;
};

/* The checks of one worker. */
bool checks_new(const struct checks_config *config, struct checks **ret, struct err *err);

/* After the HTTP server, which ends every exchange, and before the engine. */
struct checks *checks_free(struct checks *checks);

void check_ports_handle(struct checks *checks, struct exchange *exchange);

/* GET /check-ports?ports=... */
void check_query_handle(struct checks *checks, struct exchange *exchange);

/* POST / */
void check_form_handle(struct checks *checks, struct exchange *exchange);
