/* SPDX-License-Identifier: MIT
 *
 * Token buckets in ports: how many ports one caller may have probed, and how many ports of
 * one address strangers may have probed. All or nothing, charged before anything is sent,
 * given back for ports that were never tried. Shared by all workers, thread-safe, bounded.
 *
 * A bucket belongs to an IPv4 address or an IPv6 /64. It fills at `rate` up to `burst`. A
 * bucket that has refilled is the same as none, so the table forgets the one that was
 * untouched the longest when it needs room, provided that it is full again; while all of
 * them are in use, newcomers share one bucket per kind. Nobody gains by flooding the table.
 */
#pragma once

#include "base/clock.h"
#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>

struct err;
struct budget;

/* Which of the two buckets was short. */
enum budget_scope {
    BUDGET_NONE, /* granted */
    BUDGET_CALLER,
    BUDGET_TARGET,
};

struct budget_answer {
    enum budget_scope denied;
    struct span retry_after; /* exact: the same request succeeds then, if nobody else asks;
                                negative when it never can (more than the burst) */
};

/* `per_second` 0 grants everything and keeps no table. `entries_max` buckets in all. */
bool budget_new(double per_second, size_t burst, size_t entries_max, struct budget **ret,
                struct err *err);
struct budget *budget_free(struct budget *budget);

/* Takes `ports` from the caller's bucket, and from the target's when `is_foreign` (the
 * target is somebody else's address); takes nothing when either is short. */
struct budget_answer budget_take(struct budget *budget, const struct address *caller,
                                 const struct address *target, bool is_foreign,
                                 size_t ports, struct instant now);

/* Gives back what an earlier budget_take() with the same arguments took for ports that
 * were never tried. Never lifts a bucket above its burst. */
void budget_give_back(struct budget *budget, const struct address *caller,
                      const struct address *target, bool is_foreign, size_t ports,
                      struct instant now);

/* Buckets in use now; for the metrics. */
size_t budget_entries(struct budget *budget);
