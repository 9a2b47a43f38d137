/* SPDX-License-Identifier: MIT
 *
 * Counters for Prometheus. Each worker has a block of its own that only it writes, with
 * relaxed loads and stores, which needs no locked instruction; whoever answers
 * GET /metrics, in any thread, adds the blocks up.
 *
 * metrics.def is the list: one row per series, or per family with labels. What is not a
 * plain count (requests, local faults, the histogram, figures of the process) has its
 * family in metrics.c.
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

/* Label values of port_checker_http_requests_total. A request that no route fits counts
 * as OTHER. */
#define METRIC_ROUTE_MAP(X)                                                                \
    X(OTHER, "other")                                                                      \
    X(CHECK_PORTS, "/check-ports")                                                         \
    X(HEALTH, "/health")                                                                   \
    X(IP, "/ip")                                                                           \
    X(LIMITS, "/limits")                                                                   \
    X(METRICS, "/metrics")                                                                 \
    X(PAGE, "/")     /* with its files */                                                  \
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

/* A reply was sent, or its connection ended before. A `status` outside 100-599 is counted
 * as 500. */
void metrics_count_request(struct metrics *metrics, enum metric_route route,
                           unsigned status);

/* A connect(2) or socket(2) of ours failed for a reason that says nothing about the
 * target. An errno that has no row counts as "other". */
void metrics_count_local_fault(struct metrics *metrics, int errnum);

/* Counts the verdict by its state, and the time from the port's first SYN to it. */
void metrics_observe_verdict(struct metrics *metrics, const struct port_verdict *verdict);

/* What is not a count but a state of the process, read when /metrics is asked. */
struct metrics_facts {
    const char *version;
    size_t budget_entries;
    size_t probes_in_flight; /* sockets of probes, all workers */
    size_t probes_max;       /* their limit */
};

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_TEXT_MAX     (256 * 1024) /* a ceiling for `text` that is never reached */

/* Appends the sum of all blocks in Prometheus text format 0.0.4. The figures of the process
 * (process_*) are read from /proc at this moment; one that cannot be read is left out. */
void metrics_render(struct metrics *const blocks[], size_t count,
                    const struct metrics_facts *facts, struct text *text);
