/* SPDX-License-Identifier: MIT */
#include "service/limits.h"

#include "settings/settings.h"

#define DESCRIPTORS_MAX (1 << 20)
#define OWN_DESCRIPTORS 24 /* standard streams, signals, timers, files opened briefly */
#define WORKER_DESCRIPTORS                                                                 \
    7           /* two epolls, two eventfds, listening socket, spare, route query */
#define LEAST 4 /* of either kind: with few descriptors the service is slow, but works */

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t max(size_t a, size_t b)
{
    return a > b ? a : b;
}

struct limits limits_share(size_t descriptors, const struct settings *settings)
{
    descriptors = min(descriptors, DESCRIPTORS_MAX);
    size_t own = OWN_DESCRIPTORS + WORKER_DESCRIPTORS * settings->workers;
    size_t rest = descriptors > own ? descriptors - own : 0;
    size_t connections = min(settings->max_connections, max(rest / 2, LEAST));
    size_t probes = max(rest > connections ? rest - connections : 0, LEAST);
    if (settings->max_probes > 0)
        probes = min(probes, settings->max_probes);

    return (struct limits){
        .descriptors = descriptors,
        .connections = connections,
        .probes = probes,
    };
}
