/* SPDX-License-Identifier: MIT
 *
 * Token buckets in ports: how many ports one caller may have probed, and how many ports of
 * one address strangers may have probed. All or nothing, charged before anything is sent,
 * given back for ports that were never tried. Shared by all workers, thread-safe, bounded.
 *
 * A bucket belongs to what counts as one caller (address_key_caller), and a target's bucket
 * to what would. Callers and targets have buckets of their own: what strangers spend on an
 * address is not its owner's.
 *
 * A bucket fills at `rate` up to `burst`. One that has refilled is the same as none: the
 * table forgets it. While every place is held by a bucket that has not, newcomers share
 * one bucket per kind; to keep N places held takes N * rate ports a second that were paid
 * for, so nobody gains by flooding the table.
 *
 * Memory that was never needed is never touched: an idle budget costs address space only.
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
    struct span retry_after; /* exact: the same request succeeds then and not before, if
                                nobody else asks; the longer wait when both are short;
                                negative when it never can (more than the burst) */
};

/* `per_second` 0 grants everything and keeps no table. `entries_max` buckets in all (at
 * least 2), beside the two shared ones; some 70 bytes each. A port costs a whole number of
 * nanoseconds, at least 1: rates that divide 1e9 are exact, others are off by less than
 * half a nanosecond a port. ERR_INVALID for a rate that is negative or not finite and for
 * limits that make no sense, ERR_SYSTEM without memory or randomness. */
bool budget_new(double per_second, size_t burst, size_t entries_max, struct budget **ret,
                struct err *err);
struct budget *budget_free(struct budget *budget);

/* Takes `ports` from the caller's bucket, and from the target's when `is_foreign` (the
 * target is somebody else's address); takes nothing when either is short. */
struct budget_answer budget_take(struct budget *budget, const struct address *caller,
                                 const struct address *target, bool is_foreign,
                                 size_t ports, struct instant now);

/* Gives back what an earlier budget_take() with the same arguments took for ports that
 * were never tried. Never lifts a bucket above its burst. What came out of a shared bucket
 * stays lost: nobody can tell it from what a bucket that is forgotten by now had. */
void budget_give_back(struct budget *budget, const struct address *caller,
                      const struct address *target, bool is_foreign, size_t ports,
                      struct instant now);

/* Buckets in use, some of which may have refilled since the last call; for the metrics. */
size_t budget_entries(struct budget *budget);
