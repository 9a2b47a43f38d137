/* SPDX-License-Identifier: MIT
 *
 * What waits to be published: a bounded queue of parcels. Not thread-safe: the courier
 * locks it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct parcel;

#define OUTBOX_PARCELS_MAX 4096
#define OUTBOX_BYTES_MAX   (16ul << 20) /* of all parcels that wait */

struct outbox {
    struct parcel *first;
    struct parcel **last; /* where the next parcel is linked */
    size_t count, bytes;
};

void outbox_init(struct outbox *outbox);

/* False if it is full: the parcel stays the caller's. */
bool outbox_add(struct outbox *outbox, struct parcel *parcel);

/* All parcels, in the order in which they were added: they are the caller's. */
struct parcel *outbox_take(struct outbox *outbox);
