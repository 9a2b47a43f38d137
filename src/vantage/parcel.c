/* SPDX-License-Identifier: MIT */
#include "vantage/parcel.h"

#include "vantage/nats_connection.h"
#include "vantage/sorter.h"

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

static struct parcel *parcel_new(const char *subject, const char *reply, char *data,
                                 size_t len)
{
    bool fits = strlen(subject) < SUBJECT_SIZE && strlen(reply) < SUBJECT_SIZE;
    struct parcel *parcel = data && fits ? calloc(1, sizeof *parcel) : NULL;
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

/* `mark` stands before the id in the reply. */
static struct parcel *to_places(const struct parcel_sender *sender, const char *subject,
                                const char *mark, const char *id,
                                const struct place_list *to, char *data, size_t len)
{
    char text[SUBJECT_SIZE], reply[SUBJECT_SIZE];
    snprintf(text, sizeof text, "%s%s", subject, sender->front);
    snprintf(reply, sizeof reply, "%s%zu.%s%s", sender->inbox, sender->worker, mark, id);
    struct parcel *parcel = parcel_new(text, reply, data, len);
    if (parcel)
        parcel->to = *to;
    return parcel;
}

struct parcel *parcel_job(const struct parcel_sender *sender, const char *id,
                          const struct place_list *to, bool is_again, char *data,
                          size_t len)
{
    const char *mark = is_again ? AGAIN_REPLY : "";
    struct parcel *parcel = to_places(sender, CHECK_SUBJECT, mark, id, to, data, len);
    if (parcel) {
        memcpy(parcel->id, id, VANTAGE_ID_LEN);
        parcel->worker = sender->worker;
    }
    return parcel;
}

struct parcel *parcel_inquiry(const struct parcel_sender *sender, const char *id,
                              const struct place_list *to)
{
    return to_places(sender, LATE_SUBJECT, LATE_REPLY, id, to, strdup(id), VANTAGE_ID_LEN);
}

struct parcel *parcel_cancellation(const struct parcel_sender *sender, const char *id)
{
    char subject[SUBJECT_SIZE];
    snprintf(subject, sizeof subject, CANCEL_SUBJECT "%s", sender->front);
    return parcel_new(subject, "", strdup(id), VANTAGE_ID_LEN);
}

struct parcel *parcel_answer(const char *reply, char *data, size_t len)
{
    return parcel_new(reply, "", data, len);
}

static bool publish(const struct parcel *parcel, struct nats_connection *connection,
                    const char *subject, const char *reply)
{
    return nats_publish(connection, subject, reply[0] ? reply : NULL, parcel->data,
                        parcel->len, NULL);
}

bool parcel_publish(const struct parcel *parcel, struct nats_connection *connection)
{
    char subject[SUBJECT_SIZE + PLACE_NAME_SIZE], reply[SUBJECT_SIZE + PLACE_NAME_SIZE];
    bool is_sent = true;
    if (parcel->to.count == 0)
        return publish(parcel, connection, parcel->subject, parcel->reply);
    for (size_t i = 0; i < parcel->to.count && is_sent; i++) {
        snprintf(subject, sizeof subject, "%s.%s", parcel->subject, parcel->to.names[i]);
        snprintf(reply, sizeof reply, "%s.%s", parcel->reply, parcel->to.names[i]);
        is_sent = publish(parcel, connection, subject, reply);
    }
    return is_sent;
}
