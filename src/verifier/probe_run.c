/* SPDX-License-Identifier: MIT */
#include "verifier/probe_run.h"

#include "base/err.h"
#include "base/fd.h"
#include "loop/loop.h"
#include "probe/engine.h"
#include "verifier/progress.h"
#include "verifier/report.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define DEADLINE_SECONDS 120
#define OWN_DESCRIPTORS  32
#define PROBES_LEAST     8

struct probe {
    const struct arguments *arguments; /* borrowed */
    struct loop *loop;                 /* owned, as is the engine */
    struct engine *engine;
    struct progress *progress;
    struct probe_limit limit;
    struct report *report; /* owned */
    struct instant start;
    size_t settled;
    bool is_done;
};

/* --- the engine's owner wants to know nothing more --------------------------------------
 */

static void ignore_attempt(void *ctx)
{
    (void)ctx;
}

static void ignore_settled(void *ctx, const struct port_verdict *verdict)
{
    (void)ctx;
    (void)verdict;
}

static void ignore_number(void *ctx, int number)
{
    (void)ctx;
    (void)number;
}

/* --- the report ----------------------------------------------------------------------- */

static struct remote_verdict verdict_of(const struct port_verdict *verdict)
{
    struct remote_verdict remote = {
        .state = verdict->state,
        .has_rtt = verdict->has_rtt,
        .rtt_ms = span_to_ms(verdict->rtt),
    };
    const char *words = port_verdict_error(verdict);
    reply_copy_printable(words ? words : "", remote.words, sizeof remote.words);
    return remote;
}

static void result_fill(const struct probe *probe, const struct job *job,
                        const struct job_result *done, struct checker_result *result)
{
    size_t count = probe->arguments->port_count;
    result->duration = instant_since(clock_now(), probe->start);
    if (done->end != JOB_JUDGED) {
        result->failure = FAILURE_INTERNAL;
        reply_copy_printable(done->reason.message[0] ? done->reason.message
                                                     : "not all ports could be tried",
                             result->message, sizeof result->message);
        return;
    }
    result->verdicts = calloc(count, sizeof *result->verdicts);
    if (!result->verdicts) {
        result->failure = FAILURE_INTERNAL;
        reply_copy_printable("out of memory", result->message, sizeof result->message);
        return;
    }
    for (size_t i = 0; i < count; i++)
        result->verdicts[i] = verdict_of(job_verdict(job, i));
}

static void port_settled(void *ctx, size_t index, const struct port_verdict *verdict)
{
    struct probe *probe = ctx;
    (void)index;
    (void)verdict;
    probe->settled++;
}

static void job_done(void *ctx, const struct job *job, const struct job_result *done)
{
    struct probe *probe = ctx;
    enum family which =
        address_family_number(&probe->arguments->target) == 6 ? FAMILY_6 : FAMILY_4;
    struct family_report *family = probe->report->families[which];
    family->checker_count = 1;
    result_fill(probe, job, done, &family->checkers[0].result);
    probe->is_done = true;
    loop_stop(probe->loop);
}

static bool report_begin(struct probe *probe, struct err *err)
{
    const struct arguments *arguments = probe->arguments;
    enum family which =
        address_family_number(&arguments->target) == 6 ? FAMILY_6 : FAMILY_4;
    struct family_report *family;
    if (!report_new(arguments->required, arguments->required_count, &probe->report, err) ||
        !family_report_new(which, arguments->ports, arguments->port_count, 1, &family, err))
        return false;

    probe->report->is_probe = true;
    probe->report->families[which] = family;
    family->has_public = true;
    family->public_address = arguments->target;
    for (size_t i = 0; i < family->port_count; i++)
        family->local[i].binding = BINDING_NONE;
    return true;
}

static enum status report_end(struct probe *probe, struct err *err)
{
    const struct arguments *arguments = probe->arguments;
    const struct report_policy policy = {
        .quorum = 1,
        .required = arguments->required,
        .required_count = arguments->required_count,
    };
    probe->report->duration = instant_since(clock_now(), probe->start);
    for (enum family which = 0; which < FAMILY_COUNT; which++)
        if (probe->report->families[which] &&
            !family_report_judge(probe->report->families[which], &policy, err))
            return STATUS_SYSTEM;
    if (!delivery_put(arguments, probe->report, err))
        return STATUS_SYSTEM;
    return delivery_status(probe->report);
}

/* --- life ----------------------------------------------------------------------------- */

static void progress_write(void *ctx, char *line, unsigned long size)
{
    const struct probe *probe = ctx;
    double seconds = span_to_seconds(instant_since(clock_now(), probe->start));
    snprintf(line, size, "%.1f s: %zu of %zu ports", seconds, probe->settled,
             probe->arguments->port_count);
}

static bool probes_allow(struct probe *probe, struct err *err)
{
    size_t limit;
    if (!fd_raise_limit(&limit, err))
        return false;

    size_t rest = limit > OWN_DESCRIPTORS ? limit - OWN_DESCRIPTORS : 0;
    probe->limit.max = rest < PROBES_LEAST ? PROBES_LEAST : rest;
    return true;
}

static bool begin(struct probe *probe, struct err *err)
{
    const struct arguments *arguments = probe->arguments;
    const struct engine_config config = {
        .timeout = arguments->timeout,
        .refusals_needed = 1,
        .limit = &probe->limit,
        .observer = {.attempted = ignore_attempt,
                     .settled = ignore_settled,
                     .deferred = ignore_number,
                     .local_fault = ignore_number},
    };
    if (!probes_allow(probe, err) || !loop_new(&probe->loop, err) ||
        !engine_new(probe->loop, &config, &probe->engine, err) || !report_begin(probe, err))
        return false;

    const struct job_request request = {
        .target = arguments->target,
        .ports = arguments->ports,
        .port_count = arguments->port_count,
        .deadline = instant_add(clock_now(), span_seconds(DEADLINE_SECONDS)),
        .settled = port_settled,
        .done = job_done,
        .ctx = probe,
    };
    struct job *job;
    return engine_start(probe->engine, &request, &job, err);
}

enum status probe_run(const struct arguments *arguments, struct err *err)
{
    struct probe probe = {.arguments = arguments, .start = clock_now()};
    enum status status = STATUS_SYSTEM;
    if (begin(&probe, err)) {
        probe.progress = progress_new(probe.loop, progress_write, &probe);
        bool has_run = loop_run(probe.loop, err);
        probe.progress = progress_free(probe.progress);
        assert(!has_run || probe.is_done);
        if (has_run)
            status = report_end(&probe, err);
    }
    engine_free(probe.engine);
    loop_free(probe.loop);
    report_free(probe.report);
    return status;
}
