/* SPDX-License-Identifier: MIT */
#include "api/routes.h"

#include "api/caller.h"
#include "api/check_answer.h"
#include "api/check_ports.h"
#include "api/negotiate.h"
#include "api/pages.h"
#include "api/problem.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "http/query.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "policy/budget.h"
#include "probe/engine.h"
#include "receipt/receipts.h"
#include "settings/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_TYPE          "application/json"
#define KEYS_TYPE          "application/jwk-set+json"
#define KEYS_CACHED        "public, max-age=3600" /* as long as a receipt is valid */
#define BODY_MAX           (64 * 1024)
#define PREFLIGHT_MAX_AGE  "600" /* seconds until a browser sees a change of the list */
#define CORS_HEADERS_SHOWN "Retry-After"
#define REASON_SIZE        256 /* why the metrics are refused, with an address */

struct api {
    struct api_config config;
    struct checks *checks; /* owned */
};

/* ---- other origins ---------------------------------------------------------------- */

static bool is_cors_on(const struct settings *settings)
{
    return settings->cors_origins.is_any || settings->cors_origins.count > 0;
}

/* Whether replies depend on the Origin. Then every reply says so, even without an Origin in
 * the request: a cache must not serve such a reply to a page. */
static bool varies_by_origin(const struct settings *settings)
{
    return is_cors_on(settings) && !settings->cors_origins.is_any;
}

/* Whether the page that asks may read the reply; if so, the headers say it. */
static bool allow_origin(const struct api *api, struct exchange *exchange)
{
    const struct settings *settings = api->config.checks.settings;
    const char *origin = exchange_header(exchange, "Origin");

    if (settings->cors_origins.is_any)
        origin = "*";
    else if (!caller_origin_is_listed(&settings->cors_origins, origin))
        return false;

    exchange_set_header(exchange, "Access-Control-Allow-Origin", origin);
    return true;
}

static void expose(const struct api *api, struct exchange *exchange)
{
    if (allow_origin(api, exchange))
        exchange_set_header(exchange, "Access-Control-Expose-Headers", CORS_HEADERS_SHOWN);
}

static void vary(const struct api *api, struct exchange *exchange)
{
    if (varies_by_origin(api->config.checks.settings))
        exchange_set_header(exchange, "Vary", "Origin");
}

static void share(const struct api *api, struct exchange *exchange)
{
    vary(api, exchange);
    expose(api, exchange);
}

static void preflight(const struct api *api, struct exchange *exchange, const char *methods)
{
    vary(api, exchange);
    if (allow_origin(api, exchange)) {
        exchange_set_header(exchange, "Access-Control-Allow-Methods", methods);
        exchange_set_header(exchange, "Access-Control-Allow-Headers", "content-type");
        exchange_set_header(exchange, "Access-Control-Max-Age", PREFLIGHT_MAX_AGE);
    }
    exchange_reply_const(exchange, 204, "text/plain", "", 0);
}

/* GET is there only with ports in the query, which a preflight has too. */
static void preflight_check(void *ctx, struct exchange *exchange)
{
    const char *query = exchange_query(exchange);
    size_t len;

    preflight(ctx, exchange, query_next(&query, "ports", &len) ? "GET, POST" : "POST");
}

static void preflight_get(void *ctx, struct exchange *exchange)
{
    preflight(ctx, exchange, "GET");
}

/* ---- the routes ------------------------------------------------------------------- */

static void reply_constant(struct exchange *exchange, unsigned status, const char *body)
{
    exchange_reply_const(exchange, status, JSON_TYPE, body, strlen(body));
}

static void reply_problem(struct exchange *exchange, enum problem problem,
                          const char *sentence)
{
    size_t len = 0;
    char *body = problem_body(problem, sentence, &len);
    exchange_reply(exchange, problem_status(problem), JSON_TYPE, body, len);
}

static void handle_check_ports(void *ctx, struct exchange *exchange)
{
    const struct api *api = ctx;

    share(api, exchange);
    check_ports_handle(api->checks, exchange);
}

static void handle_check_query(void *ctx, struct exchange *exchange)
{
    const struct api *api = ctx;

    share(api, exchange);
    check_query_handle(api->checks, exchange);
}

static void handle_health(void *ctx, struct exchange *exchange)
{
    const struct api *api = ctx;

    share(api, exchange);
    if (api->config.checks.is_draining(api->config.checks.service))
        reply_constant(exchange, 503, "{\"status\": \"draining\"}");
    else
        reply_constant(exchange, 200, "{\"status\": \"ok\"}");
}

static void warn_unknown(const struct api *api, struct exchange *exchange,
                         const struct access_caller *caller)
{
    const struct checks_config *config = &api->config.checks;

    caller_warn_unknown(exchange, caller, config->warnings, loop_now(config->loop));
}

/* On false, the reply has been sent. */
static bool know_caller(const struct api *api, struct exchange *exchange,
                        struct access_caller *ret)
{
    *ret = caller_of(exchange, api->config.checks.settings);
    if (ret->kind != CALLER_UNKNOWN)
        return true;

    metrics_add(api->config.checks.metrics, caller_unknown_metric(ret), 1);
    warn_unknown(api, exchange, ret);
    reply_problem(exchange, PROBLEM_CALLER_UNKNOWN, access_ground_sentence(ret->ground));
    return false;
}

static void reply_text(struct exchange *exchange, struct text *text)
{
    size_t len = 0;
    char *body = text_take(text, &len);
    exchange_reply(exchange, 200, JSON_TYPE, body, len);
}

static void handle_ip(void *ctx, struct exchange *exchange)
{
    const struct api *api = ctx;
    struct access_caller caller;
    char address[ADDRESS_TEXT_SIZE];
    struct text text;

    share(api, exchange);
    if (!know_caller(api, exchange, &caller))
        return;

    text_init(&text, 128);
    text_printf(&text, "{\"ip\": \"%s\", \"family\": %d}",
                address_format(&caller.address, address),
                address_family_number(&caller.address));
    reply_text(exchange, &text);
}

/* Which addresses this caller may name, in one word. */
static const char *scope_of(enum targets targets, const struct access_caller *caller)
{
    switch (targets) {
    case TARGETS_AUTO:
        return caller->kind == CALLER_OPERATOR ? "any" : "own";
    case TARGETS_CALLER:
        return "own";
    case TARGETS_PUBLIC:
        return "public";
    case TARGETS_ANY:
        return "any";
    }
    return "own"; /* not reached: a value outside the enum allows nothing */
}

static void handle_limits(void *ctx, struct exchange *exchange)
{
    const struct api *api = ctx;
    const struct settings *settings = api->config.checks.settings;
    struct access_caller caller = caller_of(exchange, settings);
    struct text text;

    share(api, exchange);
    text_init(&text, 128);
    text_printf(&text,
                "{\"targets\": \"%s\", \"max_ports\": %zu, \"timeout_seconds\": %.3f}",
                scope_of(settings->targets, &caller), settings->max_ports,
                span_to_ms(settings->check_timeout) / 1000);
    reply_text(exchange, &text);
}

static void handle_keys(void *ctx, struct exchange *exchange)
{
    const struct api *api = ctx;
    const struct receipts *receipts = api->config.checks.receipts;

    share(api, exchange);
    if (!receipts) {
        reply_constant(exchange, problem_status(PROBLEM_NOT_FOUND),
                       problem_text(PROBLEM_NOT_FOUND));
        return;
    }
    const char *keys = receipts_keys(receipts);
    exchange_set_header(exchange, "Cache-Control", KEYS_CACHED);
    exchange_reply_const(exchange, 200, KEYS_TYPE, keys, strlen(keys));
}

static void handle_page(void *ctx, struct exchange *exchange)
{
    const struct api *api = ctx;

    pages_handle(api->config.checks.pages, exchange, "Accept-Encoding");
}

/* Unknown callers cannot check anything, so their page has no form. */
static void handle_front(void *ctx, struct exchange *exchange)
{
    const struct api *api = ctx;
    struct access_caller caller = caller_of_reader(exchange, api->config.checks.settings);

    if (caller.kind != CALLER_UNKNOWN) {
        handle_page(ctx, exchange);
        return;
    }
    warn_unknown(api, exchange, &caller);
    answer_unknown_reader(api->config.checks.pages, exchange, 200,
                          access_ground_sentence(caller.ground));
}

/* Tools on other sites may read the description of the API, too. */
static void handle_openapi(void *ctx, struct exchange *exchange)
{
    const struct api *api = ctx;
    bool is_shared = varies_by_origin(api->config.checks.settings);

    expose(api, exchange);
    pages_handle(api->config.checks.pages, exchange,
                 is_shared ? "Origin, Accept-Encoding" : "Accept-Encoding");
}

static void handle_form(void *ctx, struct exchange *exchange)
{
    const struct api *api = ctx;

    check_form_handle(api->checks, exchange);
}

/* Whether the request came through an undeclared proxy. */
static bool has_strange_proxy(const struct settings *settings, struct exchange *exchange)
{
    struct address peer = exchange_peer(exchange);
    return caller_is_forwarded(exchange) &&
           !cidr_list_contains(&settings->trusted_proxies, &peer);
}

/* On false, `ret_reason` is for the reader. It names the caller: behind a bridge or a NAT
 * that address may be unexpected. Only callers that are inside themselves learn the address
 * of a trusted proxy. */
static bool may_read_metrics(const struct settings *settings, struct exchange *exchange,
                             const struct address *caller, char ret_reason[REASON_SIZE])
{
    const char *rule = problem_sentence(PROBLEM_METRICS_NOT_ALLOWED);
    struct address peer = exchange_peer(exchange);
    char name[ADDRESS_TEXT_SIZE];

    peer = address_unmap(&peer);
    if (has_strange_proxy(settings, exchange))
        snprintf(ret_reason, REASON_SIZE,
                 "%s: %s is a proxy that PORT_CHECKER_TRUSTED_PROXIES does not list; "
                 "connect without it, or add it there",
                 rule, address_format(caller, name));
    else if (!cidr_list_contains(&settings->metrics_from, caller))
        snprintf(ret_reason, REASON_SIZE, "%s: %s is not one of them", rule,
                 address_format(caller, name));
    else if (!cidr_list_contains(&settings->metrics_from, &peer))
        snprintf(ret_reason, REASON_SIZE, "%s: the proxy %s is not one of them", rule,
                 address_format(&peer, name));
    else
        return true;
    return false;
}

static void handle_metrics(void *ctx, struct exchange *exchange)
{
    const struct api *api = ctx;
    const struct api_config *config = &api->config;
    struct access_caller caller;
    char reason[REASON_SIZE];
    struct text text;
    size_t len = 0;

    if (!know_caller(api, exchange, &caller))
        return;
    if (!may_read_metrics(config->checks.settings, exchange, &caller.address, reason)) {
        metrics_add(config->checks.metrics, METRIC_REFUSED_METRICS, 1);
        reply_problem(exchange, PROBLEM_METRICS_NOT_ALLOWED, reason);
        return;
    }

    const struct log_counts lost = log_counts();
    const struct metrics_facts facts = {
        .version = config->version,
        .budget_entries = budget_entries(config->checks.budget),
        .probes_in_flight =
            atomic_load_explicit(&config->limit->in_flight, memory_order_relaxed),
        .probes_max = config->limit->max,
        .log_suppressed = lost.suppressed,
        .log_dropped = lost.dropped,
    };
    text_init(&text, METRICS_TEXT_MAX);
    metrics_render(config->all, config->all_count, &facts, &text);
    config->more_metrics(config->checks.service, &text);
    char *body = text_take(&text, &len);
    exchange_reply(exchange, 200, METRICS_CONTENT_TYPE, body, len);
}

/* clang-format off */
static const struct http_route routes[] = {
    {"POST",    "/check-ports",       handle_check_ports, BODY_MAX, METRIC_ROUTE_CHECK_PORTS},
    {"GET",     "/check-ports?ports", handle_check_query, BODY_MAX, METRIC_ROUTE_CHECK_PORTS},
    {"GET",     "/health",            handle_health,      BODY_MAX, METRIC_ROUTE_HEALTH},
    {"GET",     "/ip",                handle_ip,          BODY_MAX, METRIC_ROUTE_IP},
    {"GET",     "/limits",            handle_limits,      BODY_MAX, METRIC_ROUTE_LIMITS},
    {"GET",     "/.well-known/jwks.json", handle_keys,    BODY_MAX, METRIC_ROUTE_KEYS},
    {"GET",     "/metrics",           handle_metrics,     BODY_MAX, METRIC_ROUTE_METRICS},
    {"GET",     "/",                  handle_front,       BODY_MAX, METRIC_ROUTE_PAGE},
    {"POST",    "/",                  handle_form,        BODY_MAX, METRIC_ROUTE_PAGE},
    {"GET",     "/docs",              handle_page,        BODY_MAX, METRIC_ROUTE_DOCS},
    {"GET",     "/openapi.json",      handle_openapi,     BODY_MAX, METRIC_ROUTE_DOCS},
    {"GET",     "/style.css",         handle_page,        BODY_MAX, METRIC_ROUTE_PAGE},
    {"GET",     "/docs.css",          handle_page,        BODY_MAX, METRIC_ROUTE_DOCS},
    {"GET",     "/icon.svg",          handle_page,        BODY_MAX, METRIC_ROUTE_PAGE},
    {"GET",     "/favicon.ico",       handle_page,        BODY_MAX, METRIC_ROUTE_PAGE},
    {"GET",     "/app.js",            handle_page,        BODY_MAX, METRIC_ROUTE_PAGE},
    {"GET",     "/grid.js",           handle_page,        BODY_MAX, METRIC_ROUTE_PAGE},
    {"GET",     "/ports.js",          handle_page,        BODY_MAX, METRIC_ROUTE_PAGE},
    {"GET",     "/report.js",         handle_page,        BODY_MAX, METRIC_ROUTE_PAGE},
    {"GET",     "/stream.js",         handle_page,        BODY_MAX, METRIC_ROUTE_PAGE},
    {"GET",     "/words.js",          handle_page,        BODY_MAX, METRIC_ROUTE_PAGE},

    /* Only with PORT_CHECKER_CORS_ORIGINS, and therefore last. */
    {"OPTIONS", "/check-ports",       preflight_check,    0,        METRIC_ROUTE_CHECK_PORTS},
    {"OPTIONS", "/health",            preflight_get,      0,        METRIC_ROUTE_HEALTH},
    {"OPTIONS", "/ip",                preflight_get,      0,        METRIC_ROUTE_IP},
    {"OPTIONS", "/limits",            preflight_get,      0,        METRIC_ROUTE_LIMITS},
    {"OPTIONS", "/.well-known/jwks.json", preflight_get,  0,        METRIC_ROUTE_KEYS},
};
/* clang-format on */

/* ---- the api ---------------------------------------------------------------------- */

bool api_new(const struct api_config *config, struct api **ret, struct err *err)
{
    struct api *api = calloc(1, sizeof *api);
    if (!api)
        return err_sys(err, ENOMEM, "api");

    if (!checks_new(&config->checks, &api->checks, err)) {
        free(api);
        return false;
    }
    api->config = *config;
    *ret = api;
    return true;
}

struct api *api_free(struct api *api)
{
    if (!api)
        return NULL;

    checks_free(api->checks);
    free(api);
    return NULL;
}

const struct http_route *api_routes(const struct api *api, size_t *ret_count)
{
    size_t count = sizeof routes / sizeof routes[0];
    while (!is_cors_on(api->config.checks.settings) &&
           strcmp(routes[count - 1].method, "OPTIONS") == 0)
        count--;
    *ret_count = count;
    return routes;
}

/* Browsers accept text/html and do not name JSON. */
static bool prefers_html(struct exchange *exchange)
{
    const char *accept = exchange_header(exchange, "Accept");
    return negotiate_quality(accept, "text/html") > negotiate_quality(accept, JSON_TYPE);
}

void api_on_error(void *ctx, struct exchange *exchange, enum http_error error)
{
    share(ctx, exchange);
    if (error == HTTP_ERROR_NOT_FOUND && prefers_html(exchange))
        pages_not_found(exchange);
}
