/* SPDX-License-Identifier: MIT */
#include "service/limits.h"

#include "settings/settings.h"

#include <stdint.h>

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
    size_t wanted = settings->max_probes > 0 ? settings->max_probes : SIZE_MAX;
    size_t kept = min(wanted, rest / 2); /* for probes, whatever the connections */
    size_t connections = min(settings->max_connections, max(rest - kept, LEAST));
    size_t probes = min(wanted, max(rest > connections ? rest - connections : 0, LEAST));

    return (struct limits){
        .descriptors = descriptors,
        .connections = connections,
        .probes = probes,
    };
}
