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

/* Pure. First the service itself, then connections and probes, as many of each as the
 * settings ask for. If that is more than there are, half of the rest is kept for probes, or
 * less if the settings ask for less; connections have what they ask for of the others, and
 * probes what is left. */
struct limits limits_share(size_t descriptors, const struct settings *settings);
