/* SPDX-License-Identifier: MIT
 *
 * The engine alone, without HTTP: two jobs of the same open ports, each started again as
 * soon as it is done. To be run beside reference_loop, with the same arguments:
 *
 *   engine_bench --first PORT --ports N [--seconds S] [--host IPV4]
 *
 * Prints one JSON line: probes, seconds, probes_per_second, and the processor time that a
 * probe took. Fails (1) at the first port that is not open.
 */
#include "base/clock.h"
#include "base/text.h"
#include "loop/loop.h"
#include "net/address.h"
#include "probe/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define JOBS      2
#define COUNT_MAX 4096

struct engine_state {
    struct address host;
    uint16_t ports[COUNT_MAX];
    size_t count;
    uint64_t seconds;

    struct loop *loop;
    struct engine *engine;
    struct instant end;
    size_t running;
    uint64_t probes;
};

static void job_start(struct engine_state *state);

static void count_nothing(void *ctx)
{
    (void)ctx;
}

static void count_no_change(void *ctx, int change)
{
    (void)ctx;
    (void)change;
}

static void count_verdict(void *ctx, const struct port_verdict *verdict)
{
    struct engine_state *state = ctx;
    state->probes++;
    if (verdict->state != PORT_STATE_OPEN) {
        fprintf(stderr, "engine_bench: port %u is not open\n", (unsigned)verdict->port);
        exit(1);
    }
}

static void job_done(void *ctx, const struct job *job, const struct job_result *result)
{
    struct engine_state *state = ctx;
    (void)job;
    if (result->end != JOB_JUDGED) {
        fprintf(stderr, "%s\n", result->reason.message);
        exit(1);
    }
    if (instant_before(loop_now(state->loop), state->end))
        job_start(state);
    else if (--state->running == 0)
        loop_stop(state->loop);
}

static void job_start(struct engine_state *state)
{
    struct err err;
    struct job *job;
    const struct job_request request = {
        .target = state->host,
        .ports = state->ports,
        .port_count = state->count,
        .deadline = instant_add(clock_now(), span_seconds(25)),
        .done = job_done,
        .ctx = state,
    };
    if (!engine_start(state->engine, &request, &job, &err)) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
}

static bool options_parse(int argc, char **argv, struct engine_state *state)
{
    const char *host = "127.0.0.1";
    uint64_t first = 0, count = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        size_t len = strlen(value);
        bool is_good = false;
        if (strcmp(name, "--host") == 0)
            is_good = (host = value) != NULL;
        else if (strcmp(name, "--first") == 0)
            is_good = text_parse_u64(value, len, UINT16_MAX, &first);
        else if (strcmp(name, "--ports") == 0)
            is_good = text_parse_u64(value, len, COUNT_MAX, &count);
        else if (strcmp(name, "--seconds") == 0)
            is_good = text_parse_u64(value, len, 600, &state->seconds);
        if (!is_good)
            return false;
    }
    for (uint64_t i = 0; i < count; i++)
        state->ports[i] = (uint16_t)(first + i);
    state->count = count;
    return argc % 2 == 1 && first > 0 && count > 0 && first + count - 1 <= UINT16_MAX &&
           address_parse(host, strlen(host), &state->host, NULL);
}

static double processor_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static bool bench_run(struct engine_state *state, struct err *err)
{
    struct instant start = clock_now();
    state->end = instant_add(start, span_seconds((int64_t)state->seconds));
    for (; state->running < JOBS; state->running++)
        job_start(state);
    if (!loop_run(state->loop, err))
        return false;

    double took = span_to_seconds(instant_since(clock_now(), start));
    printf("{\"probes\": %llu, \"seconds\": %.6f, \"probes_per_second\": %.1f, "
           "\"processor_us_per_probe\": %.2f}\n",
           (unsigned long long)state->probes, took, (double)state->probes / took,
           processor_seconds() * 1e6 / (double)state->probes);
    return true;
}

int main(int argc, char **argv)
{
    static struct engine_state state = {.seconds = 1};
    struct probe_limit limit = {.max = 4096};
    const struct engine_config config = {
        .timeout = span_seconds(5),
        .refusals_needed = 1,
        .refusal_delay = span_seconds(1),
        .limit = &limit,
        .observer = {.ctx = &state,
                     .attempted = count_nothing,
                     .settled = count_verdict,
                     .deferred = count_no_change,
                     .suspected = count_nothing,
                     .local_fault = count_no_change},
    };
    struct err err;
    if (!options_parse(argc, argv, &state)) {
        fputs("usage: engine_bench --first PORT --ports N [--seconds S] [--host IPV4]\n",
              stderr);
        return 2;
    }
    if (!loop_new(&state.loop, &err) ||
        !engine_new(state.loop, &config, &state.engine, &err) || !bench_run(&state, &err)) {
        fprintf(stderr, "engine_bench: %s\n", err.message);
        return 1;
    }
    engine_free(state.engine);
    loop_free(state.loop);
    return 0;
}
