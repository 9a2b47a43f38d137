/* SPDX-License-Identifier: MIT
 *
 * The API of one worker: its routes, and what they need. The service uses
 * nothing else of `api`.
 *
 *   POST /check-ports   check_ports.h
 *   GET  /check-ports   with ports in the query: for the caller's own address
 *   GET  /health        {"status": "ok"}, or 503 {"status": "draining"}
 *   GET  /ip            {"ip": "203.0.113.7", "family": 4}: as the policy sees the caller
 *   GET  /limits        {"targets": "own", "max_ports": 1024, "timeout_seconds": 5.0}:
 *                       what this caller may ask; "own", "public" or "any" addresses
 *   GET  /.well-known/jwks.json
 *                       the keys of receipts, a JSON Web Key Set; 404 if none are given
 *   GET  /metrics       Prometheus text, for PORT_CHECKER_METRICS_FROM only
 *   GET  / and others   the page, its files and the reference: pages.h
 *   POST /              the page's form, answered with a page
 *
 * An unknown caller (policy/access.h) gets a 403 from /check-ports, POST /, /ip and
 * /metrics, and a page without the form from GET /. It may use everything else.
 *
 * With PORT_CHECKER_CORS_ORIGINS, pages of those origins can use all of these before
 * /metrics: replies, errors included, name the origin, and OPTIONS answers the preflight.
 * The server's own answers on any path name it too, so that a page can see why it failed,
 * unless no request was understood (`on_error` in http/exchange_run.h).
 *
 * /metrics requires that both the TCP peer and the caller as the policy sees it are inside.
 * It refuses a request with a forwarding header from a peer that is not a trusted proxy: an
 * undeclared proxy on this machine must not expose the metrics to the internet. A refusal
 * names the caller as GET /ip does; it names a declared proxy only to callers inside.
 */
#pragma once

#include "api/checks_config.h"
#include "http/error.h"
#include "http/exchange.h"

#include <stdbool.h>
#include <stddef.h>

struct api;
struct err;
struct probe_limit;
struct text;

/* All borrowed, for as long as the api lives. */
struct api_config {
    struct checks_config checks;

    /* Read for /metrics. */
    struct metrics *const *all; /* every worker's, complete before the first request */
    size_t all_count;
    const struct probe_limit *limit;
    void (*more_metrics)(const void *service, struct text *text);
    const char *version; /* without quotes or backslashes */
};

bool api_new(const struct api_config *config, struct api **ret, struct err *err);

/* After http_server_free(), which ends every exchange, and before engine_free(). */
struct api *api_free(struct api *api);

/* For http_config: the routes and their count. `handler_ctx` is the api, `error_body` is
 * problem_of_http_error() of problem.h. Constants. */
const struct http_route *api_routes(const struct api *api, size_t *ret_count);

/* The same for `on_error`; `ctx` is the api. A browser gets its 404 as a page. */
void api_on_error(void *ctx, struct exchange *exchange, enum http_error error);
