/* SPDX-License-Identifier: MIT */
#include "service/ready.h"

#include "base/log.h"
#include "service/confine.h"
#include "service/service.h"

#include <stdio.h>

#define REFUSED_STATUS_SIZE 1200

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

static const char *sandbox_extent(size_t layers)
{
    if (layers == 0)
        return "off";
    return layers == LAYER_COUNT ? "full" : "partial";
}

static void log_ready(const struct service *service, pid_t child, size_t layers)
{
    char ip[ADDRESS_TEXT_SIZE];
    struct log_line line;
    if (!log_begin(&line, LOG_LEVEL_INFO, "ready"))
        return;

    log_str(&line, "address", address_format(&service->sockets.bound, ip));
    log_int(&line, "port", address_port(&service->sockets.bound));
    log_str(&line, "version", PORT_CHECKER_VERSION);
    log_int(&line, "pid", child);
    log_int(&line, "workers", service->settings.workers);
    log_int(&line, "connections", (int64_t)service->limits.connections);
    log_int(&line, "probes", (int64_t)service->limits.probes);
    log_bool(&line, "tls", service->settings.tls_cert[0] != '\0');
    log_str(&line, "sandbox", sandbox_extent(layers));
    if (service->sockets.is_passed)
        log_str(&line, "sockets", "passed");
    log_end(&line);
}

static void tell_ready(struct service *service, size_t layers)
{
    char ip[ADDRESS_TEXT_SIZE], status[ADDRESS_TEXT_SIZE + 96];
    snprintf(status, sizeof status, "serving on %s port %u, %s; %u workers; sandbox: %s",
             address_format(&service->sockets.bound, ip),
             address_port(&service->sockets.bound),
             service->settings.tls_cert[0] ? "HTTPS" : "HTTP", service->settings.workers,
             sandbox_extent(layers));
    notify_ready(&service->notify, status);
}

void ready_announce(struct service *service, pid_t child, size_t layers, bool is_told)
{
    log_limits(service);
    log_ready(service, child, layers);
    if (is_told)
        tell_ready(service, layers);
}

void refused_announce(struct service *service, const char *reason)
{
    char status[REFUSED_STATUS_SIZE];
    snprintf(status, sizeof status, "serving; the last reload was refused: %s", reason);
    notify_ready(&service->notify, status);
}
