/* SPDX-License-Identifier: MIT
 *
 * Counters for Prometheus. Each worker has its own block and is the only one to write it,
 * with relaxed loads and stores and no locked instructions. The thread that answers GET
 * /metrics adds the blocks up.
 *
 * metrics.def is the list: one row per series, or per family with labels. Families that
 * are not plain counts (requests, local faults, the histogram, figures of the process) are
 * in metrics.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct metrics;
struct port_verdict;
struct text;

enum metric {
#define METRIC(NAME, family, labels) METRIC_##NAME,
#include "metrics/metrics.def"
    METRIC_COUNT
};

/* Label values of port_checker_http_requests_total. OTHER is for requests without a
 * route. */
#define METRIC_ROUTE_MAP(X)                                                                \
    X(OTHER, "other")                                                                      \
    X(CHECK_PORTS, "/check-ports")                                                         \
    X(HEALTH, "/health")                                                                   \
    X(IP, "/ip")                                                                           \
    X(LIMITS, "/limits")                                                                   \
    X(KEYS, "/.well-known/jwks.json")                                                      \
    X(METRICS, "/metrics")                                                                 \
    X(PAGE, "/")     /* and its files */                                                   \
    X(DOCS, "/docs") /* with /openapi.json */

enum metric_route {
#define X(NAME, text) METRIC_ROUTE_##NAME,
    METRIC_ROUTE_MAP(X)
#undef X
        METRIC_ROUTE_COUNT
};

/* One block, zeroed, on cache lines of its own. */
bool metrics_new(struct metrics **ret, struct err *err);
struct metrics *metrics_free(struct metrics *metrics);

/* Counters grow, gauges move both ways. */
void metrics_add(struct metrics *metrics, enum metric metric, int64_t n);

/* A reply was sent, or its connection ended first. A `status` outside 100-599 is counted as
 * 500. */
void metrics_count_request(struct metrics *metrics, enum metric_route route,
                           unsigned status);

/* A connect(2) or socket(2) failed for a reason that says nothing about the target. An
 * errno without a row counts as "other". */
void metrics_count_local_fault(struct metrics *metrics, int errnum);

/* Counts the verdict by its state, and the time from the port's first SYN to it. */
void metrics_observe_verdict(struct metrics *metrics, const struct port_verdict *verdict);

/* The state of the process, read for each GET /metrics. */
struct metrics_facts {
    const char *version;
    size_t budget_entries;
    size_t probes_in_flight; /* sockets of probes in all workers */
    size_t probes_max;       /* their limit */
    uint64_t log_suppressed; /* lines of the log: base/log.h */
    uint64_t log_dropped;
};

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_TEXT_MAX     (256 * 1024) /* a limit for `text` that is never reached */

/* Appends the sum of all blocks in Prometheus text format 0.0.4. The figures of the process
 * (process_*) are read from /proc at this moment; one that cannot be read is omitted. */
void metrics_render(struct metrics *const blocks[], size_t count,
                    const struct metrics_facts *facts, struct text *text);
