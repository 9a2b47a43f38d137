/* SPDX-License-Identifier: MIT
 *
 * One worker: a thread with a loop, an engine, an HTTP server and the checks between them.
 * It shares with other workers only what `struct service` holds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;
struct service;
struct worker;

/* Creates everything except the thread. The worker serves the service's sockets `index`,
 * `index` + the number of workers, and so on, and counts in the metrics of that index. */
bool worker_new(struct service *service, size_t index, struct worker **ret,
                struct err *err);

/* Call it after all workers have been created. The thread waits at the service's gate. */
bool worker_start(struct worker *worker, struct err *err);

/* Tells the worker that the service's phase has changed. Any thread. */
void worker_nudge(struct worker *worker);

/* Begins a turn, for which `service->turn` has been increased. Any thread. */
void worker_wake(struct worker *worker);

/* Whether that turn has ended. Any thread. */
bool worker_has_turned(const struct worker *worker);

/* What must finish before the phase ends: exchanges and, while yielding, connections. At
 * least 1 until the worker has seen the phase. Any thread. */
size_t worker_unfinished(const struct worker *worker);

/* Waits for the thread, which ends in phase STOPPING. */
void worker_join(struct worker *worker);

/* After worker_join(). */
struct worker *worker_free(struct worker *worker);
