/* SPDX-License-Identifier: MIT */
#include "service/service.h"

#include "api/pages.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/libc.h"
#include "base/log.h"
#include "base/tls_identity.h"
#include "metrics/metrics.h"
#include "policy/admission.h"
#include "policy/budget.h"
#include "probe/attempt.h"
#include "service/control.h"
#include "service/reload.h"
#include "service/tls.h"
#include "service/worker.h"

#include <stdlib.h>

#define NETWORK_SHARE      4 /* no network has more than a quarter of the connections */
#define BUDGET_ENTRIES_MAX 131072 /* about 9 MB when all are in use */

/* --- building ------------------------------------------------------------------------- */

static bool shared_make(struct service *service, struct err *err)
{
    const struct settings *settings = &service->settings;
    const struct admission_limits connections = {
        .connections = service->limits.connections,
        .per_caller = settings->max_connections_per_caller,
        .per_network = (service->limits.connections + NETWORK_SHARE - 1) / NETWORK_SHARE,
    };
    service->probe_limit.max = service->limits.probes;
    return budget_new(settings->rate.per_second, settings->max_ports, BUDGET_ENTRIES_MAX,
                      &service->budget, err) &&
           admission_new(&connections, &service->admission, err) &&
           pages_new(&service->pages, err);
}

static bool workers_make(struct service *service, struct err *err)
{
    service->worker_count = service->settings.workers;
    for (size_t i = 0; i < service->worker_count; i++)
        if (!metrics_new(&service->metrics[i], err))
            return false;
    for (size_t i = 0; i < service->worker_count; i++)
        if (!worker_new(service, i, &service->workers[i], err))
            return false;
    return true;
}

static bool workers_start(struct service *service, struct err *err)
{
    for (size_t i = 0; i < service->worker_count; i++)
        if (!worker_start(service->workers[i], err))
            return false;
    return true;
}

static bool service_build(struct service *service, struct err *err)
{
    libc_heap_unite();

    size_t descriptors;
    if (!attempt_check_kernel(err) || !fd_raise_limit(&descriptors, err))
        return false;
    service->limits = limits_share(descriptors, &service->settings);
    return tls_load(&service->settings, &service->tls, err) &&
           sockets_open(&service->settings.host, service->settings.workers,
                        &service->sockets, err) &&
           control_block_signals(err) && shared_make(service, err) &&
           workers_make(service, err) && workers_start(service, err);
}

/* --- taking down ---------------------------------------------------------------------- */

/* Frees everything except the listening sockets, which a successor may need. */
static void service_take_down(struct service *service)
{
    atomic_store(&service->phase, SERVICE_STOPPING);
    for (size_t i = 0; i < service->worker_count; i++)
        if (service->workers[i]) {
            worker_nudge(service->workers[i]);
            worker_join(service->workers[i]);
        }
    for (size_t i = 0; i < service->worker_count; i++) {
        service->workers[i] = worker_free(service->workers[i]);
        service->metrics[i] = metrics_free(service->metrics[i]);
    }
    service->pages = pages_free(service->pages);
    service->admission = admission_free(service->admission);
    service->budget = budget_free(service->budget);
    service->tls = tls_identity_free(service->tls);
}

static void log_limits(const struct service *service)
{
    const struct settings *settings = &service->settings;
    if (service->limits.connections < settings->max_connections)
        log_message(LOG_LEVEL_WARNING, "limit",
                    "%zu descriptors (RLIMIT_NOFILE) allow only %zu of %zu connections "
                    "(PORT_CHECKER_MAX_CONNECTIONS)",
                    service->limits.descriptors, service->limits.connections,
                    settings->max_connections);
    if (service->limits.probes < settings->max_probes)
        log_message(LOG_LEVEL_WARNING, "limit",
                    "%zu descriptors (RLIMIT_NOFILE) allow only %zu of %zu probes "
                    "(PORT_CHECKER_MAX_PROBES)",
                    service->limits.descriptors, service->limits.probes,
                    settings->max_probes);
}

static void log_ready(const struct service *service)
{
    char ip[ADDRESS_TEXT_SIZE];
    struct log_line line;
    if (!log_begin(&line, LOG_LEVEL_INFO, "ready"))
        return;

    log_str(&line, "address", address_format(&service->sockets.bound, ip));
    log_int(&line, "port", address_port(&service->sockets.bound));
    log_str(&line, "version", PORT_CHECKER_VERSION);
    log_int(&line, "workers", (int64_t)service->worker_count);
    log_int(&line, "connections", (int64_t)service->limits.connections);
    log_int(&line, "probes", (int64_t)service->limits.probes);
    log_bool(&line, "tls", service->tls != NULL);
    log_end(&line);
}

static int failed(const struct err *err)
{
    log_message(LOG_LEVEL_ERROR, "failed", "%s", err->message);
    return err->kind == ERR_INVALID ? 2 : 1;
}

int service_run(struct service *service, const struct invocation *invocation)
{
    struct err err;
    struct reload_watch watch;
    enum control_end end = CONTROL_EXIT;
    /* Before the ready line, because its reader may change a file at once. */
    reload_watch_init(&watch, invocation);
    bool is_built =
        fd_open_standard(&err) && log_start(&err) && service_build(service, &err);
    if (is_built) {
        log_limits(service);
        log_ready(service);
    }

    bool is_fine = is_built && control_run(service, invocation, &watch, &end, &err);
    service_take_down(service);
    if (is_fine && end == CONTROL_RELOAD) {
        log_stop();
        is_fine =
            sockets_hand_over(&service->sockets, &err) && reload_execute(invocation, &err);
    }
    sockets_done(&service->sockets);
    int status = 0;
    if (is_fine)
        log_message(LOG_LEVEL_INFO, "stopped", "the service has ended");
    else
        status = failed(&err);
    log_stop();
    return status;
}
