/* SPDX-License-Identifier: MIT
 *
 * The API of one worker: its routes, and what they need. This is all that the service
 * knows of `api`.
 *
 *   POST /check-ports   check_ports.h
 *   GET  /health        {"status": "ok"}, or 503 {"status": "draining"}
 *   GET  /ip            {"ip": "203.0.113.7", "family": 4}: as the policy sees the caller
 *   GET  /limits        {"targets": "own", "max_ports": 1024, "timeout_seconds": 5.0}:
 *                       what this caller may ask; "own", "public" or "any" addresses
 *   GET  /metrics       Prometheus text, for PORT_CHECKER_METRICS_FROM only
 *   GET  / and others   the page, its files and the reference: pages.h
 *   POST /              the page's form, answered with a page
 *
 * With PORT_CHECKER_CORS_ORIGINS the first four may be used by pages of those origins:
 * replies, also those with errors, name the origin, and OPTIONS answers the preflight. On
 * any path the server's own answers name it too, so that a page may learn why it got no
 * other, except where no request was understood (`on_fault` in http/server.h).
 *
 * /metrics is given when both the TCP peer and the caller as the policy sees it are inside,
 * and not when a forwarding header stands in a request whose peer is no trusted proxy: a
 * proxy on this machine that nobody declared must not show the figures to the world. A
 * refusal names the caller as GET /ip does; a declared proxy only to callers inside.
 */
#pragma once

#include "http/exchange.h"
#include "policy/access.h"

#include <stdbool.h>
#include <stddef.h>

struct api;
struct budget;
struct engine;
struct err;
struct loop;
struct metrics;
struct pages;
struct probe_limit;
struct settings;

/* All borrowed, for as long as the api lives. */
struct api_config {
    struct loop *loop;
    struct engine *engine;
    const struct settings *settings;
    struct budget *budget;      /* shared by all workers */
    const struct pages *pages;  /* shared by all workers */
    access_is_ours_fn *is_ours; /* any thread */
    bool (*is_draining)(const void *service);
    const void *service;

    struct metrics *metrics;         /* this worker's, written here */
    struct metrics *const *all;      /* every worker's, read for /metrics */
    size_t all_count;                /* complete before the first request */
    const struct probe_limit *limit; /* likewise read for /metrics */
    const char *version;             /* without quotes or backslashes */
};

bool api_new(const struct api_config *config, struct api **ret, struct err *err);

/* After server_free(), which ends every exchange, and before engine_free(). */
struct api *api_free(struct api *api);

/* For server_config: routes and their count; `handler_ctx` is the api, `fault` is
 * problem_of_http_fault() of problem.h. Constants. */
const struct http_route *api_routes(const struct api *api, size_t *ret_count);

/* The same for `on_fault`; `ctx` is the api. A browser gets its 404 as a page. */
void api_on_fault(void *ctx, struct exchange *exchange, enum http_fault fault);
