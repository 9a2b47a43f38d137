/* SPDX-License-Identifier: MIT */
#include "service/service.h"

#include "api/pages.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json_memory.h"
#include "base/libc.h"
#include "base/log.h"
#include "base/tls_identity.h"
#include "metrics/metrics.h"
#include "metrics/process.h"
#include "policy/admission.h"
#include "policy/budget.h"
#include "probe/attempt.h"
#include "probe/conntrack.h"
#include "receipt/receipts.h"
#include "service/control.h"
#include "service/generation.h"
#include "service/parent.h"
#include "service/receipt_keys.h"
#include "service/rehearsal.h"
#include "service/reload.h"
#include "service/tls.h"
#include "service/worker.h"

#include <jansson.h>
#include <time.h>
#include <unistd.h>

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
           pages_new(&service->pages, err) && office_make(&service->office, settings, err);
}

static bool workers_make(struct service *service, struct err *err)
{
    service->worker_count = service->settings.workers;
    sem_init(&service->gate, 0, 0);
    atomic_store(&service->accepting, service->worker_count);
    for (size_t i = 0; i < service->worker_count; i++)
        if (!metrics_new(&service->metrics[i], err))
            return false;
    for (size_t i = 0; i < service->worker_count; i++)
        if (!worker_new(service, i, &service->workers[i], err))
            return false;
    return true;
}

static void gate_open(struct service *service)
{
    for (size_t i = 0; i < service->worker_count; i++)
        sem_post(&service->gate);
}

static bool workers_start(struct service *service, struct err *err)
{
    for (size_t i = 0; i < service->worker_count; i++)
        if (!worker_start(service->workers[i], err))
            return false;
    return true;
}

/* In the parent: what needs files, privileges or the address. Signals are blocked first:
 * from then on, none ends a predecessor by ending this process. */
static bool service_prepare(struct service *service, struct err *err)
{
    libc_heap_unite();

    size_t descriptors;
    if (!parent_block_signals(err) || !fd_open_standard(err) ||
        !attempt_check_kernel(err) || !fd_raise_limit(&descriptors, err))
        return false;
    service->limits = limits_share(descriptors, &service->settings);
    return confine_plan_make(&service->settings, &service->plan, err) &&
           tls_load(&service->settings, &service->tls, err) &&
           receipt_keys_load(&service->settings, &service->receipts, err) &&
           office_load(&service->office, &service->settings, err) &&
           sockets_open(&service->settings.host, service->settings.workers,
                        &service->former, &service->sockets, err);
}

/* Opens and reads what this process needs later, when it can no longer open files. */
static void files_hold(void)
{
    tzset(); /* glibc reads the time zone before it formats any time */
    json_memory_watch();
    json_object_seed(0); /* jansson reads /dev/urandom before it parses any object */
    process_hold();
    conntrack_hold();
}

/* In the child. */
static bool service_build(struct service *service, size_t *ret_layers, struct err *err)
{
    files_hold();
    return shared_make(service, err) && workers_make(service, err) &&
           control_new(service, &service->control, err) &&
           confine_apply(&service->plan, &service->settings, ret_layers, err) &&
           log_start(err) && workers_start(service, err) &&
           (service->is_rehearsal || office_open(&service->office, err));
}

/* --- taking down ---------------------------------------------------------------------- */

static void keys_forget(struct service *service)
{
    service->tls = tls_identity_free(service->tls);
    service->receipts = receipts_free(service->receipts);
    office_done(&service->office);
}

static void service_take_down(struct service *service)
{
    atomic_store(&service->phase, SERVICE_STOPPING);
    gate_open(service);
    for (size_t i = 0; i < service->worker_count; i++)
        if (service->workers[i]) {
            worker_nudge(service->workers[i]);
            worker_join(service->workers[i]);
        }
    office_close(&service->office);
    for (size_t i = 0; i < service->worker_count; i++) {
        service->workers[i] = worker_free(service->workers[i]);
        service->metrics[i] = metrics_free(service->metrics[i]);
    }
    service->control = control_free(service->control);
    service->pages = pages_free(service->pages);
    service->admission = admission_free(service->admission);
    service->budget = budget_free(service->budget);
    keys_forget(service);
    sockets_done(&service->sockets);
    fd_close(&service->report_fd);
}

static int status_of(const struct err *err)
{
    return err->kind == ERR_INVALID ? 2 : 1;
}

static int failed(const struct err *err)
{
    log_message(LOG_LEVEL_ERROR, "failed", "%s", err->message);
    return status_of(err);
}

/* The child, from its first to its last moment. */
static int serve(struct service *service, int report_fd)
{
    struct err err;
    size_t layers;
    service->report_fd = report_fd;
    sockets_done(&service->former);
    bool is_built = service_build(service, &layers, &err);
    if (is_built) {
        report_able(report_fd, layers);
        if (service->is_rehearsal)
            _exit(0); /* no worker leaves the gate: none takes a connection */
        report_wait(report_fd);
        gate_open(service);
    } else {
        report_failure(report_fd, err.message);
    }
    bool is_fine = is_built && control_run(service->control, &err);
    service_take_down(service);
    int status = is_fine ? 0 : is_built ? failed(&err) : status_of(&err);
    log_stop();
    return status;
}

/* The parent, once a child serves or is about to. */
static int keep(struct service *service, const struct invocation *invocation,
                const struct reload_watch *watch, struct generation child,
                struct generation predecessor, const char *fault)
{
    struct err err;
    int status;
    keys_forget(service);
    bool is_fine =
        parent_run(service, invocation, watch, child, predecessor, fault, &status, &err);
    sockets_done(&service->sockets);
    sockets_done(&service->former);
    if (!is_fine)
        return failed(&err);
    if (status == 0)
        log_message(LOG_LEVEL_INFO, "stopped", "the service has ended");
    return status;
}

bool service_rehearse(struct service *service, struct err *err)
{
    struct generation child;
    service->is_rehearsal = true;
    notify_init(&service->notify);
    sockets_inherit_input(&service->former);
    bool is_started = service_prepare(service, err) && generation_fork(&child, err);
    if (is_started && child.pid == 0)
        _exit(serve(service, child.report_fd));

    bool is_able = is_started && rehearsal_await(&child, err);
    keys_forget(service);
    sockets_done(&service->sockets);
    sockets_done(&service->former);
    return is_able;
}

int service_run(struct service *service, const struct invocation *invocation,
                const struct err *fault)
{
    struct err err;
    struct reload_watch watch;
    struct generation child = {.report_fd = -1}, predecessor;
    /* Before the ready line, because its reader may change a file at once. */
    reload_watch_init(&watch, invocation);
    notify_init(&service->notify);
    sockets_inherit(generation_is_left(), &service->former);
    generation_inherit(&predecessor);
    if (fault)
        err = *fault;
    bool is_started =
        !fault && service_prepare(service, &err) && generation_fork(&child, &err);
    if (is_started && child.pid == 0) {
        fd_close(&predecessor.report_fd);
        return serve(service, child.report_fd);
    }
    if (is_started || predecessor.pid > 0)
        return keep(service, invocation, &watch, child, predecessor,
                    is_started ? NULL : err.message);

    keys_forget(service);
    sockets_done(&service->sockets);
    sockets_done(&service->former);
    return failed(&err);
}
