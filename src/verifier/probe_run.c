/* SPDX-License-Identifier: MIT */
#include "verifier/probe_run.h"

#include "base/err.h"
#include "base/fd.h"
#include "loop/loop.h"
#include "probe/attempt.h"
#include "probe/engine.h"
#include "verifier/lockdown.h"
#include "verifier/progress.h"
#include "verifier/report.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_SECONDS 120
#define OWN_DESCRIPTORS  32
#define PROBES_LEAST     8

/* The target's address of one family. */
struct side {
    struct probe *probe;
    bool is_there;
    struct address target;
};

struct probe {
    const struct arguments *arguments; /* borrowed */
    struct side sides[FAMILY_COUNT];
    size_t waiting;    /* sides that have not ended */
    struct loop *loop; /* owned, as is the engine */
    struct engine *engine;
    struct progress *progress;
    struct probe_limit limit;
    struct report *report; /* owned */
    struct instant start;
    size_t settled;
};

/* --- the engine's owner wants to know nothing more --------------------------------------
 */

static void ignore_control(void *ctx, bool is_answered)
{
    (void)ctx;
    (void)is_answered;
}

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
        .looks = 1,
        .state = verdict->state,
        .has_rtt = verdict->has_rtt,
        .rtt_ms = span_to_ms(verdict->rtt),
    };
    const char *words = port_verdict_error(verdict);
    reply_copy_printable(words ? words : "", remote.words, sizeof remote.words);
    if (verdict->icmp.is_there) {
        reply_copy_printable(icmp_meaning(&verdict->icmp), remote.icmp, sizeof remote.icmp);
        remote.is_icmp_from_target = verdict->icmp.is_from_target;
    }
    return remote;
}

static void result_fail(struct checker_result *result, enum failure failure,
                        const char *words)
{
    const struct failure_facts facts = {.words = words};
    result->failure = failure;
    failure_message(failure, &facts, result->message);
}

static void result_fill(const struct probe *probe, const struct job *job,
                        const struct job_result *done, struct checker_result *result)
{
    size_t count = probe->arguments->port_count;
    result->duration = instant_since(clock_now(), probe->start);
    if (done->end != JOB_JUDGED) {
        const char *reason = done->reason.message;
        result_fail(result, FAILURE_INTERNAL,
                    reason[0] ? reason : "not all ports could be tried");
        return;
    }
    result->verdicts = calloc(count, sizeof *result->verdicts);
    if (!result->verdicts) {
        result_fail(result, FAILURE_NO_MEMORY, NULL);
        return;
    }
    for (size_t i = 0; i < count; i++)
        result->verdicts[i] = verdict_of(job_verdict(job, i));
}

static void port_settled(void *ctx, size_t index, const struct port_verdict *verdict)
{
    struct side *side = ctx;
    (void)index;
    (void)verdict;
    side->probe->settled++;
}

static void job_done(void *ctx, const struct job *job, const struct job_result *done)
{
    struct side *side = ctx;
    struct probe *probe = side->probe;
    struct family_report *family = probe->report->families[side - probe->sides];
    family->checker_count = 1;
    result_fill(probe, job, done, &family->checkers[0].result);
    if (--probe->waiting == 0)
        loop_stop(probe->loop);
}

static bool family_begin(struct probe *probe, enum family which, struct err *err)
{
    const struct arguments *arguments = probe->arguments;
    struct family_report *family;
    if (!family_report_new(which, arguments->ports, arguments->port_count, 1, &family, err))
        return false;

    probe->report->families[which] = family;
    family->has_public = true;
    family->public_address = probe->sides[which].target;
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

/* --- the target ----------------------------------------------------------------------- */

static void side_set(struct probe *probe, const struct address *address)
{
    enum family which = address_family_number(address) == 6 ? FAMILY_6 : FAMILY_4;
    struct side *side = &probe->sides[which];
    if (side->is_there || !probe->arguments->is_family[which])
        return;
    *side = (struct side){.probe = probe, .is_there = true, .target = *address};
    probe->waiting++;
}

/* Blocks while the resolver works. The first address of each family is used. */
static bool name_resolve(struct probe *probe, struct err *err)
{
    const char *name = probe->arguments->target;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int error = getaddrinfo(name, NULL, &hints, &found);
    if (error != 0)
        return err_set(err, ERR_SYSTEM, "cannot resolve \"%.100s\": %s", name,
                       gai_strerror(error));

    for (const struct addrinfo *row = found; row; row = row->ai_next) {
        char text[INET6_ADDRSTRLEN];
        struct address address;
        if (getnameinfo(row->ai_addr, row->ai_addrlen, text, sizeof text, NULL, 0,
                        NI_NUMERICHOST) == 0 &&
            address_parse(text, strlen(text), &address, NULL))
            side_set(probe, &address);
    }
    freeaddrinfo(found);
    return true;
}

static bool target_find(struct probe *probe, struct err *err)
{
    const char *target = probe->arguments->target;
    struct address address;
    if (address_parse(target, strlen(target), &address, NULL)) {
        address = address_unmap(&address);
        side_set(probe, &address);
    } else if (!name_resolve(probe, err)) {
        return false;
    }
    return probe->waiting > 0 ||
           err_set(err, ERR_SYSTEM, "\"%.100s\" has no IPv%d address", target,
                   probe->arguments->is_family[FAMILY_4] ? 4 : 6);
}

/* --- life ----------------------------------------------------------------------------- */

static void progress_write(void *ctx, char *line, size_t size)
{
    const struct probe *probe = ctx;
    double seconds = span_to_seconds(instant_since(clock_now(), probe->start));
    size_t sides =
        (size_t)probe->sides[FAMILY_4].is_there + probe->sides[FAMILY_6].is_there;
    snprintf(line, size, "%.1f s: %zu of %zu ports", seconds, probe->settled,
             probe->arguments->port_count * sides);
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

static bool side_begin(struct side *side, struct err *err)
{
    const struct arguments *arguments = side->probe->arguments;
    const struct job_request request = {
        .target = side->target,
        .ports = arguments->ports,
        .port_count = arguments->port_count,
        .deadline = instant_add(clock_now(), span_seconds(DEADLINE_SECONDS)),
        .settled = port_settled,
        .done = job_done,
        .ctx = side,
    };
    struct job *job;
    return engine_start(side->probe->engine, &request, &job, err);
}

static bool begin(struct probe *probe, struct err *err)
{
    const struct arguments *arguments = probe->arguments;
    const struct engine_config config = {
        .timeout = arguments->timeout,
        .refusals_needed = 1,
        .limit = &probe->limit,
        .observer = {.attempted = ignore_attempt,
                     .controlled = ignore_control,
                     .settled = ignore_settled,
                     .deferred = ignore_number,
                     .suspected = ignore_attempt,
                     .local_fault = ignore_number},
    };
    if (!attempt_check_kernel(err) || !probes_allow(probe, err) ||
        !loop_new(&probe->loop, err) ||
        !engine_new(probe->loop, &config, &probe->engine, err) ||
        !report_new(arguments->required, arguments->required_count, &probe->report, err))
        return false;

    probe->report->is_probe = true;
    for (enum family which = 0; which < FAMILY_COUNT; which++)
        if (probe->sides[which].is_there &&
            (!family_begin(probe, which, err) || !side_begin(&probe->sides[which], err)))
            return false;
    return true;
}

enum status probe_run(const struct arguments *arguments, struct err *err)
{
    struct probe probe = {.arguments = arguments, .start = clock_now()};
    enum status status = STATUS_SYSTEM;
    if (lockdown_apply(err) && target_find(&probe, err) && begin(&probe, err)) {
        if (!arguments->is_quiet)
            probe.progress = progress_new(probe.loop, progress_write, &probe);
        bool has_run = loop_run(probe.loop, err);
        probe.progress = progress_free(probe.progress);
        assert(!has_run || probe.waiting == 0);
        if (has_run)
            status = report_end(&probe, err);
    }
    engine_free(probe.engine);
    loop_free(probe.loop);
    report_free(probe.report);
    return status;
}
