/* SPDX-License-Identifier: MIT */
#include "service/limits.h"

#include "base/err.h"
#include "settings/settings.h"

#include <errno.h>
#include <sys/resource.h>

#define OWN_DESCRIPTORS    24 /* standard streams, signals, timers, files read in passing */
#define WORKER_DESCRIPTORS 7  /* two epolls, two eventfds, listener, spare, route query */
#define LEAST              4 /* of either kind: a tiny limit makes the service slow, not mute */

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t max(size_t a, size_t b)
{
    return a > b ? a : b;
}

bool limits_raise(size_t *ret_descriptors, struct err *err)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return err_sys(err, errno, "getrlimit");

    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    *ret_descriptors = min(limit.rlim_cur, 1 << 20);
    return true;
}

struct limits limits_share(size_t descriptors, const struct settings *settings)
{
    size_t own = OWN_DESCRIPTORS + WORKER_DESCRIPTORS * settings->workers;
    size_t rest = descriptors > own ? descriptors - own : 0;
    size_t connections = max(min(settings->max_connections, rest / 2), LEAST);
    size_t probes = max(rest > connections ? rest - connections : 0, LEAST);
    if (settings->max_probes > 0)
        probes = min(probes, settings->max_probes);

    return (struct limits){
        .descriptors = descriptors,
        .connections = connections,
        .probes = probes,
    };
}
