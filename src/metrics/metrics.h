/* SPDX-License-Identifier: MIT
 *
 * Counters for Prometheus. Each worker has a block of its own that only it writes, with
 * relaxed atomics; whoever answers GET /metrics adds the blocks up. A count costs one
 * uncontended add.
 *
 * metrics.def is the list: one row per series, or per family with labels.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct metrics;
struct text;

enum metric {
#define METRIC(NAME, family, labels) METRIC_##NAME,
#include "metrics/metrics.def"
#undef METRIC
    METRIC_COUNT
};

/* Label values of port_checker_http_requests_total. A request that no route fits counts
 * as OTHER. */
#define METRIC_ROUTE_MAP(X)                                                                \
    X(OTHER, "other")                                                                      \
    X(CHECK_PORTS, "/check-ports")                                                         \
    X(HEALTH, "/health")                                                                   \
    X(IP, "/ip")                                                                           \
    X(METRICS, "/metrics")

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

/* A reply was sent, or its connection ended before. `status` 100-599. */
void metrics_count_request(struct metrics *metrics, enum metric_route route,
                           unsigned status);

/* A connect(2) or socket(2) of ours failed for a reason that says nothing about the
 * target. */
void metrics_count_local_fault(struct metrics *metrics, int errnum);

/* From a port's first SYN to its verdict. */
void metrics_observe_verdict(struct metrics *metrics, struct span duration);

/* What is not a count but a state of the process, read when /metrics is asked. */
struct metrics_facts {
    const char *version;
    size_t connections;
    size_t budget_entries;
    size_t probes_in_flight;
    size_t probes_max;
};

/* Prometheus text format 0.0.4 of the sum of all blocks. */
void metrics_render(struct metrics *const blocks[], size_t count,
                    const struct metrics_facts *facts, struct text *text);
