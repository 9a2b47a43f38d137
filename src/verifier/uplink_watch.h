/* SPDX-License-Identifier: MIT
 *
 * Reports that addresses or routes of this machine have changed, as the kernel announces
 * it: UPLINK_WATCH_MS after the change, because changes come in groups, and at most every
 * UPLINK_WATCH_PAUSE_MS. It also reports that an interface that had lost its connection,
 * the cable for instance, has it again. Belongs to the loop's thread.
 */
#pragma once

#include <stdbool.h>

struct err;
struct loop;
struct uplink_watch;

#define UPLINK_WATCH_MS       500
#define UPLINK_WATCH_PAUSE_MS 10000

/* From the loop. */
typedef void(uplink_changed_fn)(void *ctx);

/* ERR_SYSTEM. */
bool uplink_watch_new(struct loop *loop, uplink_changed_fn *changed, void *ctx,
                      struct uplink_watch **ret, struct err *err);

/* Within `changed`: whether this interface had lost its connection and has it again. */
bool uplink_watch_is_back(const struct uplink_watch *watch, unsigned interface);

struct uplink_watch *uplink_watch_free(struct uplink_watch *watch);
