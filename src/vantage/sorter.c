/* SPDX-License-Identifier: MIT */
#include "vantage/sorter.h"

#include "base/clock.h"
#include "base/text.h"
#include "vantage/nats_connection.h"
#include "vantage/places.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool sorter_subscribe(const struct sorter *sorter, struct nats_connection *connection,
                      bool takes_jobs, struct err *err)
{
    const bool answers = takes_jobs && sorter->place[0], asks = sorter->places != NULL;
    const struct {
        bool is_wanted;
        const char *subject, *rest, *place, *group;
    } rows[] = {
        {answers, CHECK_SUBJECT, "*.", sorter->place, sorter->place},
        {answers, LATE_SUBJECT, "*.", sorter->place, NULL},
        {answers, CANCEL_SUBJECT, "*", "", NULL},
        {answers, HELLO_SUBJECT, "*", "", NULL},
        {asks, sorter->inbox, ">", "", NULL},
        {asks, BEAT_SUBJECT, "*", "", NULL},
    };
    char subject[SUBJECT_SIZE];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(subject, sizeof subject, "%s%s%s", rows[i].subject, rows[i].rest,
                 rows[i].place);
        if (rows[i].is_wanted && !nats_subscribe(connection, subject, rows[i].group, err))
            return false;
    }
    return true;
}

void sorter_post(const struct sorter *sorter, size_t worker, struct letter *letter)
{
    if (letter)
        mailbox_post(sorter->mailboxes[worker], letter);
}

/* The same job, delivered twice, gets to the same worker. */
static size_t worker_of(const struct sorter *sorter, const char *data, size_t len)
{
    return (size_t)((text_hash(data, len) >> 32) % sorter->mailbox_count);
}

/* Whether a message to this place, FRONT.PLACE, can be answered. */
static bool read_front(const struct sorter *sorter, const char *rest,
                       const struct nats_message *message, char ret[PLACE_NAME_SIZE])
{
    size_t len = strcspn(rest, ".");
    return message->reply && strlen(message->reply) < SUBJECT_SIZE &&
           place_name_parse(rest, len, ret) && rest[len] == '.' &&
           strcmp(rest + len + 1, sorter->place) == 0;
}

static void read_job(const struct sorter *sorter, const char *rest,
                     const struct nats_message *message)
{
    char front[PLACE_NAME_SIZE];
    if (message->len > VANTAGE_JOB_SIZE_MAX || !read_front(sorter, rest, message, front))
        return;

    struct letter *letter = letter_new(LETTER_JOB, message->data, message->len);
    if (letter) {
        memcpy(letter->front, front, sizeof front);
        memcpy(letter->reply, message->reply, strlen(message->reply) + 1);
    }
    sorter_post(sorter, worker_of(sorter, message->data, message->len), letter);
}

/* About a job, whichever worker has it. */
static void post_to_all(const struct sorter *sorter, enum letter_kind kind,
                        const char front[PLACE_NAME_SIZE],
                        const struct nats_message *message)
{
    for (size_t i = 0; i < sorter->mailbox_count; i++) {
        struct letter *letter = letter_new(kind, NULL, 0);
        if (letter) {
            memcpy(letter->front, front, PLACE_NAME_SIZE);
            memcpy(letter->id, message->data, VANTAGE_ID_LEN);
            if (kind == LETTER_LATE)
                memcpy(letter->reply, message->reply, strlen(message->reply) + 1);
        }
        sorter_post(sorter, i, letter);
    }
}

static void read_late(const struct sorter *sorter, const char *rest,
                      const struct nats_message *message)
{
    char front[PLACE_NAME_SIZE];
    if (message->len == VANTAGE_ID_LEN && read_front(sorter, rest, message, front))
        post_to_all(sorter, LETTER_LATE, front, message);
}

static void read_cancel(const struct sorter *sorter, const char *rest,
                        const struct nats_message *message)
{
    char front[PLACE_NAME_SIZE];
    if (message->len == VANTAGE_ID_LEN && place_name_parse(rest, strlen(rest), front))
        post_to_all(sorter, LETTER_CANCEL, front, message);
}

/* What has come to an inbox. That there are no responders counts only for the job itself.
 */
static struct letter *letter_of(const struct nats_message *message, bool is_late)
{
    if (is_late)
        return message->is_no_responders ? NULL : letter_new(LETTER_AT_WORK, NULL, 0);
    return message->is_no_responders
               ? letter_new(LETTER_NO_RESPONDERS, NULL, 0)
               : letter_new(LETTER_ANSWER, message->data, message->len);
}

/* If the text begins with `mark`, it is moved behind that. */
static bool skip_mark(const char **text, const char *mark)
{
    size_t len = strlen(mark);
    bool is_there = strncmp(*text, mark, len) == 0;
    *text += is_there ? len : 0;
    return is_there;
}

/* `rest` is WORKER.ID.PLACE, WORKER.again.ID.PLACE, or WORKER.late.ID.PLACE. */
static void read_answer(const struct sorter *sorter, const char *rest,
                        const struct nats_message *message)
{
    size_t worker = 0;
    for (; *rest >= '0' && *rest <= '9' && worker < sorter->mailbox_count; rest++)
        worker = worker * 10 + (size_t)(*rest - '0');
    if (*rest != '.' || worker >= sorter->mailbox_count)
        return;

    char place[PLACE_NAME_SIZE];
    const char *id = rest + 1;
    bool is_late = skip_mark(&id, LATE_REPLY);
    if (!is_late)
        skip_mark(&id, AGAIN_REPLY);
    size_t id_len = strcspn(id, ".");
    const char *name = id + id_len + (id[id_len] == '.');
    if (!vantage_id_is_valid(id, id_len) || !place_name_parse(name, strlen(name), place))
        return;

    struct letter *letter = letter_of(message, is_late);
    if (letter) {
        memcpy(letter->id, id, VANTAGE_ID_LEN);
        memcpy(letter->place, place, sizeof place);
    }
    sorter_post(sorter, worker, letter);
}

static void read_beat(const struct sorter *sorter, const char *rest,
                      const struct nats_message *message)
{
    (void)message;
    if (sorter->places && place_name_is_valid(rest, strlen(rest)))
        places_heard(sorter->places, rest, clock_now());
}

static void read_hello(const struct sorter *sorter, const char *rest,
                       const struct nats_message *message)
{
    (void)rest;
    (void)message;
    sorter->greeted(sorter->ctx);
}

void sorter_read(const struct sorter *sorter, const struct nats_message *message)
{
    const struct {
        const char *prefix;
        void (*read)(const struct sorter *sorter, const char *rest,
                     const struct nats_message *message);
    } subjects[] = {
        {sorter->inbox, read_answer},  {CHECK_SUBJECT, read_job},
        {CANCEL_SUBJECT, read_cancel}, {LATE_SUBJECT, read_late},
        {BEAT_SUBJECT, read_beat},     {HELLO_SUBJECT, read_hello},
    };
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        size_t len = strlen(subjects[i].prefix);
        if (strncmp(message->subject, subjects[i].prefix, len) == 0) {
            subjects[i].read(sorter, message->subject + len, message);
            return;
        }
    }
}
