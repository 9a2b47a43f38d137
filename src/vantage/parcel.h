/* SPDX-License-Identifier: MIT
 *
 * Something that leaves over NATS: a text, and the subjects under which it is published
 * (sorter.h has them all).
 */
#pragma once

#include "vantage/mailbox.h"

#include <stdbool.h>
#include <stddef.h>

struct nats_connection;

struct parcel {
    struct parcel *next; /* of the outbox */
    char subject[SUBJECT_SIZE];
    char reply[SUBJECT_SIZE];    /* "" = none */
    struct place_list to;        /* published once for each, whose name is added to both */
    char id[VANTAGE_ID_LEN + 1]; /* of a job of ours; "" = another message */
    size_t worker;               /* that asked */
    size_t len;
    char *data; /* owned */
};

/* A front, or one of its workers. */
struct parcel_sender {
    const char *front;
    const char *inbox; /* _INBOX.FRONT.PROCESS. */
    size_t worker;
};

/* All return NULL without memory, or if a subject is too long. Those with `data` take it,
 * which is from malloc(), in any case. */
struct parcel *parcel_job(const struct parcel_sender *sender, const char *id,
                          const struct place_list *to, bool is_again, char *data,
                          size_t len);
struct parcel *parcel_inquiry(const struct parcel_sender *sender, const char *id,
                              const struct place_list *to);
struct parcel *parcel_cancellation(const struct parcel_sender *sender, const char *id);

/* What a place says; `reply` is that of the message from the front. */
struct parcel *parcel_answer(const char *reply, char *data, size_t len);

struct parcel *parcel_free(struct parcel *parcel);

/* False if a part of it could not be published. */
bool parcel_publish(const struct parcel *parcel, struct nats_connection *connection);
