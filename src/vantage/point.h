/* SPDX-License-Identifier: MIT
 *
 * The vantage point of one worker: takes jobs of fronts, probes with the worker's engine
 * and answers. It never sees the caller: it relies on an admitted front to check who asks,
 * and on nothing else. It refuses
 *
 *   a target that is not globally reachable, or an address of this machine, unless
 *   PORT_CHECKER_VANTAGE_TARGETS=any
 *   more ports than PORT_CHECKER_MAX_PORTS
 *   a job whose `exp` has passed, or is more than POINT_EXP_SECONDS ahead
 *   a job beyond the budget of its target, which is PORT_CHECKER_RATE, or of its front
 *
 * A job that it had before, or that was cancelled before it arrived, is neither probed nor
 * answered. If a front misses an answer, it says whether it is at work on the job.
 * Belongs to the worker's thread.
 */
#pragma once

#include "policy/access.h"
#include "settings/settings.h"
#include "vantage/job.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct budget;
struct engine;
struct err;
struct letter;
struct loop;
struct point;

#define POINT_EXP_SECONDS 30
#define POINT_JOBS_MAX    4096  /* running */
#define POINT_REMEMBERED  65536 /* the last jobs that it had; the same of cancelled ones */

/* A front acts for many callers: its budget is that of this many targets. */
#define POINT_FRONT_SHARE 256

/* Jobs by what became of them: judged (REFUSAL_NONE), refused, cancelled. Shared by all
 * workers. */
struct point_counts {
    _Atomic uint64_t results[REFUSAL_COUNT];
    _Atomic uint64_t cancelled;
};

/* All borrowed. */
struct point_config {
    struct loop *loop;
    struct engine *engine;
    const struct settings *settings;
    struct budget *targets; /* these two shared by all workers */
    struct budget *fronts;
    struct point_counts *counts;
    struct access_machine machine;
    /* Takes `data`, which is from malloc(). */
    void (*answer)(void *ctx, const char *reply, char *data, size_t len);
    void *ctx;
};

bool point_new(const struct point_config *config, struct point **ret, struct err *err);

/* Cancels every job. Before the engine. */
struct point *point_free(struct point *point);

/* A letter to a vantage point; it stays the caller's. */
void point_read(struct point *point, const struct letter *letter);

/* Jobs that have not ended. */
size_t point_jobs(const struct point *point);
