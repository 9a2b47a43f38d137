/* SPDX-License-Identifier: MIT
 *
 * The whole service as one object: what all workers share, the workers, and the end.
 *
 *   main.c      arguments, exit statuses
 *   service.c   prepares, forks; the child creates everything in order, runs, and frees it
 *   parent.c    the main process: signals, reloads, the ends of children
 *   generation.c   a child and its reports; notify.c   messages to systemd
 *   control.c   the child's main thread: phases
 *   worker.c    one thread with its loop, engine, HTTP server and checks
 *   desk.c      a worker's part of front and vantage point
 *   ready.c     the line with event=ready
 *   confine.c   the child's sandbox; trial.c tries it
 *   reload.c    checks a new binary and executes it; rehearsal.c tries its start
 *   sockets.c, limits.c, tls.c, pem.c, receipt_keys.c   what a start needs
 */
#pragma once

#include "api/caller.h"
#include "service/confine.h"
#include "service/desk.h"
#include "service/limits.h"
#include "service/notify.h"
#include "service/sockets.h"
#include "settings/settings.h"

#include "probe/engine.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

struct admission;
struct budget;
struct control;
struct err;
struct metrics;
struct pages;
struct receipts;
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
    struct notify notify; /* the parent's; the child reads the watchdog's interval */
    struct sockets sockets;
    struct sockets former; /* inherited; kept until the child serves */
    struct confine_plan plan;

    /* Shared by the workers; each is thread-safe. */
    struct probe_limit probe_limit;
    struct budget *budget;
    struct admission *admission;
    struct pages *pages;
    struct caller_warnings caller_warnings;
    struct tls_identity *tls;  /* NULL = plain HTTP; the parent forgets it after the fork */
    struct receipts *receipts; /* NULL = none are given; the same */
    struct office office;      /* the same */
    sem_t gate;                /* workers wait there until all of them exist */
    atomic_int phase;          /* enum service_phase */
    atomic_uint turn;          /* the number of turns that control.c has asked for */
    atomic_size_t accepting;   /* workers; the last one to stop closes report_fd */
    int report_fd;             /* owned by the child: generation.h */
    bool is_rehearsal;

    struct control *control;
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

/* Starts, as far as a child that could serve, and ends: rehearsal.h. */
bool service_rehearse(struct service *service, struct err *err);

/* Runs until a signal ends it. `settings` have been loaded, or `fault` says why not: then a
 * predecessor must serve (generation_is_left()), and goes on. Returns the exit status, in
 * the parent and in the child: 0 after draining, 1 with a line in the log after a system
 * error. Does not return if it re-executes itself. */
int service_run(struct service *service, const struct invocation *invocation,
                const struct err *fault);
