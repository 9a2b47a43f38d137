/* SPDX-License-Identifier: MIT
 *
 * POST and GET /check-ports: from a request to a job of the engine, and from its verdicts
 * to a reply. The tests run in this order, and the first failure is the answer: the caller
 * is unknown, or a page of another site asks (403), the checker is shutting down (503), the
 * body or the query is not a request (422), the caller may not have that address probed
 * (403), there are no ports (200 at once), the budget is too small (429), the engine cannot
 * take the job (503).
 *
 * A 200 has a verdict for every port; the checker's own problems are a 503 with
 * Retry-After. In any case the reply is sent at most CHECK_MILLISECONDS after the request.
 * A client that leaves ends its job at once. Ports that were not tried are refunded to the
 * budget.
 *
 * A front asks other places as well (vantage/gather.h). The own verdict is always one of
 * them; if this place cannot judge, there is no reply with verdicts. Nor is there one if
 * other places are missing for the verdict about a port, and the reply would not show it:
 * JSON without details.
 *
 * A receipt (receipt/receipts.h) is given only for the caller's own address: otherwise the
 * answer is a 403. If this checker gives none, it is a 422.
 *
 * A client can get the verdicts one by one, see check_answer.h. A GET asks about the
 * caller's own address only, and the form of the page takes the same path. A page of
 * another site gets a 403, because its reader did not request the check.
 */
#pragma once

#include "api/checks_config.h"

#include <stdbool.h>

struct checks;
struct err;
struct exchange;

/* The checks of one worker. */
bool checks_new(const struct checks_config *config, struct checks **ret, struct err *err);

/* After the HTTP server, which ends every exchange, and before the engine. */
struct checks *checks_free(struct checks *checks);

void check_ports_handle(struct checks *checks, struct exchange *exchange);

/* GET /check-ports?ports=... */
void check_query_handle(struct checks *checks, struct exchange *exchange);

/* POST / */
void check_form_handle(struct checks *checks, struct exchange *exchange);
