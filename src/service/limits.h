/* SPDX-License-Identifier: MIT
 *
 * How the process's descriptors are shared out between connections, probes and ourselves.
 */
#pragma once

#include <stddef.h>

struct settings;

struct limits {
    size_t descriptors; /* of the process, as many as we care to use */
    size_t connections;
    size_t probes;
};

/* Pure. First come we ourselves, then connections (what the settings ask for, at most half
 * of what is left), then probes (what the settings ask for, at most the rest). */
struct limits limits_share(size_t descriptors, const struct settings *settings);
