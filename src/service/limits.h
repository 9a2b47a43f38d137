/* SPDX-License-Identifier: MIT
 *
 * How the process's descriptors are shared out between connections, probes and ourselves.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;
struct settings;

struct limits {
    size_t descriptors; /* RLIMIT_NOFILE, after it was raised as far as it goes */
    size_t connections;
    size_t probes;
};

/* Raises the soft limit of descriptors to the hard one. */
bool limits_raise(size_t *ret_descriptors, struct err *err);

/* Pure. First come we ourselves, then connections (what the settings ask for, at most half
 * of what is left), then probes (what the settings ask for, at most the rest). */
struct limits limits_share(size_t descriptors, const struct settings *settings);
