/* SPDX-License-Identifier: MIT
 *
 * Token buckets in ports: how many ports one caller may have probed, and how many ports of
 * one address other callers may have probed. A request is charged in full or not at all,
 * before the first packet; ports that were not tried are refunded. Shared by all workers,
 * thread-safe, bounded.
 *
 * A caller's bucket belongs to what counts as one caller (address_key_caller), and so does
 * a target's. Callers and targets have separate buckets: what others spend on an address
 * does not reduce its owner's budget.
 *
 * A port that does not answer, of an address other than the caller's, costs the target's
 * bucket BUDGET_SILENT_PORT ports: it takes the most packets, and these are what firewalls
 * report to their owners. One port is charged before the check, the others after it, which
 * can put the bucket into debt. The caller's bucket is not affected.
 *
 * A bucket fills at `rate` up to `burst`. A full bucket equals no bucket, so the table
 * drops it. While all places are in use, new callers or targets share one bucket per kind.
 * Keeping N places in use costs N * rate ports per second, so flooding the table gains
 * nothing.
 *
 * A check that several places make costs the caller its ports at each of them, and the
 * burst is larger by the same factor: what may be asked at once does not depend on the
 * places. Each place has budgets of its own for targets.
 *
 * Memory that is not needed is not touched: an idle budget costs only address space.
 */
#pragma once

#include "base/clock.h"
#include "base/place_name.h"
#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>

struct err;
struct budget;

/* Which of the two buckets was too low. */
enum budget_scope {
    BUDGET_NONE, /* granted */
    BUDGET_CALLER,
    BUDGET_TARGET,
};

struct budget_answer {
    enum budget_scope denied;
    struct span retry_after; /* exact: the same request succeeds then and not before, if
                                no other request comes; the longer wait if both are
                                short; negative if it never can (more than the burst) */
};

/* `per_second` 0 grants everything and keeps no table. `entries_max` buckets in all (at
 * least 2), beside the two shared ones; some 70 bytes each. A port costs a whole number of
 * nanoseconds, at least 1: rates that divide 1e9 are exact, others are off by less than
 * half a nanosecond per port. ERR_INVALID for a rate that is negative or not finite and for
 * invalid limits, ERR_SYSTEM without memory or randomness. */
bool budget_new(double per_second, size_t burst, size_t entries_max, struct budget **ret,
                struct err *err);
struct budget *budget_free(struct budget *budget);

/* Takes `ports` times `places` (1 to BUDGET_PLACES_MAX) from the caller's bucket, and
 * `ports` from the target's when `is_foreign` (the target is not the caller's address);
 * takes nothing if either is short. */
#define BUDGET_PLACES_MAX PLACES_MAX
struct budget_answer budget_take(struct budget *budget, const struct address *caller,
                                 const struct address *target, bool is_foreign,
                                 size_t ports, size_t places, struct instant now);

/* Refunds ports that an earlier budget_take() with the same arguments took and that were
 * not tried. Never fills a bucket above its burst. Ports from a shared bucket are not
 * refunded: they cannot be told from those of a bucket that has been dropped since. */
void budget_give_back(struct budget *budget, const struct address *caller,
                      const struct address *target, bool is_foreign, size_t ports,
                      size_t places, struct instant now);

#define BUDGET_SILENT_PORT 5

/* Charges what each port that did not answer costs beyond the one that budget_take() took.
 * `is_foreign` is the same; if it is false, nothing is charged. The debt is never deeper
 * than BUDGET_SILENT_PORT bursts; while there is one, every request is refused. */
void budget_charge_silent(struct budget *budget, const struct address *target,
                          bool is_foreign, size_t ports, struct instant now);

/* Buckets in use, some of which may have refilled since the last call; for the metrics. */
size_t budget_entries(struct budget *budget);
