/* SPDX-License-Identifier: MIT
 *
 * What arrives from NATS: subscribes to it, and sorts it, from a message to letters in the
 * workers' mailboxes. The subjects:
 *
 *   vp.check.FRONT.PLACE   jobs for that place. Its processes subscribe to vp.check.*.PLACE
 *                          in the queue group PLACE, so that one of them gets a job
 *   vp.cancel.FRONT        the id of a job that is no longer needed, to all vantage points
 *   vp.late.FRONT.PLACE    the id of a job without an answer, to all processes of that
 *                          place: the one that is at work on it says so
 *   vp.beat.PLACE          an empty message every PLACES_HEARTBEAT_SECONDS
 *   vp.hello.FRONT         an empty message of a front that has just connected: every place
 *                          sends its heartbeat at once
 *   _INBOX.FRONT.PROCESS.WORKER.ID.PLACE   where a job wants the answer of that place;
 *                          PROCESS is a random number. The server lets a place publish
 *                          there once, and only if it got that job. The server also
 *                          reports there that the place has no responders
 *   _INBOX.FRONT.PROCESS.WORKER.again.ID.PLACE   the same for a job that is repeated: a
 *                          server of version 2.10 that has delivered two messages with one
 *                          such subject does not let the place publish there
 *   _INBOX.FRONT.PROCESS.WORKER.late.ID.PLACE   the same for that question, and an empty
 *                          message
 *
 * sorter_read() is called by threads of libnats.
 */
#pragma once

#include "vantage/mailbox.h"

#include <stdbool.h>
#include <stddef.h>

struct err;
struct nats_connection;
struct nats_message;
struct places;

#define CHECK_SUBJECT  "vp.check."
#define CANCEL_SUBJECT "vp.cancel."
#define LATE_SUBJECT   "vp.late."
#define LATE_REPLY     "late."  /* before the id */
#define AGAIN_REPLY    "again." /* the same */
#define BEAT_SUBJECT   "vp.beat."
#define HELLO_SUBJECT  "vp.hello."

struct sorter {
    char inbox[SUBJECT_SIZE / 2]; /* _INBOX.FRONT.PROCESS. */
    const char *place;            /* these three borrowed; "" = not a vantage point */
    struct places *places;        /* that a front expects; NULL = not a front */
    struct mailbox *const *mailboxes;
    size_t mailbox_count;
    void (*greeted)(void *ctx); /* a front says hello */
    void *ctx;
};

/* To all that is for this process; to jobs, and what belongs to them, if it takes jobs. */
bool sorter_subscribe(const struct sorter *sorter, struct nats_connection *connection,
                      bool takes_jobs, struct err *err);

/* A message that is none of these is dropped. */
void sorter_read(const struct sorter *sorter, const struct nats_message *message);

/* Takes the letter; NULL = no memory. */
void sorter_post(const struct sorter *sorter, size_t worker, struct letter *letter);
