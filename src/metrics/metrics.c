/* SPDX-License-Identifier: MIT */
#include "metrics/metrics.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "metrics/exposition.h"
#include "metrics/process.h"
#include "probe/verdict.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_LINE       64
#define STATUS_FIRST     100
#define STATUS_LAST      599
#define STATUS_COUNT     (STATUS_LAST - STATUS_FIRST + 1)
#define NS(milliseconds) ((milliseconds) * NS_PER_MS)

enum family {
#define FAMILY(id, type, name, help) FAMILY_##id,
#include "metrics/metrics.def"
};

static const struct {
    const char *type, *name, *help;
} families[] = {
#define FAMILY(id, type, name, help) {type, METRICS_PREFIX name, help},
#include "metrics/metrics.def"
};

static const struct {
    enum family family;
    const char *labels;
} series[METRIC_COUNT] = {
#define METRIC(NAME, family, labels) {FAMILY_##family, labels},
#include "metrics/metrics.def"
};

static const struct {
    int errnum;
    const char *name;
} local_fault_errnos[] = {
#define FAULT_ERRNO(NAME) {NAME, #NAME},
#include "metrics/metrics.def"
};

#define LOCAL_FAULT_COUNT (sizeof local_fault_errnos / sizeof local_fault_errnos[0])
#define LOCAL_FAULT_OTHER LOCAL_FAULT_COUNT

/* From an answer in the same rack to the longest PORT_CHECK_TIMEOUT, with finer steps where
 * silence is judged. */
static const struct {
    const char *le;
    int64_t ns;
} buckets[] = {
    {"0.001", NS(1)},  {"0.0025", NS(5) / 2}, {"0.005", NS(5)},  {"0.01", NS(10)},
    {"0.025", NS(25)}, {"0.05", NS(50)},      {"0.1", NS(100)},  {"0.25", NS(250)},
    {"0.5", NS(500)},  {"1", NS(1000)},       {"1.3", NS(1300)}, {"1.5", NS(1500)},
    {"2", NS(2000)},   {"2.5", NS(2500)},     {"5", NS(5000)},   {"10", NS(10000)},
    {"20", NS(20000)},
};

#define BUCKET_COUNT (sizeof buckets / sizeof buckets[0])

struct metrics {
    _Alignas(CACHE_LINE) _Atomic int64_t values[METRIC_COUNT];
    _Atomic int64_t verdict_buckets[BUCKET_COUNT + 1]; /* not cumulative; the last one is
                                                          above all bounds */
    _Atomic int64_t verdict_ns;
    _Atomic int64_t local_faults[LOCAL_FAULT_COUNT + 1];
    _Atomic int64_t requests[METRIC_ROUTE_COUNT][STATUS_COUNT];
};

bool metrics_new(struct metrics **ret, struct err *err)
{
    static_assert(sizeof(struct metrics) % CACHE_LINE == 0, "aligned_alloc() asks for it");
    struct metrics *metrics = aligned_alloc(CACHE_LINE, sizeof *metrics);
    if (!metrics)
        return err_sys(err, ENOMEM, "metrics");

    memset(metrics, 0, sizeof *metrics);
    *ret = metrics;
    return true;
}

struct metrics *metrics_free(struct metrics *metrics)
{
    free(metrics);
    return NULL;
}

/* Each block has one writer, so nothing can come between the load and the store. */
static void add(_Atomic int64_t *value, int64_t n)
{
    int64_t old = atomic_load_explicit(value, memory_order_relaxed);
    atomic_store_explicit(value, old + n, memory_order_relaxed);
}

void metrics_add(struct metrics *metrics, enum metric metric, int64_t n)
{
    assert(metric < METRIC_COUNT);
    add(&metrics->values[metric], n);
}

void metrics_count_request(struct metrics *metrics, enum metric_route route,
                           unsigned status)
{
    assert(route < METRIC_ROUTE_COUNT);
    if (status < STATUS_FIRST || status > STATUS_LAST)
        status = 500;
    add(&metrics->requests[route][status - STATUS_FIRST], 1);
}

void metrics_count_local_fault(struct metrics *metrics, int errnum)
{
    size_t i = 0;
    while (i < LOCAL_FAULT_COUNT && local_fault_errnos[i].errnum != errnum)
        i++;
    add(&metrics->local_faults[i], 1);
}

void metrics_observe_verdict(struct metrics *metrics, const struct port_verdict *verdict)
{
    static_assert(METRIC_VERDICTS_LIMITED - METRIC_VERDICTS_OPEN ==
                          PORT_STATE_LIMITED - PORT_STATE_OPEN &&
                      METRIC_VERDICTS_CLOSED - METRIC_VERDICTS_OPEN == PORT_STATE_CLOSED,
                  "the rows are in the order of the states");
    assert(verdict->state < PORT_STATE_COUNT);
    metrics_add(metrics, METRIC_VERDICTS_OPEN + (unsigned)verdict->state, 1);

    int64_t ns = verdict->duration.ns > 0 ? verdict->duration.ns : 0;
    size_t i = 0;
    while (i < BUCKET_COUNT && ns > buckets[i].ns)
        i++;
    add(&metrics->verdict_buckets[i], 1);
    add(&metrics->verdict_ns, ns);
}

/* The sum, over all blocks, of the value at `offset` in a block. */
static int64_t sum(struct metrics *const blocks[], size_t count, size_t offset)
{
    int64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        const char *block = (const char *)blocks[i];
        const _Atomic int64_t *value = (const void *)(block + offset);
        total += atomic_load_explicit(value, memory_order_relaxed);
    }
    return total;
}

#define OFFSET_OF(member, index)                                                           \
    (offsetof(struct metrics, member) + (index) * sizeof(int64_t))

static void render_series(struct metrics *const blocks[], size_t count, struct text *text)
{
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        enum family family = series[i].family;
        const char *name = families[family].name;
        if (i == 0 || family != series[i - 1].family)
            exposition_header(text, name, families[family].type, families[family].help);

        bool has_labels = series[i].labels[0] != '\0';
        text_printf(text, "%s%s%s%s %" PRId64 "\n", name, has_labels ? "{" : "",
                    series[i].labels, has_labels ? "}" : "",
                    sum(blocks, count, OFFSET_OF(values, i)));
    }
}

static void render_requests(struct metrics *const blocks[], size_t count, struct text *text)
{
    static const char *const routes[] = {
#define X(NAME, text) text,
        METRIC_ROUTE_MAP(X)
#undef X
    };
    const char *name = METRICS_PREFIX "http_requests_total";

    exposition_header(text, name, "counter",
                      "HTTP requests, by route and status of the reply.");
    for (size_t i = 0; i < (size_t)METRIC_ROUTE_COUNT * STATUS_COUNT; i++) {
        int64_t value = sum(blocks, count, OFFSET_OF(requests, i));
        if (value != 0)
            text_printf(text, "%s{route=\"%s\",status=\"%zu\"} %" PRId64 "\n", name,
                        routes[i / STATUS_COUNT], i % STATUS_COUNT + STATUS_FIRST, value);
    }
}

static void render_local_faults(struct metrics *const blocks[], size_t count,
                                struct text *text)
{
    const char *name = METRICS_PREFIX "local_faults_total";

    exposition_header(text, name, "counter",
                      "Attempts that failed because of a fault of this checker, by errno.");
    for (size_t i = 0; i <= LOCAL_FAULT_OTHER; i++) {
        text_printf(text, "%s{errno=\"%s\"} %" PRId64 "\n", name,
                    i < LOCAL_FAULT_OTHER ? local_fault_errnos[i].name : "other",
                    sum(blocks, count, OFFSET_OF(local_faults, i)));
    }
}

/* _count is the sum of the buckets as read, so that it equals le="+Inf" even while other
 * threads go on counting. */
static void render_verdict_times(struct metrics *const blocks[], size_t count,
                                 struct text *text)
{
    const char *name = METRICS_PREFIX "verdict_seconds";
    int64_t cumulated = 0;

    exposition_header(text, name, "histogram",
                      "Time from a port's first SYN to its verdict.");
    for (size_t i = 0; i <= BUCKET_COUNT; i++) {
        cumulated += sum(blocks, count, OFFSET_OF(verdict_buckets, i));
        text_printf(text, "%s_bucket{le=\"%s\"} %" PRId64 "\n", name,
                    i < BUCKET_COUNT ? buckets[i].le : "+Inf", cumulated);
    }
    int64_t ns = sum(blocks, count, OFFSET_OF(verdict_ns, 0));
    text_printf(text, "%s_sum %" PRId64 ".%09" PRId64 "\n%s_count %" PRId64 "\n", name,
                ns / NS_PER_SECOND, ns % NS_PER_SECOND, name, cumulated);
}

static void append_log_lines(struct text *text, const struct metrics_facts *facts)
{
    const char *name = METRICS_PREFIX "log_lines_lost_total";
    exposition_header(text, name, "counter", "Log lines that were not written, by reason.");
    text_printf(text, "%s{reason=\"suppressed\"} %" PRIu64 "\n", name,
                facts->log_suppressed);
    text_printf(text, "%s{reason=\"dropped\"} %" PRIu64 "\n", name, facts->log_dropped);
}

void metrics_render(struct metrics *const blocks[], size_t count,
                    const struct metrics_facts *facts, struct text *text)
{
    exposition_header(text, METRICS_PREFIX "build_info", "gauge",
                      "1, with the version as its label.");
    text_printf(text, METRICS_PREFIX "build_info{version=\"%s\"} 1\n", facts->version);
    exposition_gauge(text, METRICS_PREFIX "workers", "Worker threads.", count);

    render_requests(blocks, count, text);
    render_series(blocks, count, text);
    render_verdict_times(blocks, count, text);
    render_local_faults(blocks, count, text);

    exposition_gauge(text, METRICS_PREFIX "probes_in_flight", "Open probe sockets.",
                     facts->probes_in_flight);
    exposition_gauge(text, METRICS_PREFIX "probes_max",
                     "Maximum number of open probe sockets.", facts->probes_max);
    exposition_gauge(text, METRICS_PREFIX "budget_entries", "Port budgets in use.",
                     facts->budget_entries);
    append_log_lines(text, facts);
    process_render(text);
}
