/* SPDX-License-Identifier: MIT
 *
 * The handlers, from a request to a reply, with the HTTP side, the engine and the clock
 * played by this file.
 */
#include "api/routes.h"

#include "addresses.h"
#include "api/caller.h"
#include "api/pages.h"
#include "api/problem.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "policy/budget.h"
#include "probe/engine.h"
#include "settings/settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <setjmp.h>

#include <cmocka.h>

#define HEADERS_MAX 8

/* ---- the clock -------------------------------------------------------------------- */

static struct instant fake_now;

struct instant loop_now(const struct loop *loop)
{
    (void)loop;
    return fake_now;
}

/* No check of these tests asks other places. */
bool loop_timer_set(struct loop *loop, struct timer *timer, struct instant deadline)
{
    (void)loop;
    (void)timer;
    (void)deadline;
    fail_msg("no timer is wanted");
    return false;
}

void loop_timer_stop(struct loop *loop, struct timer *timer)
{
    (void)loop;
    (void)timer;
    fail_msg("no timer is wanted");
}

/* ---- the HTTP side ---------------------------------------------------------------- */

struct exchange {
    const char *peer, *local;
    const char *body, *query;
    const char *headers[HEADERS_MAX][2]; /* of the request */
    bool is_http_1_0;
    bool is_crowded; /* it may not wait */

    exchange_fn *gone;
    void *gone_ctx;
    const struct http_route *route;
    unsigned status; /* 0 = no reply yet */
    bool is_stream, is_stream_ended;
    unsigned replies;
    char type[64];
    char reply[8192];
    char reply_headers[2048]; /* "Name: value\n" each */
};

struct address exchange_peer(const struct exchange *exchange)
{
    return address_of(exchange->peer ? exchange->peer : "192.0.2.7");
}

struct address exchange_local(const struct exchange *exchange)
{
    return address_of(exchange->local ? exchange->local : "192.0.2.1");
}

bool exchange_is_http_1_1(const struct exchange *exchange)
{
    return !exchange->is_http_1_0;
}

bool exchange_is_tls(const struct exchange *exchange)
{
    (void)exchange;
    return false;
}

const char *exchange_query(const struct exchange *exchange)
{
    return exchange->query ? exchange->query : "";
}

const char *exchange_body(const struct exchange *exchange, size_t *ret_len)
{
    const char *body = exchange->body ? exchange->body : "";
    *ret_len = strlen(body);
    return body;
}

const char *exchange_header(struct exchange *exchange, const char *name)
{
    for (size_t i = 0; i < HEADERS_MAX && exchange->headers[i][0]; i++) {
        if (strcasecmp(exchange->headers[i][0], name) == 0)
            return exchange->headers[i][1];
    }
    return NULL;
}

bool exchange_has_header(struct exchange *exchange, const char *name, bool is_prefix)
{
    for (size_t i = 0; i < HEADERS_MAX && exchange->headers[i][0]; i++) {
        const char *header = exchange->headers[i][0];
        if (is_prefix ? strncasecmp(header, name, strlen(name)) == 0
                      : strcasecmp(header, name) == 0)
            return true;
    }
    return false;
}

void exchange_set_header(struct exchange *exchange, const char *name, const char *value)
{
    size_t len = strlen(exchange->reply_headers);
    assert_int_equal(exchange->status, 0);
    snprintf(exchange->reply_headers + len, sizeof exchange->reply_headers - len,
             "%s: %s\n", name, value);
}

void exchange_reply_const(struct exchange *exchange, unsigned status,
                          const char *content_type, const char *body, size_t len)
{
    assert_non_null(body);
    exchange->status = status;
    exchange->replies++;
    snprintf(exchange->type, sizeof exchange->type, "%s", content_type);
    snprintf(exchange->reply, sizeof exchange->reply, "%.*s", (int)len, body);
}

void exchange_reply(struct exchange *exchange, unsigned status, const char *content_type,
                    char *body, size_t len)
{
    exchange_reply_const(exchange, status, content_type, body, len);
    free(body);
}

const struct http_route *exchange_route(const struct exchange *exchange)
{
    return exchange->route;
}

const char *exchange_path(const struct exchange *exchange)
{
    return exchange->route->path;
}

void exchange_stream_begin(struct exchange *exchange, unsigned status,
                           const char *content_type, size_t max)
{
    assert_false(exchange->is_stream);
    assert_true(max > 0);
    exchange_reply_const(exchange, status, content_type, "", 0);
    exchange->is_stream = true;
}

void exchange_stream_write(struct exchange *exchange, const char *bytes, size_t len)
{
    size_t at = strlen(exchange->reply);
    assert_true(exchange->is_stream && !exchange->is_stream_ended);
    snprintf(exchange->reply + at, sizeof exchange->reply - at, "%.*s", (int)len, bytes);
}

void exchange_stream_end(struct exchange *exchange)
{
    assert_true(exchange->is_stream && !exchange->is_stream_ended);
    exchange->is_stream_ended = true;
}

bool exchange_may_wait(const struct exchange *exchange, const struct address *caller)
{
    (void)caller;
    return !exchange->is_crowded;
}

void exchange_on_gone(struct exchange *exchange, exchange_fn *gone, void *ctx)
{
    exchange->gone = gone;
    exchange->gone_ctx = ctx;
}

/* ---- the engine ------------------------------------------------------------------- */

struct job {
    struct job_request request;
    uint16_t ports[2048];
    struct port_verdict verdicts[2048];
};

/* The one job that can run. */
static struct job the_job;
static bool is_job_running;
static const struct err *start_error; /* engine_start() fails with it unless NULL */
static size_t untried_when_cancelled, silent_when_cancelled;

bool engine_start(struct engine *engine, const struct job_request *request,
                  struct job **ret, struct err *err)
{
    (void)engine;
    if (start_error) {
        *err = *start_error;
        return false;
    }
    assert_false(is_job_running);
    assert_in_range(request->port_count, 1, 2048);
    is_job_running = true;
    the_job.request = *request;
    memcpy(the_job.ports, request->ports, request->port_count * sizeof *request->ports);
    *ret = &the_job;
    return true;
}

size_t engine_cancel(struct job *job, size_t *ret_silent)
{
    assert_ptr_equal(job, &the_job);
    assert_true(is_job_running);
    is_job_running = false;
    *ret_silent = silent_when_cancelled;
    return untried_when_cancelled;
}

const struct port_verdict *job_verdict(const struct job *job, size_t index)
{
    assert_in_range(index, 0, job->request.port_count - 1);
    return &job->verdicts[index];
}

/* The first port is open, and all others refuse. */
static void finish_job(void)
{
    const struct job_result result = {.end = JOB_JUDGED};
    assert_true(is_job_running);
    for (size_t i = 0; i < the_job.request.port_count; i++) {
        the_job.verdicts[i] = (struct port_verdict){
            .port = the_job.ports[i],
            .state = i == 0 ? PORT_STATE_OPEN : PORT_STATE_CLOSED,
            .errnum = i == 0 ? 0 : ECONNREFUSED,
            .has_rtt = true,
            .rtt = span_ms(2),
        };
    }
    is_job_running = false;
    the_job.request.done(the_job.request.ctx, &the_job, &result);
}

/* The first port is open, and the address has then stopped answering. */
static void finish_limited_job(void)
{
    const struct job_result result = {
        .end = JOB_JUDGED,
        .silent = the_job.request.port_count - 1,
        .limit = {.is_there = true, .answered = 1, .rate = 0.94},
    };
    assert_true(is_job_running);
    for (size_t i = 0; i < the_job.request.port_count; i++)
        the_job.verdicts[i] = (struct port_verdict){
            .port = the_job.ports[i],
            .state = i == 0 ? PORT_STATE_OPEN : PORT_STATE_LIMITED,
            .errnum = i == 0 ? 0 : ETIMEDOUT,
        };
    is_job_running = false;
    the_job.request.done(the_job.request.ctx, &the_job, &result);
}

static void fail_job(enum job_end end, const char *reason, size_t untried)
{
    struct job_result result = {.end = end, .untried = untried};
    assert_true(is_job_running);
    err_set(&result.reason, ERR_SYSTEM, "%s", reason);
    is_job_running = false;
    the_job.request.done(the_job.request.ctx, &the_job, &result);
}

/* ---- one worker ------------------------------------------------------------------- */

static struct settings settings;
static struct probe_limit limit = {.in_flight = 3, .max = 100};
static bool lab_is_draining;

static bool is_draining(const void *service)
{
    (void)service;
    return lab_is_draining;
}
static struct metrics *metrics;
static struct budget *budget;
static struct pages *pages;
static struct caller_warnings warnings;
static struct api *api;

static bool is_ours(const struct address *address)
{
    (void)address;
    return false;
}

static struct cidr cidr_of(const char *text)
{
    struct cidr cidr;
    assert_true(cidr_parse(text, strlen(text), &cidr, NULL));
    return cidr;
}

/* A budget of 10 ports, refilled at one per second; each caller may check its own
 * address. */
static void no_more_metrics(const void *service, struct text *text)
{
    (void)service;
    (void)text;
}

static int set_up(void **state)
{
    (void)state;
    fake_now = (struct instant){1000 * NS_PER_SECOND};
    start_error = NULL;
    untried_when_cancelled = silent_when_cancelled = 0;
    is_job_running = false;
    lab_is_draining = false;
    warnings.last_ns = 0;
    settings = (struct settings){
        .targets = TARGETS_AUTO,
        .max_ports = 1024,
        .metrics_from = {.count = 1, .items = {cidr_of("127.0.0.0/8")}},
        .trusted_proxies = {.count = 1, .items = {cidr_of("10.0.0.0/8")}},
    };
    assert_true(metrics_new(&metrics, NULL));
    assert_true(budget_new(1, 10, 64, &budget, NULL));
    assert_true(pages_new(&pages, NULL));

    const struct api_config config = {
        .checks = {.settings = &settings,
                   .budget = budget,
                   .metrics = metrics,
                   .pages = pages,
                   .warnings = &warnings,
                   .machine = {.is_ours = is_ours, .is_broadcast = is_ours},
                   .is_draining = is_draining},
        .all = &metrics,
        .all_count = 1,
        .limit = &limit,
        .more_metrics = no_more_metrics,
        .version = "1.2.3",
    };
    return api_new(&config, &api, NULL) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    assert_false(is_job_running);
    api = api_free(api); /* asserts that no check is left */
    pages = pages_free(pages);
    budget = budget_free(budget);
    metrics = metrics_free(metrics);
    return 0;
}

static void request(struct exchange *exchange, const char *method, const char *path)
{
    size_t count = 0;
    const struct http_route *routes = api_routes(api, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(routes[i].method, method) == 0 && strcmp(routes[i].path, path) == 0) {
            exchange->route = &routes[i];
            routes[i].handle(api, exchange);
            return;
        }
    }
    fail_msg("no route %s %s", method, path);
}

static void check(struct exchange *exchange, const char *body)
{
    exchange->body = body;
    request(exchange, "POST", "/check-ports");
}

#define OWN(ports) "{\"provider_ip\": \"192.0.2.7\", \"ports\": " ports "}"

/* `line` with a newline before and after it. */
static void assert_metric(const char *line)
{
    char wanted[128];
    struct text text;
    text_init(&text, METRICS_TEXT_MAX);
    metrics_render(&metrics, 1, &(struct metrics_facts){.version = "1.2.3"}, &text);
    snprintf(wanted, sizeof wanted, "\n%s\n", line);
    if (!strstr(text.data, wanted))
        fail_msg("no %s in\n%s", line, text.data);
    text_done(&text);
}

/* ---- checks ------------------------------------------------------------------------ */

static void a_check_of_one_s_own_address(void **state)
{
    (void)state;
    struct exchange exchange = {0};
    check(&exchange, OWN("[80, 81, 80]"));
    assert_int_equal(exchange.status, 0);
    assert_metric("port_checker_checks_running 1");
    assert_int_equal(the_job.request.port_count, 2);
    assert_true(the_job.request.deadline.ns == fake_now.ns + 24500 * NS_PER_MS);

    finish_job();
    assert_int_equal(exchange.status, 200);
    assert_string_equal(exchange.type, "application/json");
    assert_string_equal(
        exchange.reply,
        "{\"success\": true, \"results\": "
        "{\"80\": {\"accessible\": true, \"error\": null}, "
        "\"81\": {\"accessible\": false, \"error\": \"Connection refused\"}}, "
        "\"message\": \"Successfully verified 1 out of 2 ports\"}");
    assert_string_equal(exchange.reply_headers, "");
    assert_metric("port_checker_checks_running 0");
}

static void details_are_shown_to_who_asks(void **state)
{
    (void)state;
    struct exchange exchange = {0};
    check(&exchange,
          "{\"provider_ip\": \"192.0.2.7\", \"ports\": [80], \"details\": true}");
    finish_job();
    assert_non_null(strstr(exchange.reply, "\"state\": \"open\", \"rtt_ms\": 2.000, "
                                           "\"icmp\": null}"));
}

static void a_limit_is_shown_to_who_asks_for_details(void **state)
{
    (void)state;
    struct exchange exchange = {0};
    check(&exchange,
          "{\"provider_ip\": \"192.0.2.7\", \"ports\": [80, 81], \"details\": true}");
    finish_limited_job();
    assert_string_equal(
        exchange.reply,
        "{\"success\": true, \"results\": "
        "{\"80\": {\"accessible\": true, \"error\": null, \"state\": \"open\", "
        "\"rtt_ms\": null, \"icmp\": null}, "
        "\"81\": {\"accessible\": false, \"error\": \"Connection timed out\", "
        "\"state\": \"limited\", \"rtt_ms\": null, \"icmp\": null}}, "
        "\"message\": \"Successfully verified 1 out of 2 ports\", "
        "\"limit\": {\"answered\": 1, \"rate\": 0.9}}");

    exchange = (struct exchange){0};
    check(&exchange, OWN("[80, 81]"));
    finish_limited_job();
    assert_string_equal(
        exchange.reply,
        "{\"success\": true, \"results\": "
        "{\"80\": {\"accessible\": true, \"error\": null}, "
        "\"81\": {\"accessible\": false, \"error\": \"Connection timed out\"}}, "
        "\"message\": \"Successfully verified 1 out of 2 ports\"}");
}

static void a_mapped_address_is_probed_as_ipv4(void **state)
{
    (void)state;
    struct exchange exchange = {.peer = "::ffff:192.0.2.7"};
    check(&exchange, "{\"provider_ip\": \"::ffff:192.0.2.7\", \"ports\": [80]}");
    struct address target = address_of("192.0.2.7");
    assert_true(address_equals(&the_job.request.target, &target));
    finish_job();
    assert_int_equal(exchange.status, 200);
}

static void no_ports_are_answered_at_once_and_free_of_charge(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct exchange exchange = {0};
        check(&exchange, OWN("[]"));
        assert_int_equal(exchange.status, 200);
        assert_string_equal(exchange.reply,
                            "{\"success\": false, \"results\": {}, "
                            "\"message\": \"Successfully verified 0 out of 0 ports\"}");
    }
}

static void a_stranger_s_address_is_refused_even_without_ports(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"provider_ip\": \"198.51.100.9\", \"ports\": [80]}",
        "{\"provider_ip\": \"198.51.100.9\", \"ports\": []}",
    };
    for (size_t i = 0; i < 2; i++) {
        struct exchange exchange = {0};
        check(&exchange, bodies[i]);
        assert_int_equal(exchange.status, 403);
        assert_non_null(strstr(exchange.reply, "192.0.2.7"));
        assert_non_null(strstr(exchange.reply, "198.51.100.9"));
        assert_non_null(strstr(exchange.reply, "\", \"code\": \"target_not_allowed\"}"));
    }
    assert_metric("port_checker_refusals_total{reason=\"not_own_address\"} 2");
}

static void a_body_is_judged_before_the_policy(void **state)
{
    (void)state;
    struct exchange exchange = {0};
    check(&exchange, "{\"provider_ip\": \"198.51.100.9\", \"ports\": [0]}");
    assert_int_equal(exchange.status, 422);
    assert_string_equal(
        exchange.reply,
        "{\"detail\": [{\"loc\": [\"body\", \"ports\", 0], "
        "\"msg\": \"Invalid port number: 0\", \"type\": \"value_error\"}]}");
}

static void the_content_type_is_looked_at(void **state)
{
    (void)state;
    struct exchange exchange = {.headers = {{"Content-Type", "text/plain"}}};
    check(&exchange, OWN("[80]"));
    assert_int_equal(exchange.status, 422);
}

static void a_proxy_that_talks_nonsense_is_refused(void **state)
{
    (void)state;
    struct exchange exchange = {.peer = "10.0.0.1",
                                .headers = {{"X-Forwarded-For", "192.0.2.7, nonsense"}}};
    check(&exchange, OWN("[80]"));
    assert_int_equal(exchange.status, 403);
    assert_metric("port_checker_refusals_total{reason=\"bad_forwarded_for\"} 1");
}

static void the_caller_behind_a_proxy_is_the_one_it_names(void **state)
{
    (void)state;
    struct exchange exchange = {.peer = "10.0.0.1",
                                .headers = {{"X-Forwarded-For", "192.0.2.7"}}};
    check(&exchange, OWN("[80]"));
    assert_int_equal(exchange.status, 0);
    finish_job();
    assert_int_equal(exchange.status, 200);
}

static void a_budget_that_is_spent_says_when_to_come_back(void **state)
{
    (void)state;
    struct exchange first = {0}, second = {0}, third = {0};
    check(&first, OWN("[\"1-9\"]"));
    finish_job();
    fake_now.ns += 100 * NS_PER_MS;
    check(&second, OWN("[\"1-4\"]")); /* 1.1 are left, so 2.9 s are missing */
    assert_int_equal(second.status, 429);
    assert_string_equal(second.reply_headers, "Retry-After: 3\n");
    assert_non_null(strstr(second.reply, "\"code\": \"rate_limited\"}"));
    assert_metric("port_checker_budget_denials_total{scope=\"caller\"} 1");

    fake_now.ns += 3 * NS_PER_SECOND;
    check(&third, OWN("[\"1-4\"]"));
    finish_job();
    assert_int_equal(third.status, 200);
}

static void more_ports_than_the_budget_ever_has(void **state)
{
    (void)state;
    struct exchange exchange = {0};
    check(&exchange, OWN("[\"1-11\"]"));
    assert_int_equal(exchange.status, 429);
    assert_string_equal(exchange.reply_headers, "");
    assert_non_null(strstr(exchange.reply, "11 ports exceed"));
}

static void strangers_share_a_target_s_budget(void **state)
{
    (void)state;
    struct exchange first = {.peer = "192.0.2.8"}, second = {.peer = "192.0.2.9"},
                    own = {0};
    settings.targets = TARGETS_ANY;
    check(&first, OWN("[\"1-10\"]"));
    finish_job();
    check(&second, OWN("[\"1-10\"]"));
    assert_int_equal(second.status, 429);
    assert_string_equal(second.reply_headers, "Retry-After: 10\n");
    assert_metric("port_checker_budget_denials_total{scope=\"target\"} 1");
    check(&own, OWN("[\"1-10\"]"));
    finish_job();
    assert_int_equal(own.status, 200);
}

/* What did not answer costs the target five ports in all, and debts as well; not the
 * caller, and not an address that is the caller's own. */
static void silent_ports_cost_a_target_more(void **state)
{
    (void)state;
    struct exchange first = {.peer = "192.0.2.8"}, second = {.peer = "192.0.2.9"},
                    third = {.peer = "192.0.2.8"}, own = {0}, again = {0};
    settings.targets = TARGETS_ANY;
    check(&first, OWN("[\"1-5\"]"));
    finish_limited_job(); /* four of them are silent: 1 + 4 * 5 */
    check(&second, OWN("[1]"));
    assert_int_equal(second.status, 429);
    assert_string_equal(second.reply_headers, "Retry-After: 12\n");
    check(&third, "{\"provider_ip\": \"192.0.2.77\", \"ports\": [\"1-5\"]}");
    finish_job();
    assert_int_equal(third.status, 200);

    check(&own, OWN("[\"1-5\"]"));
    finish_limited_job();
    check(&again, OWN("[\"1-5\"]"));
    finish_job();
    assert_int_equal(again.status, 200);
}

static void silence_costs_a_target_more_when_the_client_leaves(void **state)
{
    (void)state;
    struct exchange first = {.peer = "192.0.2.8"}, second = {.peer = "192.0.2.9"};
    settings.targets = TARGETS_ANY;
    untried_when_cancelled = 2;
    silent_when_cancelled = 2;
    check(&first, OWN("[\"1-5\"]"));
    first.gone(first.gone_ctx, &first); /* 5 - 2 + 2 * 4 */
    check(&second, OWN("[1]"));
    assert_int_equal(second.status, 429);
    assert_string_equal(second.reply_headers, "Retry-After: 2\n");
}

/* Whether a check of `ports` out of 10 is granted now; it ends at once. */
static bool is_granted(const char *body)
{
    struct exchange exchange = {0};
    check(&exchange, body);
    if (exchange.status == 0)
        finish_job();
    return exchange.status == 200;
}

static void an_overloaded_checker_says_so_and_gives_back(void **state)
{
    (void)state;
    struct exchange exchange = {0};
    check(&exchange, OWN("[\"1-10\"]"));
    fail_job(JOB_OVERLOADED, "this checker is too busy", 4);
    assert_int_equal(exchange.status, 503);
    assert_string_equal(exchange.reply_headers, "Retry-After: 5\n");
    assert_string_equal(exchange.reply,
                        "{\"detail\": \"this checker is too busy: try again later, or use "
                        "another checker\", \"code\": \"overloaded\"}");
    assert_metric("port_checker_refusals_total{reason=\"overloaded\"} 1");
    assert_false(is_granted(OWN("[\"1-5\"]")));
    assert_true(is_granted(OWN("[\"1-4\"]")));
}

static void a_fault_and_a_missing_route_are_the_checker_s(void **state)
{
    (void)state;
    struct exchange fault = {0}, route = {0};
    check(&fault, OWN("[1]"));
    fail_job(JOB_FAULT, "this checker could not open a connection: Too many open files", 1);
    assert_int_equal(fault.status, 503);
    assert_non_null(strstr(fault.reply, "Too many open files: try again later"));
    assert_non_null(strstr(fault.reply, "\"code\": \"checker_fault\"}"));
    assert_metric("port_checker_refusals_total{reason=\"checker_fault\"} 1");

    check(&route, OWN("[1]"));
    fail_job(JOB_NO_ROUTE, "this checker has no IPv6 route", 1);
    assert_int_equal(route.status, 503);
    assert_string_equal(route.reply_headers, "Retry-After: 300\n");
    assert_string_equal(route.reply,
                        "{\"detail\": \"this checker has no IPv6 route: use another "
                        "checker\", \"code\": \"checker_fault\"}");
    assert_metric("port_checker_refusals_total{reason=\"no_route\"} 1");
}

static void among_too_many_checks_one_more_is_not_charged(void **state)
{
    (void)state;
    struct exchange exchange = {.is_crowded = true}, empty = {.is_crowded = true};
    check(&exchange, OWN("[\"1-10\"]"));
    assert_int_equal(exchange.status, 503);
    assert_string_equal(exchange.reply_headers, "Retry-After: 5\n");
    assert_non_null(strstr(exchange.reply, "\"code\": \"overloaded\"}"));
    assert_metric("port_checker_refusals_total{reason=\"overloaded\"} 1");
    assert_metric("port_checker_checks_running 0");
    assert_true(is_granted(OWN("[\"1-10\"]")));

    check(&empty, OWN("[]")); /* waits for nothing */
    assert_int_equal(empty.status, 200);
}

static void a_job_that_cannot_start_is_not_charged(void **state)
{
    (void)state;
    struct err busy, memory;
    struct exchange first = {0}, second = {0};
    err_set(&busy, ERR_LIMIT, "this checker is already checking 9 ports");
    err_sys(&memory, ENOMEM, "starting a check");
    start_error = &busy;
    check(&first, OWN("[\"1-10\"]"));
    start_error = &memory;
    check(&second, OWN("[\"1-10\"]"));
    start_error = NULL;
    assert_int_equal(first.status, 503);
    assert_non_null(strstr(first.reply, "\"code\": \"overloaded\"}"));
    assert_int_equal(second.status, 503);
    assert_non_null(strstr(second.reply, "\"code\": \"checker_fault\"}"));
    assert_metric("port_checker_checks_running 0");
    assert_true(is_granted(OWN("[\"1-10\"]")));
}

static void a_client_that_leaves_cancels_and_gets_its_ports_back(void **state)
{
    (void)state;
    struct exchange exchange = {0};
    untried_when_cancelled = 7;
    check(&exchange, OWN("[\"1-10\"]"));
    assert_non_null(exchange.gone);
    exchange.gone(exchange.gone_ctx, &exchange);
    assert_false(is_job_running);
    assert_int_equal(exchange.replies, 0);
    assert_metric("port_checker_checks_running 0");
    assert_metric("port_checker_checks_abandoned_total 1");
    assert_false(is_granted(OWN("[\"1-8\"]")));
    assert_true(is_granted(OWN("[\"1-7\"]")));
}

static void nothing_new_is_taken_while_draining(void **state)
{
    (void)state;
    struct exchange running = {0}, late = {0}, health = {0};
    check(&running, OWN("[80]"));
    lab_is_draining = true;
    check(&late, OWN("[80]"));
    assert_int_equal(late.status, 503);
    assert_non_null(strstr(late.reply, "\"code\": \"draining\"}"));
    assert_string_equal(late.reply_headers, "Retry-After: 5\n");

    request(&health, "GET", "/health");
    assert_int_equal(health.status, 503);
    assert_string_equal(health.reply, "{\"status\": \"draining\"}");

    finish_job();
    assert_int_equal(running.status, 200);
}

/* ---- the other routes --------------------------------------------------------------- */

static void health_is_ok(void **state)
{
    (void)state;
    struct exchange exchange = {0};
    request(&exchange, "GET", "/health");
    assert_int_equal(exchange.status, 200);
    assert_string_equal(exchange.reply, "{\"status\": \"ok\"}");
    assert_string_equal(exchange.type, "application/json");
}

static void ip_names_the_caller(void **state)
{
    (void)state;
    static const struct {
        const char *peer, *forwarded_for;
        unsigned status;
        const char *reply;
    } rows[] = {
        {"192.0.2.7", NULL, 200, "{\"ip\": \"192.0.2.7\", \"family\": 4}"},
        {"::ffff:192.0.2.7", NULL, 200, "{\"ip\": \"192.0.2.7\", \"family\": 4}"},
        {"2001:db8::1", "192.0.2.9", 200, "{\"ip\": \"2001:db8::1\", \"family\": 6}"},
        {"10.0.0.1", "192.0.2.9", 200, "{\"ip\": \"192.0.2.9\", \"family\": 4}"},
        {"10.0.0.1", "192.0.2.9:80", 200, "{\"ip\": \"192.0.2.9\", \"family\": 4}"},
        {"10.0.0.1", NULL, 403, NULL},
        {"10.0.0.1", "x", 403, NULL},
        {"127.0.0.1", NULL, 403, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct exchange exchange = {.peer = rows[i].peer};
        if (rows[i].forwarded_for) {
            exchange.headers[0][0] = "X-Forwarded-For";
            exchange.headers[0][1] = rows[i].forwarded_for;
        }
        request(&exchange, "GET", "/ip");
        assert_int_equal(exchange.status, rows[i].status);
        if (rows[i].reply)
            assert_string_equal(exchange.reply, rows[i].reply);
        else
            assert_non_null(strstr(exchange.reply, "\"code\": \"caller_unknown\"}"));
    }
}

static void metrics_are_for_those_inside(void **state)
{
    (void)state;
    static const struct {
        const char *peer, *header, *value;
        const char *code; /* NULL: allowed */
    } rows[] = {
        {"127.0.0.1", "Host", "localhost", NULL},
        {"::ffff:127.0.0.1", "Host", "127.0.0.1:7466", NULL},
        {"198.51.100.2", NULL, NULL, NULL},
        {"192.0.2.7", NULL, NULL, "metrics_not_allowed"},
        {"10.0.0.1", "X-Forwarded-For", "198.51.100.2", NULL},
        {"10.0.0.1", "X-Forwarded-For", "192.0.2.7", "metrics_not_allowed"},
        {"192.0.2.7", "X-Forwarded-For", "127.0.0.1", "metrics_not_allowed"},
        {"198.51.100.2", "Via", "1.1 x", "metrics_not_allowed"}, /* an undeclared proxy */
        {"10.0.0.1", NULL, NULL, "caller_unknown"},
        {"10.0.0.1", "X-Forwarded-For", "127.0.0.1", "caller_unknown"},
        {"127.0.0.1", "Host", "checker.example", "caller_unknown"},
        {"127.0.0.1", "X-Forwarded-For", "127.0.0.1", "caller_unknown"},
        {"127.0.0.1", "Via", "1.1 x", "caller_unknown"},
        {"127.0.0.1", "X-Forwarded-Proto", "https", "caller_unknown"},
    };
    settings.metrics_from.items[settings.metrics_from.count++] = cidr_of("198.51.100.2");
    settings.metrics_from.items[settings.metrics_from.count++] = cidr_of("10.0.0.0/8");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct exchange exchange = {.peer = rows[i].peer,
                                    .local = "127.0.0.1",
                                    .headers = {{rows[i].header, rows[i].value}}};
        request(&exchange, "GET", "/metrics");
        assert_int_equal(exchange.status, rows[i].code ? 403 : 200);
        if (!rows[i].code) {
            assert_string_equal(exchange.type, "text/plain; version=0.0.4; charset=utf-8");
            assert_non_null(
                strstr(exchange.reply, "port_checker_build_info{version=\"1.2.3\"} 1\n"));
        } else {
            assert_non_null(strstr(exchange.reply, rows[i].code));
        }
    }
    assert_metric("port_checker_refusals_total{reason=\"metrics_not_allowed\"} 4");
    assert_metric("port_checker_refusals_total{reason=\"caller_unknown\"} 6");
}

static void metrics_are_not_for_a_caller_that_cannot_be_read(void **state)
{
    (void)state;
    struct exchange exchange = {.peer = "10.0.0.1", .headers = {{"X-Forwarded-For", "x"}}};
    settings.metrics_from.items[settings.metrics_from.count++] = cidr_of("10.0.0.0/8");
    request(&exchange, "GET", "/metrics");
    assert_int_equal(exchange.status, 403);
    assert_non_null(strstr(exchange.reply, "\"code\": \"caller_unknown\"}"));
    assert_metric("port_checker_refusals_total{reason=\"bad_forwarded_for\"} 1");
}

/* ---- other origins ------------------------------------------------------------------ */

static void list_origin(const char *origin)
{
    struct origin_list *list = &settings.cors_origins;
    snprintf(list->items[list->count++], sizeof list->items[0], "%s", origin);
}

static void without_origins_there_is_nothing_of_cors(void **state)
{
    (void)state;
    struct exchange exchange = {.headers = {{"Origin", "https://a.example"}}};
    size_t count = 0;
    const struct http_route *routes = api_routes(api, &count);
    for (size_t i = 0; i < count; i++)
        assert_string_not_equal(routes[i].method, "OPTIONS");
    request(&exchange, "GET", "/health");
    assert_string_equal(exchange.reply_headers, "");
}

static void a_listed_origin_is_named(void **state)
{
    (void)state;
    struct exchange listed = {.headers = {{"Origin", "https://a.example"}}};
    struct exchange other = {.headers = {{"Origin", "https://a.example.org"}}};
    struct exchange none = {0};
    list_origin("http://b.example:8080");
    list_origin("https://a.example");
    check(&listed, "{}");
    assert_int_equal(listed.status, 422);
    assert_string_equal(listed.reply_headers,
                        "Vary: Origin\nAccess-Control-Allow-Origin: https://a.example\n"
                        "Access-Control-Expose-Headers: Retry-After\n");
    request(&other, "GET", "/ip");
    assert_string_equal(other.reply_headers, "Vary: Origin\n");
    request(&none, "GET", "/health");
    assert_string_equal(none.reply_headers, "Vary: Origin\n");
}

static void a_preflight_is_answered(void **state)
{
    (void)state;
    struct exchange post = {.headers = {{"Origin", "https://a.example"}}};
    struct exchange get = {.headers = {{"Origin", "https://a.example"}}};
    struct exchange query = {.headers = {{"Origin", "https://a.example"}},
                             .query = "ports=80"};
    struct exchange other = {.headers = {{"Origin", "https://x.example"}}};
    list_origin("https://a.example");
    request(&post, "OPTIONS", "/check-ports");
    assert_int_equal(post.status, 204);
    assert_string_equal(post.reply, "");
    assert_string_equal(post.reply_headers,
                        "Vary: Origin\nAccess-Control-Allow-Origin: https://a.example\n"
                        "Access-Control-Allow-Methods: POST\n"
                        "Access-Control-Allow-Headers: content-type\n"
                        "Access-Control-Max-Age: 600\n");
    request(&get, "OPTIONS", "/ip");
    assert_non_null(strstr(get.reply_headers, "Access-Control-Allow-Methods: GET\n"));
    request(&query, "OPTIONS", "/check-ports");
    assert_non_null(
        strstr(query.reply_headers, "Access-Control-Allow-Methods: GET, POST\n"));
    request(&other, "OPTIONS", "/health");
    assert_string_equal(other.reply_headers, "Vary: Origin\n");
}

static void any_origin(void **state)
{
    (void)state;
    struct exchange exchange = {.headers = {{"Origin", "null"}}};
    settings.cors_origins.is_any = true;
    request(&exchange, "GET", "/ip");
    assert_string_equal(exchange.reply_headers,
                        "Access-Control-Allow-Origin: *\n"
                        "Access-Control-Expose-Headers: Retry-After\n");
}

/* ---- streams ------------------------------------------------------------------------ */

#define STREAM_HEADERS .headers = {{"Accept", "application/x-ndjson"}}

static void settle(size_t index, enum port_state state, int errnum)
{
    const struct port_verdict verdict = {
        .port = the_job.ports[index], .state = state, .errnum = errnum};
    the_job.request.settled(the_job.request.ctx, index, &verdict);
}

static void a_stream_has_a_line_for_each_port_when_it_is_settled(void **state)
{
    (void)state;
    struct exchange exchange = {STREAM_HEADERS};
    check(&exchange, OWN("[80, 81]"));
    assert_false(exchange.is_stream);

    settle(1, PORT_STATE_CLOSED, ECONNREFUSED);
    assert_true(exchange.is_stream);
    assert_int_equal(exchange.status, 200);
    assert_string_equal(exchange.type, "application/x-ndjson");
    assert_string_equal(exchange.reply, "{\"port\": 81, \"accessible\": false, \"error\": "
                                        "\"Connection refused\"}\n");
    exchange.reply[0] = '\0';
    settle(0, PORT_STATE_OPEN, 0);
    assert_string_equal(exchange.reply,
                        "{\"port\": 80, \"accessible\": true, \"error\": null}\n");
    exchange.reply[0] = '\0';
    finish_job();
    assert_true(exchange.is_stream_ended);
    assert_string_equal(exchange.reply, "{\"success\": true, \"message\": \"Successfully "
                                        "verified 1 out of 2 ports\"}\n");
}

static void the_last_line_has_the_limit(void **state)
{
    (void)state;
    struct exchange exchange = {STREAM_HEADERS};
    check(&exchange,
          "{\"provider_ip\": \"192.0.2.7\", \"ports\": [80, 81], \"details\": true}");
    finish_limited_job();
    assert_string_equal(
        exchange.reply,
        "{\"success\": true, \"message\": \"Successfully verified 1 out of 2 "
        "ports\", \"limit\": {\"answered\": 1, \"rate\": 0.9}}\n");
}

static void a_fault_after_the_first_line_is_the_last_line(void **state)
{
    (void)state;
    struct exchange exchange = {STREAM_HEADERS};
    check(&exchange, OWN("[80, 81]"));
    settle(0, PORT_STATE_OPEN, 0);
    exchange.reply[0] = '\0';
    fail_job(JOB_FAULT, "no free source port", 1);
    assert_true(exchange.is_stream_ended);
    assert_string_equal(
        exchange.reply,
        "{\"detail\": \"no free source port: try again later, or use another "
        "checker\", \"code\": \"checker_fault\"}\n");
    assert_string_equal(exchange.reply_headers, "");
}

static void a_fault_before_the_first_line_has_its_status(void **state)
{
    (void)state;
    struct exchange exchange = {STREAM_HEADERS};
    check(&exchange, OWN("[80, 81]"));
    fail_job(JOB_OVERLOADED, "too many", 2);
    assert_false(exchange.is_stream);
    assert_int_equal(exchange.status, 503);
    assert_string_equal(exchange.reply_headers, "Retry-After: 5\n");
}

static void a_stream_of_no_ports_is_its_last_line(void **state)
{
    (void)state;
    struct exchange exchange = {STREAM_HEADERS};
    check(&exchange, OWN("[]"));
    assert_string_equal(exchange.type, "application/x-ndjson");
    assert_string_equal(exchange.reply, "{\"success\": false, \"message\": \"Successfully "
                                        "verified 0 out of 0 ports\"}\n");
}

static void a_client_that_leaves_its_stream_cancels(void **state)
{
    (void)state;
    struct exchange exchange = {STREAM_HEADERS};
    check(&exchange, OWN("[80, 81]"));
    settle(0, PORT_STATE_OPEN, 0);
    exchange.gone(exchange.gone_ctx, &exchange);
    assert_false(is_job_running);
    assert_false(exchange.is_stream_ended);
    assert_metric("port_checker_checks_abandoned_total 1");
}

/* ---- what a caller may ask ---------------------------------------------------------- */

static void limits_tell_what_this_caller_may_ask(void **state)
{
    (void)state;
    static const struct {
        enum targets targets;
        const char *word, *word_for_operator;
    } rows[] = {
        {TARGETS_AUTO, "own", "any"},
        {TARGETS_CALLER, "own", "own"},
        {TARGETS_PUBLIC, "public", "public"},
        {TARGETS_ANY, "any", "any"},
    };
    settings.check_timeout = span_ms(2500);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct exchange stranger = {0};
        struct exchange the_operator = {.peer = "127.0.0.1",
                                        .local = "127.0.0.1",
                                        .headers = {{"Host", "localhost:7466"}}};
        char wanted[128];
        settings.targets = rows[i].targets;
        request(&stranger, "GET", "/limits");
        snprintf(wanted, sizeof wanted,
                 "{\"targets\": \"%s\", \"max_ports\": 1024, \"timeout_seconds\": 2.500}",
                 rows[i].word);
        assert_string_equal(stranger.reply, wanted);
        request(&the_operator, "GET", "/limits");
        snprintf(wanted, sizeof wanted, "{\"targets\": \"%s\",", rows[i].word_for_operator);
        assert_memory_equal(the_operator.reply, wanted, strlen(wanted));
    }
}

/* ---- the page ----------------------------------------------------------------------- */

static void a_page_is_sent_once(void **state)
{
    (void)state;
    struct exchange first = {0};
    request(&first, "GET", "/stream.js");
    assert_int_equal(first.status, 200);
    const char *tag = strstr(first.reply_headers, "ETag: ");
    assert_non_null(tag);
    char known[64];
    snprintf(known, sizeof known, "%.18s", tag + strlen("ETag: "));

    struct exchange again = {.headers = {{"If-None-Match", known}}};
    request(&again, "GET", "/stream.js");
    assert_int_equal(again.status, 304);
    struct exchange squeezed = {
        .headers = {{"If-None-Match", known}, {"Accept-Encoding", "br, gzip"}}};
    request(&squeezed, "GET", "/stream.js");
    assert_int_equal(squeezed.status, 200);
    assert_non_null(strstr(squeezed.reply_headers, "Content-Encoding: gzip\n"));
}

static void form(struct exchange *exchange, const char *body)
{
    exchange->body = body;
    request(exchange, "POST", "/");
}

static void a_form_is_a_check_that_is_answered_with_a_page(void **state)
{
    (void)state;
    static struct exchange exchange; /* the fake keeps only the start of the page */
    exchange = (struct exchange){0};
    form(&exchange, "provider_ip=&ports=80%2C+82");
    assert_int_equal(the_job.request.port_count, 2);
    char target[ADDRESS_TEXT_SIZE];
    assert_string_equal(address_format(&the_job.request.target, target), "192.0.2.7");
    finish_job();
    assert_int_equal(exchange.status, 200);
    assert_string_equal(exchange.type, "text/html; charset=utf-8");
    assert_non_null(strstr(exchange.reply, "value=\"80, 82\""));
    assert_non_null(
        strstr(exchange.reply, "1 of 2 ports can be reached from this checker"));
}

static void what_was_typed_comes_back_as_text(void **state)
{
    (void)state;
    struct exchange exchange = {0};
    form(&exchange, "ports=%22%3E%3Cscript%3E&provider_ip=%3Ci%3E");
    assert_int_equal(exchange.status, 422);
    assert_null(strstr(exchange.reply, "<i>"));
    assert_null(strstr(exchange.reply, "\"><script>"));
    assert_non_null(strstr(exchange.reply, "&#34;&#62;&#60;script&#62;"));
    assert_non_null(strstr(exchange.reply, "value is not a valid IPv4 or IPv6 address"));
}

static void a_form_of_another_site_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        unsigned status;
    } rows[] = {
        {"Sec-Fetch-Site", "same-origin", 0},
        {"Sec-Fetch-Site", "none", 0},
        {"Sec-Fetch-Site", "cross-site", 403},
        {"Sec-Fetch-Site", "same-site", 403},
        {"Origin", "http://checker.example:7466", 0},
        {"Origin", "http://evil.example", 403},
        {"Origin", "null", 403},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct exchange exchange = {
            .headers = {{"Host", "checker.example:7466"}, {rows[i].name, rows[i].value}}};
        form(&exchange, "ports=80");
        assert_int_equal(exchange.status, rows[i].status);
        if (exchange.status == 0)
            exchange.gone(exchange.gone_ctx, &exchange);
    }
}

static void ask(struct exchange *exchange, const char *query)
{
    exchange->query = query;
    request(exchange, "GET", "/check-ports?ports");
}

static void a_query_is_a_check_of_the_caller_s_own_address(void **state)
{
    (void)state;
    struct exchange exchange = {.peer = "10.0.0.1",
                                .headers = {{"X-Forwarded-For", "::ffff:198.51.100.9"},
                                            {"Accept", "application/x-ndjson"}}};
    char target[ADDRESS_TEXT_SIZE];
    ask(&exchange, "ports=80%2C82&provider_ip=192.0.2.8&details=true");
    assert_string_equal(address_format(&the_job.request.target, target), "198.51.100.9");
    assert_int_equal(the_job.request.port_count, 2);
    finish_job();
    assert_int_equal(exchange.status, 200);
    assert_string_equal(exchange.type, "application/json");
    assert_string_equal(
        exchange.reply,
        "{\"success\": true, \"results\": "
        "{\"80\": {\"accessible\": true, \"error\": null}, "
        "\"82\": {\"accessible\": false, \"error\": \"Connection refused\"}}, "
        "\"message\": \"Successfully verified 1 out of 2 ports\"}");
}

static void a_query_is_answered_in_plain_text_where_that_is_preferred(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        bool is_plain;
    } rows[] = {
        {"text/plain", true},
        {"text/plain, application/json;q=0.9", true},
        {"text/plain, application/json", false},
        {"text/plain;q=0.5, application/json", false},
        {"text/plain;q=0", false},
        {"text/html, */*", false},
        {"*/*", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct exchange exchange = {.headers = {{"Accept", rows[i].accept}}};
        fake_now.ns += 60 * NS_PER_SECOND; /* the budget is full again */
        ask(&exchange, "ports=80,82");
        finish_job();
        assert_int_equal(exchange.status, 200);
        assert_string_equal(exchange.type, rows[i].is_plain ? "text/plain; charset=utf-8"
                                                            : "application/json");
        if (rows[i].is_plain)
            assert_string_equal(exchange.reply, "80 open\n82 closed: Connection refused\n");
    }
}

static void a_query_of_another_site_is_refused(void **state)
{
    (void)state;
    static const char *const headers[][2] = {
        {"Sec-Fetch-Site", "cross-site"},
        {"Sec-Fetch-Site", "same-site"},
        {"Origin", "http://evil.example"},
        {"Origin", "null"},
    };
    list_origin("http://friend.example");
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        struct exchange exchange = {.headers = {{"Host", "checker.example:7466"},
                                                {headers[i][0], headers[i][1]},
                                                {"Accept", "text/plain"}}};
        ask(&exchange, "ports=x");
        assert_int_equal(exchange.status, 403);
        assert_string_equal(exchange.reply,
                            "{\"detail\": \"this request came from a page of another site: "
                            "open this checker's own page\", \"code\": \"other_site\"}");
    }
    struct exchange listed = {.headers = {{"Host", "checker.example:7466"},
                                          {"Origin", "http://friend.example"},
                                          {"Sec-Fetch-Site", "cross-site"}}};
    ask(&listed, "ports=x");
    assert_int_equal(listed.status, 422);
}

static void a_post_of_another_site_is_refused_before_its_body_is_read(void **state)
{
    (void)state;
    struct exchange evil = {.headers = {{"Host", "checker.example"},
                                        {"Origin", "http://evil.example"}}},
                    listed = {.headers = {{"Host", "checker.example"},
                                          {"Origin", "http://friend.example"},
                                          {"Sec-Fetch-Site", "cross-site"}}};
    list_origin("http://friend.example");
    check(&evil, "x");
    assert_int_equal(evil.status, 403);
    assert_non_null(strstr(evil.reply, "\"code\": \"other_site\"}"));
    check(&listed, "x");
    assert_int_equal(listed.status, 422);
}

/* ---- unknown callers ---------------------------------------------------------------- */

static const struct exchange unknown_callers[] = {
    {.peer = "127.0.0.1", .local = "127.0.0.1", .headers = {{"Host", "checker.example"}}},
    {.peer = "127.0.0.1", .local = "127.0.1.1", .headers = {{"Host", "myhost"}}},
    {.peer = "::1", .local = "::1", .headers = {{"Host", "localhost"}, {"Via", "1.1 x"}}},
    {.peer = "127.0.0.1",
     .local = "127.0.0.1",
     .headers = {{"Host", "localhost"}, {"Origin", "http://evil.example"}}},
    {.peer = "127.0.0.1",
     .local = "127.0.0.1",
     .is_http_1_0 = true,
     .headers = {{"Host", "localhost"}}},
    {.peer = "10.0.0.1", .headers = {{"Host", "localhost"}}},
    {.peer = "10.0.0.1", .headers = {{"Forwarded", "for=_hidden"}}},
    {.peer = "10.0.0.1", .headers = {{"X-Forwarded-For", "127.0.0.1"}}},
};

static void an_unknown_caller_gets_no_verdict_under_any_setting(void **state)
{
    (void)state;
    static const char *const routes[][2] = {
        {"POST", "/check-ports"}, {"GET", "/check-ports?ports"}, {"POST", "/"},
        {"GET", "/ip"},           {"GET", "/metrics"},
    };
    settings.metrics_from.items[0] = cidr_of("0.0.0.0/0");
    for (int targets = TARGETS_AUTO; targets <= TARGETS_ANY; targets++) {
        settings.targets = (enum targets)targets;
        for (size_t i = 0; i < sizeof unknown_callers / sizeof unknown_callers[0]; i++) {
            for (size_t j = 0; j < sizeof routes / sizeof routes[0]; j++) {
                struct exchange exchange = unknown_callers[i];
                exchange.body = "{\"provider_ip\": \"127.0.0.1\", \"ports\": [80]}";
                exchange.query = "ports=80";
                request(&exchange, routes[j][0], routes[j][1]);
                assert_int_equal(exchange.status, 403);
                assert_non_null(strstr(exchange.reply, "PORT_CHECKER_TRUSTED_PROXIES"));
                assert_non_null(strstr(exchange.reply, "http://localhost"));
                assert_null(strstr(exchange.reply, "<form"));
            }
        }
    }
}

static void what_needs_no_caller_is_for_everyone(void **state)
{
    (void)state;
    static const char *const paths[] = {"/health", "/limits", "/docs", "/openapi.json",
                                        "/style.css"};
    for (size_t i = 0; i < sizeof unknown_callers / sizeof unknown_callers[0]; i++) {
        for (size_t j = 0; j < sizeof paths / sizeof paths[0]; j++) {
            struct exchange exchange = unknown_callers[i];
            request(&exchange, "GET", paths[j]);
            assert_int_equal(exchange.status, 200);
        }
    }
}

static void a_page_for_an_unknown_caller_has_a_sentence_in_place_of_its_form(void **state)
{
    (void)state;
    struct exchange unknown = unknown_callers[0], linked = {0};
    request(&unknown, "GET", "/");
    assert_int_equal(unknown.status, 200);
    assert_null(strstr(unknown.reply, "<form"));
    assert_null(strstr(unknown.reply, "<script"));
    assert_null(strstr(unknown.reply_headers, "ETag"));
    assert_non_null(strstr(unknown.reply, "PORT_CHECKER_TRUSTED_PROXIES"));
    assert_non_null(strstr(unknown.reply, "http://localhost"));

    /* a link of another site leads the operator to the page as it is */
    linked = (struct exchange){
        .peer = "127.0.0.1",
        .local = "127.0.0.1",
        .headers = {{"Host", "localhost:7466"}, {"Sec-Fetch-Site", "cross-site"}}};
    request(&linked, "GET", "/");
    assert_int_equal(linked.status, 200);
    assert_non_null(strstr(linked.reply, "<form"));
}

/* The log itself is captured by the test of the service. */
static void unknown_callers_are_warned_about_once_a_minute(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds; /* later than the request before */
        bool is_warned;
    } rows[] = {{0, true}, {0, false}, {59, false}, {1, true}, {60, true}, {30, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct exchange exchange = unknown_callers[0];
        int64_t before = warnings.last_ns;
        fake_now.ns += rows[i].seconds * NS_PER_SECOND;
        request(&exchange, "GET", "/ip");
        assert_int_equal(warnings.last_ns != before, rows[i].is_warned);
    }
    assert_metric("port_checker_refusals_total{reason=\"caller_unknown\"} 6");
}

static void a_query_is_under_the_same_policy_and_budget(void **state)
{
    (void)state;
    struct exchange bad = {.headers = {{"Accept", "text/plain"}}}, much = {0},
                    zone = {.peer = "fe80::1"}, unknown = {.peer = "10.0.0.1"}, late = {0};
    unknown.headers[0][0] = "X-Forwarded-For";
    unknown.headers[0][1] = "me";
    ask(&bad, "ports=0");
    assert_int_equal(bad.status, 422);
    assert_string_equal(bad.type, "application/json");
    assert_string_equal(bad.reply,
                        "{\"detail\": [{\"loc\": [\"query\", \"ports\"], \"msg\": "
                        "\"Invalid port number: 0\", \"type\": \"value_error\"}]}");
    ask(&much, "ports=1-11");
    assert_int_equal(much.status, 429);
    ask(&zone, "ports=1");
    assert_int_equal(zone.status, 403);
    ask(&unknown, "ports=1");
    assert_int_equal(unknown.status, 403);
    lab_is_draining = true;
    ask(&late, "ports=1");
    assert_int_equal(late.status, 503);
}

static void a_form_is_under_the_same_policy_and_budget(void **state)
{
    (void)state;
    struct exchange foreign = {0}, much = {0};
    form(&foreign, "provider_ip=192.0.2.8&ports=80");
    assert_int_equal(foreign.status, 403);
    assert_non_null(strstr(foreign.reply, "This checker only checks your own address"));
    assert_null(strstr(foreign.reply, "PORT_CHECKER_TARGETS"));
    form(&much, "ports=1-11");
    assert_int_equal(much.status, 429);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_check_of_one_s_own_address),
        TEST(details_are_shown_to_who_asks),
        TEST(a_limit_is_shown_to_who_asks_for_details),
        TEST(a_mapped_address_is_probed_as_ipv4),
        TEST(no_ports_are_answered_at_once_and_free_of_charge),
        TEST(a_stranger_s_address_is_refused_even_without_ports),
        TEST(a_body_is_judged_before_the_policy),
        TEST(the_content_type_is_looked_at),
        TEST(a_proxy_that_talks_nonsense_is_refused),
        TEST(the_caller_behind_a_proxy_is_the_one_it_names),
        TEST(a_budget_that_is_spent_says_when_to_come_back),
        TEST(more_ports_than_the_budget_ever_has),
        TEST(strangers_share_a_target_s_budget),
        TEST(silent_ports_cost_a_target_more),
        TEST(silence_costs_a_target_more_when_the_client_leaves),
        TEST(an_overloaded_checker_says_so_and_gives_back),
        TEST(among_too_many_checks_one_more_is_not_charged),
        TEST(a_fault_and_a_missing_route_are_the_checker_s),
        TEST(a_job_that_cannot_start_is_not_charged),
        TEST(a_client_that_leaves_cancels_and_gets_its_ports_back),
        TEST(nothing_new_is_taken_while_draining),
        TEST(health_is_ok),
        TEST(ip_names_the_caller),
        TEST(metrics_are_for_those_inside),
        TEST(a_stream_has_a_line_for_each_port_when_it_is_settled),
        TEST(the_last_line_has_the_limit),
        TEST(a_fault_after_the_first_line_is_the_last_line),
        TEST(a_fault_before_the_first_line_has_its_status),
        TEST(a_stream_of_no_ports_is_its_last_line),
        TEST(a_client_that_leaves_its_stream_cancels),
        TEST(limits_tell_what_this_caller_may_ask),
        TEST(a_page_is_sent_once),
        TEST(a_form_is_a_check_that_is_answered_with_a_page),
        TEST(what_was_typed_comes_back_as_text),
        TEST(a_form_of_another_site_is_refused),
        TEST(a_form_is_under_the_same_policy_and_budget),
        TEST(a_query_is_a_check_of_the_caller_s_own_address),
        TEST(a_query_is_answered_in_plain_text_where_that_is_preferred),
        TEST(a_query_of_another_site_is_refused),
        TEST(a_post_of_another_site_is_refused_before_its_body_is_read),
        TEST(an_unknown_caller_gets_no_verdict_under_any_setting),
        TEST(what_needs_no_caller_is_for_everyone),
        TEST(a_page_for_an_unknown_caller_has_a_sentence_in_place_of_its_form),
        TEST(unknown_callers_are_warned_about_once_a_minute),
        TEST(a_query_is_under_the_same_policy_and_budget),
        TEST(metrics_are_not_for_a_caller_that_cannot_be_read),
        TEST(without_origins_there_is_nothing_of_cors),
        TEST(a_listed_origin_is_named),
        TEST(a_preflight_is_answered),
        TEST(any_origin),
    };
    log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_WARNING);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
