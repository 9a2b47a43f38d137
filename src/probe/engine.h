/* SPDX-License-Identifier: MIT
 *
 * The probe engine: finds out for (address, TCP ports) which are open, closed, filtered or
 * unreachable, with plain connect(2), thousands at a time, on one loop.
 *
 * A job is one address with its ports. The engine settles every port once, with a verdict,
 * and then reports that the job is done; or it reports that it could not judge, and why.
 * Its own problems (no descriptors, no source port, no route, no time) never become a
 * verdict.
 *
 * By default a probe is half-open: the target's application never notices. schedule decides
 * when attempts leave; evidence and verdict, how silence, refusals and ICMP errors become a
 * verdict; doubt, whether this machine itself is suspect. The engine decides how many
 * probes may be in flight, whose turn it is, and what happens at a local fault.
 *
 * Sockets are shared fairly among callers, not among jobs: while they are short, a caller
 * that holds few gets the next, and some are always left for one that has just come, at any
 * worker. What a port lacks for that reason delays its verdict, or its job ends as
 * OVERLOADED; no socket is taken from a port that has it.
 *
 * Everything belongs to the loop's thread. Only `struct probe_limit` is shared.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "net/address.h"
#include "probe/proof.h"
#include "probe/verdict.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine;
struct job;
struct loop;

/* Sockets in flight, over all engines that share it. */
struct probe_limit {
    atomic_size_t in_flight;
    size_t max;
};

/* What the engine reports to its owner for the metrics. Called often: be quick. */
struct engine_observer {
    void *ctx;
    void (*attempted)(void *ctx);                    /* a SYN was sent to a port of a job */
    void (*controlled)(void *ctx, bool is_answered); /* the result of a control */
    void (*settled)(void *ctx, const struct port_verdict *verdict);
    void (*deferred)(void *ctx, int change); /* ports waiting after a local fault: +1, -1 */
    void (*suspected)(void *ctx); /* a port starts again: this machine lost what it sent */
    void (*local_fault)(void *ctx, int errnum); /* see OUTCOME_LOCAL_FAULT, _NO_ROUTE */
};

/* How long a listener has for its line. */
#define PROOF_MILLISECONDS 1500

struct engine_config {
    struct span timeout;       /* silence since a port's first SYN becomes FILTERED, even
                                  without enough evidence */
    unsigned part, parts;      /* this engine and how many share the system's source ports;
                                  0 parts = 1 */
    unsigned refusals_needed;  /* 1-4: refusals that make CLOSED */
    struct span refusal_delay; /* between attempts at a port that refuses */
    struct probe_limit *limit; /* borrowed */
    struct engine_observer observer;
};

enum job_end {
    JOB_JUDGED,     /* every port has its verdict */
    JOB_OVERLOADED, /* the deadline came first: it ran out of time */
    JOB_FAULT,      /* the deadline came while this checker could not try, or lost what it
                       sent; reason says why. A fault that has passed does not count */
    JOB_NO_ROUTE,   /* this checker cannot reach that family or network; reason says why */
};

/* The address stopped answering, and some ports are LIMITED because of it. */
struct job_limit {
    bool is_there;
    size_t answered; /* ports of the job that had their verdict before */
    double rate;     /* SYNs a second that it answered in the end; 0 = none */
};

struct job_result {
    enum job_end end;
    struct job_limit limit;
    size_t untried;    /* ports for which no SYN was sent */
    size_t silent;     /* ports that were tried, and whose verdict is silence */
    struct err reason; /* unless judged */
};

/* The verdict of the port at `index` of job_request.ports. Called at once when it is
 * final, in any order. May cancel the job. */
typedef void(job_settled_fn)(void *ctx, size_t index, const struct port_verdict *verdict);

/* Called exactly once unless the job is cancelled, after the last `settled`, never from
 * within engine_start(). The job no longer exists when it returns. */
typedef void(job_done_fn)(void *ctx, const struct job *job,
                          const struct job_result *result);

struct job_request {
    struct address target;           /* its port is ignored */
    const struct address *caller;    /* on whose behalf: sockets are shared among callers as
                                        address_key_caller() tells them apart; NULL = the
                                        owner of the engine; copied */
    const struct proof_token *token; /* NULL = half-open probes; else each open port is
                                        asked to prove itself, which takes a full handshake
                                        and PROOF_MILLISECONDS at most; copied */
    const uint16_t *ports;           /* distinct, not 0; copied */
    size_t port_count;               /* 1-65535 */
    struct instant deadline;         /* on the loop's clock: end without a verdict then */
    job_settled_fn *settled;         /* or NULL */
    job_done_fn *done;
    void *ctx;
};

bool engine_new(struct loop *loop, const struct engine_config *config, struct engine **ret,
                struct err *err);

/* Cancels every job. */
struct engine *engine_free(struct engine *engine);

/* Takes a job. ERR_SYSTEM without memory; ERR_LIMIT when the engine has too many. */
bool engine_start(struct engine *engine, const struct job_request *request,
                  struct job **ret, struct err *err);

/* Ends a job at once, with its sockets; neither `settled` nor `done` follows. Returns how
 * many of its ports were not tried, and how many were, but have not answered. *ret_silent
 * includes those with a verdict; it may be NULL. Do not call it within the job's own
 * `done`. */
size_t engine_cancel(struct job *job, size_t *ret_silent);

/* Within `done`: verdicts in the order of the request. */
const struct port_verdict *job_verdict(const struct job *job, size_t index);

/* Jobs that have not ended. For tests, to check that none is left. */
size_t engine_jobs(const struct engine *engine);
