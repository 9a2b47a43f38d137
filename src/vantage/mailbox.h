/* SPDX-License-Identifier: MIT
 *
 * From other threads into a worker's loop: a bounded queue and an eventfd. Letters arrive
 * in the order in which they were posted. Only mailbox_post() may be called by any thread.
 */
#pragma once

#include "base/place_name.h"
#include "vantage/job.h"

#include <stdbool.h>
#include <stddef.h>

struct err;
struct loop;
struct mailbox;

#define MAILBOX_LETTERS_MAX 4096
#define MAILBOX_BYTES_MAX   (16ul << 20) /* of all letters that wait */

#define SUBJECT_SIZE        160

enum letter_kind {
    LETTER_JOB,           /* from a front, to a vantage point: `front`, `reply`, `data` */
    LETTER_CANCEL,        /* the same: `front`, `id` */
    LETTER_LATE,          /* the same: `front`, `reply`, `id` */
    LETTER_ANSWER,        /* from a vantage point, to a front: `id`, `place`, `data` */
    LETTER_AT_WORK,       /* the same: `id`, `place` */
    LETTER_NO_RESPONDERS, /* to a front: `id`, `place` */
    LETTER_NOT_SENT,      /* the same: `id` */
    LETTER_DISCONNECTED,  /* to a front: no request will be answered */
};

struct letter {
    struct letter *next; /* of the mailbox */
    enum letter_kind kind;
    char front[PLACE_NAME_SIZE];
    char place[PLACE_NAME_SIZE]; /* that was asked, and alone may answer there */
    char id[VANTAGE_ID_LEN + 1];
    char reply[SUBJECT_SIZE]; /* where the answer goes */
    size_t len;
    char data[]; /* not terminated */
};

/* With a copy of `data`; NULL without memory. To be freed with free(). */
struct letter *letter_new(enum letter_kind kind, const char *data, size_t len);

/* Takes a letter out of the mailbox; the callee frees it. */
typedef void(mailbox_open_fn)(void *ctx, struct letter *letter);

bool mailbox_new(struct loop *loop, mailbox_open_fn *open, void *ctx, struct mailbox **ret,
                 struct err *err);

/* No thread may post any more. */
struct mailbox *mailbox_free(struct mailbox *mailbox);

/* Takes the letter in any case. False if it was dropped, because the mailbox is full. What
 * this process reports itself, LETTER_NOT_SENT and LETTER_DISCONNECTED, is never dropped.
 */
bool mailbox_post(struct mailbox *mailbox, struct letter *letter);
