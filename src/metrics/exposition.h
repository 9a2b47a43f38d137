/* SPDX-License-Identifier: MIT
 *
 * What each family of metrics begins with in Prometheus text format 0.0.4.
 */
#pragma once

#include "base/text.h"

#include <inttypes.h>

#define METRICS_PREFIX "port_checker_" /* of all names but process_* */

static inline void exposition_header(struct text *text, const char *name, const char *type,
                                     const char *help)
{
    text_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A whole family: a gauge without labels. */
static inline void exposition_gauge(struct text *text, const char *name, const char *help,
                                    uint64_t value)
{
    exposition_header(text, name, "gauge", help);
    text_printf(text, "%s %" PRIu64 "\n", name, value);
}
