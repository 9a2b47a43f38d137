/* SPDX-License-Identifier: MIT
 *
 * The whole service as one object: what all workers share, the workers, and the end.
 *
 *   main.c      arguments, exit statuses
 *   service.c   creates everything in order, runs, frees it in reverse order
 *   worker.c    one thread with its loop, engine, HTTP server and checks
 *   control.c   the main thread's loop: signals, draining, reloads
 *   reload.c    checks a new binary and executes it
 *   sockets.c, limits.c, tls.c   what a start needs
 */
#pragma once

#include "api/caller.h"
#include "service/limits.h"
#include "service/sockets.h"
#include "settings/settings.h"

#include "probe/engine.h"

#include <stdatomic.h>
#include <stdbool.h>

struct admission;
struct budget;
struct err;
struct metrics;
struct pages;
struct tls_identity;
struct worker;

/* What the workers are to do. It only increases. */
enum service_phase {
    SERVICE_RUNNING,
    SERVICE_DRAINING, /* no new checks, running ones finish; then the process ends */
    SERVICE_YIELDING, /* no new connections, open ones finish; then a successor runs */
    SERVICE_STOPPING, /* immediately */
};

struct service {
    struct settings settings;
    struct limits limits;
    struct sockets sockets;

    /* Shared by the workers; each is thread-safe. */
    struct probe_limit probe_limit;
    struct budget *budget;
    struct admission *admission;
    struct pages *pages;
    struct caller_warnings caller_warnings;
    struct tls_identity *tls; /* NULL = plain HTTP */
    atomic_int phase;         /* enum service_phase */

    struct worker *workers[SOCKETS_MAX];
    struct metrics *metrics[SOCKETS_MAX]; /* one block per worker, read by all */
    size_t worker_count;
};

/* How the process was started, for a re-execution. */
struct invocation {
    char binary[4096];    /* absolute path, as of the start */
    const char *env_file; /* NULL = `.env` if it exists */
    char *const *argv;    /* borrowed from main() */
};

/* Runs until a signal ends it. `settings` have been loaded. Returns the exit status: 0
 * after draining, 1 with a line in the log after a system error. Does not return if it
 * re-executes itself. */
int service_run(struct service *service, const struct invocation *invocation);
