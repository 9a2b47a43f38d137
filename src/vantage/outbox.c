/* SPDX-License-Identifier: MIT */
#include "vantage/outbox.h"

#include "vantage/parcel.h"

void outbox_init(struct outbox *outbox)
{
    *outbox = (struct outbox){.last = &outbox->first};
}

bool outbox_add(struct outbox *outbox, struct parcel *parcel)
{
    if (outbox->count == OUTBOX_PARCELS_MAX ||
        parcel->len > OUTBOX_BYTES_MAX - outbox->bytes)
        return false;

    *outbox->last = parcel;
    outbox->last = &parcel->next;
    outbox->count++;
    outbox->bytes += parcel->len;
    return true;
}

struct parcel *outbox_take(struct outbox *outbox)
{
    struct parcel *first = outbox->first;
    outbox_init(outbox);
    return first;
}
