/* SPDX-License-Identifier: MIT
 *
 * Counts what the probe engine reports.
 */
#pragma once

#include "probe/engine.h"

struct metrics;

/* An observer for engine_config that counts attempts, verdicts, deferred ports and local
 * faults in `metrics`, which is borrowed and must be the block of the engine's thread. */
struct engine_observer metrics_observer(struct metrics *metrics);
