/* SPDX-License-Identifier: MIT
 *
 * The connection of this process to NATS: one thread of ours connects, publishes and sends
 * the heartbeat; messages arrive on threads of libnats (nats_connection.h). What arrives
 * goes into the workers' mailboxes (sorter.h, which has the subjects); what leaves is
 * queued. No call waits for the network.
 *
 * While there is no connection, one is tried every COURIER_RETRY_MS. Nothing is kept for
 * later: a job that cannot be published now is LETTER_NOT_SENT.
 */
#pragma once

#include "base/place_name.h"

#include <stdbool.h>
#include <stddef.h>

struct courier;
struct err;
struct mailbox;
struct nats_access;
struct places;

#define COURIER_RETRY_MS 250
#define COURIER_BEAT_MS  250 /* between heartbeats, however often fronts say hello */

/* All borrowed until the end. */
struct courier_config {
    const struct nats_access *access;
    const char *front;                /* "" = this process asks no other places */
    const char *place;                /* "" = it is not a vantage point */
    struct places *places;            /* of a front; NULL = none */
    struct mailbox *const *mailboxes; /* one of each worker */
    size_t mailbox_count;
};

/* Reads what libnats and OpenSSL need from files: call it before the process is confined.
 */
bool courier_new(const struct courier_config *config, struct courier **ret,
                 struct err *err);

/* Starts the thread, after the process is confined: its limits bind the thread. Waits until
 * it is connected or the first attempt has failed, but at most COURIER_START_MS: a
 * predecessor leaves its queue group next. */
#define COURIER_START_MS 1000
bool courier_start(struct courier *courier, struct err *err);

/* From now on this process gets no jobs, and its heartbeat ends. Any thread. */
void courier_retire(struct courier *courier);

/* Ends all threads: nothing arrives after it. */
void courier_stop(struct courier *courier);
struct courier *courier_free(struct courier *courier);

/* Whether it is connected at this moment. Any thread. */
bool courier_is_up(const struct courier *courier);

/* Any thread. These take `data`, which is from malloc(). False if it is dropped: without a
 * connection, or if too much waits. `reply` is that of the job, `is_again`: it has been
 * sent before. courier_inquire() asks the places whether a process of theirs is at work on
 * it. */
bool courier_ask(struct courier *courier, size_t worker, const char *id,
                 const struct place_list *places, bool is_again, char *data, size_t len);
void courier_inquire(struct courier *courier, size_t worker, const char *id,
                     const struct place_list *places);
bool courier_answer(struct courier *courier, const char *reply, char *data, size_t len);

/* Tells all vantage points that the job is over. Any thread. */
void courier_cancel(struct courier *courier, const char *id);
