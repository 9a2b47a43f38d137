/* SPDX-License-Identifier: MIT
 *
 * How the process's descriptors are divided among connections, probes and the service.
 */
#pragma once

#include <stddef.h>

struct settings;

struct limits {
    size_t descriptors; /* the process's limit, as far as it is used */
    size_t connections;
    size_t probes;
};

/* Pure. First the service itself, then connections (as many as the settings ask for, at
 * most half of the rest), then probes (as many as the settings ask for, at most the
 * rest). */
struct limits limits_share(size_t descriptors, const struct settings *settings);
