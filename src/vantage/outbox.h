/* SPDX-License-Identifier: MIT
 *
 * What waits to be published: a bounded queue. Not thread-safe: the courier locks it.
 */
#pragma once

#include "vantage/mailbox.h"

#include <stdbool.h>
#include <stddef.h>

#define OUTBOX_PARCELS_MAX 4096
#define OUTBOX_BYTES_MAX   (16ul << 20) /* of all parcels that wait */

/* Something to publish; with `to`, once for each of these places, whose name is added to
 * subject and reply. */
struct parcel {
    struct parcel *next; /* of the outbox */
    char subject[SUBJECT_SIZE];
    char reply[SUBJECT_SIZE]; /* "" = none */
    struct place_list to;
    char id[VANTAGE_ID_LEN + 1]; /* of a job of ours; "" = another message */
    size_t worker;               /* that asked */
    size_t len;
    char *data; /* owned */
};

struct outbox {
    struct parcel *first;
    struct parcel **last; /* where the next parcel is linked */
    size_t count, bytes;
};

/* Takes `data`, which is from malloc(), in any case. NULL without memory, or if a subject
 * is too long. */
struct parcel *parcel_new(const char *subject, const char *reply, char *data, size_t len);
struct parcel *parcel_free(struct parcel *parcel);

void outbox_init(struct outbox *outbox);

/* False if it is full: the parcel stays the caller's. */
bool outbox_add(struct outbox *outbox, struct parcel *parcel);

/* All parcels, in the order in which they were added: they are the caller's. */
struct parcel *outbox_take(struct outbox *outbox);
