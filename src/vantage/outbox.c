/* SPDX-License-Identifier: MIT */
#include "vantage/outbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parcel *parcel_free(struct parcel *parcel)
{
    if (!parcel)
        return NULL;
    free(parcel->data);
    free(parcel);
    return NULL;
}

struct parcel *parcel_new(const char *subject, const char *reply, char *data, size_t len)
{
    bool fits = strlen(subject) < SUBJECT_SIZE && strlen(reply) < SUBJECT_SIZE;
    struct parcel *parcel = fits ? calloc(1, sizeof *parcel) : NULL;
    if (!parcel) {
        free(data);
        return NULL;
    }
    parcel->data = data;
    parcel->len = len;
    snprintf(parcel->subject, sizeof parcel->subject, "%s", subject);
    snprintf(parcel->reply, sizeof parcel->reply, "%s", reply);
    return parcel;
}

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
