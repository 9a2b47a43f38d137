/* SPDX-License-Identifier: MIT */
#include "metrics/observer.h"

#include "metrics/metrics.h"

static void attempted(void *ctx)
{
    metrics_add(ctx, METRIC_PROBE_ATTEMPTS, 1);
}

static void controlled(void *ctx, bool is_answered)
{
    metrics_add(ctx, is_answered ? METRIC_CONTROLS_ANSWERED : METRIC_CONTROLS_MISSED, 1);
}

static void settled(void *ctx, const struct port_verdict *verdict)
{
    metrics_observe_verdict(ctx, verdict);
}

static void deferred(void *ctx, int change)
{
    metrics_add(ctx, METRIC_PORTS_DEFERRED, change);
}

static void suspected(void *ctx)
{
    metrics_add(ctx, METRIC_SUSPICIONS, 1);
}

static void local_fault(void *ctx, int errnum)
{
    metrics_count_local_fault(ctx, errnum);
}

struct engine_observer metrics_observer(struct metrics *metrics)
{
    return (struct engine_observer){
        .ctx = metrics,
        .attempted = attempted,
        .controlled = controlled,
        .settled = settled,
        .deferred = deferred,
        .suspected = suspected,
        .local_fault = local_fault,
    };
}
