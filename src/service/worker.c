/* SPDX-License-Identifier: MIT */
#include "service/worker.h"

#include "api/problem.h"
#include "api/routes.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "http/server.h"
#include "loop/loop.h"
#include "metrics/observer.h"
#include "net/route.h"
#include "service/desk.h"
#include "service/service.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* jansson parses JSON recursively, down to 2,048 levels, which takes about 190 KB; under
 * thread sanitizer more than 512 KB. Unused stack costs only address space. */
#define THREAD_STACK (2 * 1024 * 1024)

struct worker {
    struct service *service; /* borrowed */
    size_t index;
    pthread_t thread;
    bool is_started;

    struct loop *loop; /* these five owned, made and freed in this order and its reverse */
    struct engine *engine;
    struct desk *desk; /* NULL without NATS */
    struct api *api;
    struct http_server *server;

    enum service_phase phase; /* the last phase that this worker has carried out */
    atomic_size_t unfinished;
    atomic_uint seen; /* the last of the service's requests for a turn */
};

/* --- in its thread -------------------------------------------------------------------- */

static enum service_phase phase_now(const struct service *service)
{
    /* What the main thread did before it entered the phase has happened. */
    return (enum service_phase)atomic_load_explicit(&service->phase, memory_order_acquire);
}

static bool is_draining(const void *service)
{
    enum service_phase phase = phase_now(service);
    return phase == SERVICE_DRAINING || phase == SERVICE_STOPPING;
}

static void stop_accepting(struct worker *worker)
{
    struct service *service = worker->service;
    http_server_stop_accepting(worker->server);
    /* If the service has moved, the parent no longer has them: refuse connections. */
    sockets_close_part(&service->sockets, worker->index, service->worker_count);
    if (atomic_fetch_sub(&service->accepting, 1) == 1)
        fd_close(&service->report_fd);
}

static void phase_carry_out(struct worker *worker, enum service_phase phase)
{
    struct connections *connections = http_server_connections(worker->server);
    switch (phase) {
    case SERVICE_RUNNING:
        break;
    case SERVICE_DRAINING:
        connections_drain(connections);
        break;
    case SERVICE_YIELDING:
        stop_accepting(worker);
        connections_drain(connections);
        break;
    case SERVICE_STOPPING:
        loop_stop(worker->loop);
        break;
    }
    worker->phase = phase;
}

static size_t count_unfinished(const struct worker *worker)
{
    const struct connections *connections = http_server_connections(worker->server);
    size_t count = connections_exchanges(connections) + desk_jobs(worker->desk);
    if (worker->phase == SERVICE_YIELDING)
        count += connections_count(connections);
    return count;
}

/* Runs last in every turn. */
static bool worker_turn(void *ctx)
{
    struct worker *worker = ctx;
    enum service_phase phase = phase_now(worker->service);
    unsigned requested = atomic_load_explicit(&worker->service->turn, memory_order_relaxed);
    if (phase != worker->phase)
        phase_carry_out(worker, phase);
    if (phase != SERVICE_RUNNING)
        atomic_store_explicit(&worker->unfinished, count_unfinished(worker),
                              memory_order_release);
    atomic_store_explicit(&worker->seen, requested, memory_order_relaxed);
    log_flush();
    return false;
}

static void *worker_main(void *ctx)
{
    struct worker *worker = ctx;
    struct err err;

    log_buffer();
    while (sem_wait(&worker->service->gate) != 0)
        continue; /* EINTR */
    if (phase_now(worker->service) == SERVICE_STOPPING)
        return NULL;
    if (!loop_run(worker->loop, &err)) {
        log_message(LOG_LEVEL_ERROR, "worker_failed", "%s", err.message);
        log_flush();
        log_stop();
        abort(); /* otherwise the connections of its socket would wait forever */
    }
    log_flush();
    return NULL;
}

/* --- life ----------------------------------------------------------------------------- */

static bool engine_make(struct worker *worker, size_t index, struct metrics *metrics,
                        struct err *err)
{
    struct service *service = worker->service;
    const struct engine_config config = {
        .timeout = service->settings.check_timeout,
        .part = (unsigned)index,
        .parts = (unsigned)service->worker_count,
        .refusals_needed = service->settings.check_retries,
        .refusal_delay = service->settings.check_retry_delay,
        .limit = &service->probe_limit,
        .observer = metrics_observer(metrics),
    };
    return engine_new(worker->loop, &config, &worker->engine, err);
}

static void more_metrics(const void *ctx, struct text *text)
{
    const struct service *service = ctx;
    office_render(&service->office, text);
}

static bool api_make(struct worker *worker, struct metrics *metrics, struct err *err)
{
    struct service *service = worker->service;
    const struct api_config config = {
        .checks = {.loop = worker->loop,
                   .engine = worker->engine,
                   .settings = &service->settings,
                   .front = desk_front(worker->desk),
                   .budget = service->budget,
                   .metrics = metrics,
                   .pages = service->pages,
                   .receipts = service->receipts,
                   .warnings = &service->caller_warnings,
                   .machine = {.is_ours = route_is_ours,
                               .is_broadcast = route_is_broadcast},
                   .is_draining = is_draining,
                   .service = service},
        .all = service->metrics,
        .all_count = service->worker_count,
        .limit = &service->probe_limit,
        .more_metrics = more_metrics,
        .version = PORT_CHECKER_VERSION,
    };
    return api_new(&config, &worker->api, err);
}

static bool server_make(struct worker *worker, size_t index, struct metrics *metrics,
                        struct err *err)
{
    struct service *service = worker->service;
    int fds[SOCKETS_MAX];
    size_t fd_count = 0;
    for (size_t i = index; i < service->sockets.count; i += service->worker_count)
        fds[fd_count++] = service->sockets.fds[i];

    size_t route_count;
    const struct http_route *routes = api_routes(worker->api, &route_count);
    const struct http_config config = {
        .site = {.routes = routes,
                 .route_count = route_count,
                 .handler_ctx = worker->api,
                 .error_body = problem_of_http_error,
                 .on_error = api_on_error,
                 .server_name = "port-checker/" PORT_CHECKER_VERSION},
        .tls = service->tls,
        .unlimited = &service->settings.trusted_proxies,
        .admission = service->admission,
        .metrics = metrics,
        .limits = CONNECTION_LIMITS,
    };
    return http_server_new(worker->loop, &config, fds, fd_count, &worker->server, err);
}

bool worker_new(struct service *service, size_t index, struct worker **ret, struct err *err)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker)
        return err_sys(err, ENOMEM, "worker");

    struct metrics *metrics = service->metrics[index];
    worker->service = service;
    worker->index = index;
    if (!loop_new(&worker->loop, err) || !engine_make(worker, index, metrics, err) ||
        !desk_new(&service->office, &service->settings, index, worker->loop, worker->engine,
                  &worker->desk, err) ||
        !api_make(worker, metrics, err) || !server_make(worker, index, metrics, err)) {
        worker_free(worker);
        return false;
    }
    loop_each_turn(worker->loop, worker_turn, worker);
    *ret = worker;
    return true;
}

bool worker_start(struct worker *worker, struct err *err)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK);
    int failure = pthread_create(&worker->thread, &attributes, worker_main, worker);
    pthread_attr_destroy(&attributes);
    if (failure != 0)
        return err_sys(err, failure, "starting a thread");
    worker->is_started = true;
    return true;
}

void worker_nudge(struct worker *worker)
{
    /* Count one as unfinished until the worker has seen the new phase. */
    atomic_store_explicit(&worker->unfinished, 1, memory_order_relaxed);
    loop_wake(worker->loop);
}

void worker_wake(struct worker *worker)
{
    loop_wake(worker->loop);
}

bool worker_has_turned(const struct worker *worker)
{
    return atomic_load_explicit(&worker->seen, memory_order_relaxed) ==
           atomic_load_explicit(&worker->service->turn, memory_order_relaxed);
}

size_t worker_unfinished(const struct worker *worker)
{
    return atomic_load_explicit(&worker->unfinished, memory_order_acquire);
}

void worker_join(struct worker *worker)
{
    if (worker->is_started)
        pthread_join(worker->thread, NULL);
    worker->is_started = false;
}

struct worker *worker_free(struct worker *worker)
{
    if (!worker)
        return NULL;

    assert(!worker->is_started);
    http_server_free(worker->server);
    api_free(worker->api);
    desk_free(worker->desk);
    engine_free(worker->engine);
    loop_free(worker->loop);
    free(worker);
    return NULL;
}
