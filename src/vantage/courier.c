/* SPDX-License-Identifier: MIT */
#include "vantage/courier.h"

#include "base/err.h"
#include "base/log.h"
#include "vantage/nats_connection.h"
#include "vantage/outbox.h"
#include "vantage/parcel.h"
#include "vantage/places.h"
#include "vantage/sorter.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define PROCESS_LEN  16
#define DENIALS_SPAN span_seconds(60) /* one log line in it */

struct courier {
    struct courier_config config;
    struct nats_client client;
    struct sorter sorter;
    pthread_t thread;
    bool is_started;
    atomic_bool is_up;
    atomic_bool is_retired;

    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t cond;
    struct outbox outbox;
    bool is_stopping;
    bool is_greeted;                    /* by a front */
    bool has_tried;                     /* to connect */
    bool is_lost;                       /* the connection */
    struct nats_connection *connection; /* owned; changed by our thread only */
    struct instant denied;              /* when a denial was logged */
    bool has_denied;

    /* Our thread's. */
    struct instant beaten, next_beat;
    struct instant next_attempt; /* to connect */
    bool has_left;               /* the queue group */
    char fault[320];             /* why there is no connection, as it was logged */
};

static void lock(struct courier *courier)
{
    int errnum = pthread_mutex_lock(&courier->mutex);
    assert(errnum == 0);
}

static void unlock(struct courier *courier)
{
    int errnum = pthread_mutex_unlock(&courier->mutex);
    assert(errnum == 0);
}

static bool is_front(const struct courier *courier)
{
    return courier->config.front[0] != '\0';
}

static bool is_place(const struct courier *courier)
{
    return courier->config.place[0] != '\0';
}

/* ---- what arrives, on threads of libnats ----------------------------------------------
 */

static void has_arrived(void *ctx, const struct nats_message *message)
{
    struct courier *courier = ctx;
    sorter_read(&courier->sorter, message);
}

static void is_greeted(void *ctx)
{
    struct courier *courier = ctx;
    lock(courier);
    courier->is_greeted = true;
    pthread_cond_signal(&courier->cond);
    unlock(courier);
}

static void is_lost(void *ctx, const void *which)
{
    struct courier *courier = ctx;
    lock(courier);
    if (nats_connection_is(courier->connection, which)) {
        courier->is_lost = true;
        atomic_store(&courier->is_up, false);
        pthread_cond_signal(&courier->cond);
    }
    unlock(courier);
}

static void is_denied(void *ctx, const char *reason)
{
    struct courier *courier = ctx;
    struct instant now = clock_now();
    lock(courier);
    bool is_shown =
        !courier->has_denied || instant_since(now, courier->denied).ns >= DENIALS_SPAN.ns;
    if (is_shown) {
        courier->has_denied = true;
        courier->denied = now;
    }
    unlock(courier);
    if (is_shown)
        log_message(LOG_LEVEL_WARNING, "nats", "the server reports: %s", reason);
}

/* ---- what leaves ----------------------------------------------------------------------
 */

/* Takes the parcel in any case. */
static bool hand_in(struct courier *courier, struct parcel *parcel)
{
    if (!parcel)
        return false;

    lock(courier);
    bool is_taken = atomic_load(&courier->is_up) && outbox_add(&courier->outbox, parcel);
    if (is_taken)
        pthread_cond_signal(&courier->cond);
    unlock(courier);
    if (!is_taken)
        parcel_free(parcel);
    return is_taken;
}

static struct parcel_sender sender_of(const struct courier *courier, size_t worker)
{
    return (struct parcel_sender){courier->config.front, courier->sorter.inbox, worker};
}

bool courier_ask(struct courier *courier, size_t worker, const char *id,
                 const struct place_list *places, bool is_again, char *data, size_t len)
{
    const struct parcel_sender sender = sender_of(courier, worker);
    return hand_in(courier, parcel_job(&sender, id, places, is_again, data, len));
}

void courier_inquire(struct courier *courier, size_t worker, const char *id,
                     const struct place_list *places)
{
    const struct parcel_sender sender = sender_of(courier, worker);
    hand_in(courier, parcel_inquiry(&sender, id, places));
}

bool courier_answer(struct courier *courier, const char *reply, char *data, size_t len)
{
    return hand_in(courier, parcel_answer(reply, data, len));
}

void courier_cancel(struct courier *courier, const char *id)
{
    const struct parcel_sender sender = sender_of(courier, 0);
    hand_in(courier, parcel_cancellation(&sender, id));
}

static void is_not_sent(struct courier *courier, const struct parcel *parcel)
{
    struct letter *letter = parcel->id[0] ? letter_new(LETTER_NOT_SENT, NULL, 0) : NULL;
    if (letter)
        memcpy(letter->id, parcel->id, sizeof letter->id);
    sorter_post(&courier->sorter, parcel->worker, letter);
}

static struct parcel *take_all(struct courier *courier)
{
    lock(courier);
    struct parcel *first = outbox_take(&courier->outbox);
    unlock(courier);
    return first;
}

static void publish_all(struct courier *courier)
{
    for (struct parcel *parcel = take_all(courier), *next; parcel; parcel = next) {
        next = parcel->next;
        if (!courier->connection || !parcel_publish(parcel, courier->connection))
            is_not_sent(courier, parcel);
        parcel_free(parcel);
    }
}

/* A hello brings the next heartbeat forward. */
static void read_greeting(struct courier *courier)
{
    lock(courier);
    bool is_greeted = courier->is_greeted;
    courier->is_greeted = false;
    unlock(courier);
    if (is_greeted)
        courier->next_beat = instant_min(
            courier->next_beat, instant_add(courier->beaten, span_ms(COURIER_BEAT_MS)));
}

static void beat(struct courier *courier)
{
    char subject[SUBJECT_SIZE];
    struct instant now = clock_now();
    if (!is_place(courier) || courier->has_left || instant_before(now, courier->next_beat))
        return;

    snprintf(subject, sizeof subject, BEAT_SUBJECT "%s", courier->config.place);
    nats_publish(courier->connection, subject, NULL, NULL, 0, NULL);
    courier->beaten = now;
    courier->next_beat = instant_add(now, span_seconds(PLACES_HEARTBEAT_SECONDS));
}

/* ---- the connection -------------------------------------------------------------------
 */

static bool introduce(struct courier *courier, struct nats_connection *connection,
                      struct err *err)
{
    char hello[SUBJECT_SIZE];
    snprintf(hello, sizeof hello, HELLO_SUBJECT "%s", courier->config.front);
    return sorter_subscribe(&courier->sorter, connection, !courier->has_left, err) &&
           (!is_front(courier) || nats_publish(connection, hello, NULL, NULL, 0, err)) &&
           nats_flush(connection, err);
}

static bool connect_to(struct courier *courier, const struct nats_target *target,
                       struct err *err)
{
    struct nats_connection *connection;
    if (!nats_connection_new(&courier->client, target, &connection, err))
        return false;
    if (!introduce(courier, connection, err)) {
        nats_connection_free(connection);
        return false;
    }

    lock(courier);
    courier->connection = connection;
    /* is_lost() did not know it before. */
    courier->is_lost = nats_connection_is_closed(connection);
    atomic_store(&courier->is_up, !courier->is_lost);
    unlock(courier);
    courier->beaten = courier->next_beat = (struct instant){0};
    courier->fault[0] = '\0';
    log_message(LOG_LEVEL_INFO, "nats", "connected to %s", target->url);
    return true;
}

/* One log line for each reason, not for each attempt. */
static void tell_fault(struct courier *courier, const char *url, const struct err *err)
{
    if (strcmp(courier->fault, err->message) == 0)
        return;
    snprintf(courier->fault, sizeof courier->fault, "%s", err->message);
    log_message(
        LOG_LEVEL_WARNING, "nats",
        "cannot connect to %s: %s; trying again; until then, checks are made from this "
        "place alone",
        url, err->message);
}

static bool is_stopping(struct courier *courier)
{
    lock(courier);
    bool is_stopping = courier->is_stopping;
    unlock(courier);
    return is_stopping;
}

static void connect_to_any(struct courier *courier)
{
    const struct nats_access *access = courier->config.access;
    struct err err = {.message = "no host name of a server can be resolved"};
    courier->next_attempt = instant_add(clock_now(), span_ms(COURIER_RETRY_MS));
    for (size_t i = 0; i < access->target_count && !is_stopping(courier); i++)
        if (connect_to(courier, &access->targets[i], &err))
            return;
    tell_fault(courier, access->target_count > 0 ? access->targets[0].url : "NATS", &err);
}

static void disconnect(struct courier *courier)
{
    lock(courier);
    struct nats_connection *connection = courier->connection;
    courier->connection = NULL;
    atomic_store(&courier->is_up, false);
    unlock(courier);
    nats_connection_free(connection);
    publish_all(courier); /* nothing is: their senders are told */
    for (size_t i = 0; connection && i < courier->config.mailbox_count; i++)
        sorter_post(&courier->sorter, i, letter_new(LETTER_DISCONNECTED, NULL, 0));
}

/* ---- the thread -----------------------------------------------------------------------
 */

static void wait_until(struct courier *courier, struct instant end)
{
    const struct timespec ts = instant_timespec(end);
    lock(courier);
    if (!courier->outbox.first && !courier->is_stopping && !courier->is_greeted &&
        !courier->is_lost && atomic_load(&courier->is_retired) == courier->has_left)
        pthread_cond_timedwait(&courier->cond, &courier->mutex, &ts);
    unlock(courier);
}

static bool has_lost(struct courier *courier)
{
    lock(courier);
    bool is_lost = courier->is_lost;
    courier->is_lost = false;
    unlock(courier);
    return is_lost;
}

static void tell_tried(struct courier *courier)
{
    lock(courier);
    if (!courier->has_tried)
        pthread_cond_broadcast(&courier->cond);
    courier->has_tried = true;
    unlock(courier);
}

static void turn(struct courier *courier)
{
    struct instant now = clock_now();
    read_greeting(courier);
    if (atomic_load(&courier->is_retired) && !courier->has_left) {
        courier->has_left = true;
        if (courier->connection)
            nats_leave_groups(courier->connection);
    }
    if (has_lost(courier)) {
        disconnect(courier);
        log_message(LOG_LEVEL_WARNING, "nats", "the connection is lost");
    }
    if (!courier->connection && !instant_before(now, courier->next_attempt))
        connect_to_any(courier);
    tell_tried(courier);
    if (!courier->connection) {
        publish_all(courier);
        wait_until(courier, courier->next_attempt);
        return;
    }
    beat(courier);
    publish_all(courier);
    wait_until(courier, is_place(courier) && !courier->has_left
                            ? courier->next_beat
                            : instant_add(now, span_seconds(PLACES_HEARTBEAT_SECONDS)));
}

static void *courier_main(void *ctx)
{
    struct courier *courier = ctx;
    nats_library_open();
    while (!is_stopping(courier))
        turn(courier);
    publish_all(courier);
    disconnect(courier);
    if (!nats_library_close())
        log_message(LOG_LEVEL_WARNING, "nats", "libnats does not end its threads");
    return NULL;
}

/* ---- life -----------------------------------------------------------------------------
 */

/* Distinguishes the processes of one front. */
static bool inbox_make(struct courier *courier, struct err *err)
{
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_sys(err, errno, "getrandom");
    snprintf(courier->sorter.inbox, sizeof courier->sorter.inbox, "_INBOX.%s.%0*llx.",
             is_front(courier) ? courier->config.front : "none", PROCESS_LEN,
             (unsigned long long)random);
    return true;
}

static void synchronisation_make(struct courier *courier)
{
    pthread_condattr_t attributes;
    int errnum = pthread_mutex_init(&courier->mutex, NULL);
    assert(errnum == 0);
    pthread_condattr_init(&attributes);
    errnum = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    assert(errnum == 0);
    errnum = pthread_cond_init(&courier->cond, &attributes);
    assert(errnum == 0);
    pthread_condattr_destroy(&attributes);
}

bool courier_new(const struct courier_config *config, struct courier **ret, struct err *err)
{
    nats_library_hold();
    struct courier *courier = calloc(1, sizeof *courier);
    if (!courier)
        return err_sys(err, ENOMEM, "NATS");
    courier->config = *config;
    outbox_init(&courier->outbox);
    courier->sorter = (struct sorter){
        .place = config->place,
        .places = config->places,
        .mailboxes = config->mailboxes,
        .mailbox_count = config->mailbox_count,
        .greeted = is_greeted,
        .ctx = courier,
    };
    courier->client = (struct nats_client){
        .access = config->access,
        .arrived = has_arrived,
        .lost = is_lost,
        .denied = is_denied,
        .ctx = courier,
    };
    synchronisation_make(courier);
    if (!inbox_make(courier, err)) {
        courier_free(courier);
        return false;
    }
    *ret = courier;
    return true;
}

bool courier_start(struct courier *courier, struct err *err)
{
    int failure = pthread_create(&courier->thread, NULL, courier_main, courier);
    if (failure != 0)
        return err_sys(err, failure, "starting a thread");

    courier->is_started = true;
    const struct timespec end =
        instant_timespec(instant_add(clock_now(), span_ms(COURIER_START_MS)));
    lock(courier);
    while (!courier->has_tried && failure == 0)
        failure = pthread_cond_timedwait(&courier->cond, &courier->mutex, &end);
    unlock(courier);
    return true;
}

void courier_retire(struct courier *courier)
{
    lock(courier);
    atomic_store(&courier->is_retired, true);
    pthread_cond_signal(&courier->cond);
    unlock(courier);
}

void courier_stop(struct courier *courier)
{
    if (!courier || !courier->is_started)
        return;

    lock(courier);
    courier->is_stopping = true;
    pthread_cond_signal(&courier->cond);
    unlock(courier);
    pthread_join(courier->thread, NULL);
    courier->is_started = false;
}

struct courier *courier_free(struct courier *courier)
{
    if (!courier)
        return NULL;

    assert(!courier->is_started);
    for (struct parcel *parcel = take_all(courier), *next; parcel; parcel = next) {
        next = parcel->next;
        parcel_free(parcel);
    }
    pthread_cond_destroy(&courier->cond);
    pthread_mutex_destroy(&courier->mutex);
    free(courier);
    return NULL;
}

bool courier_is_up(const struct courier *courier)
{
    return atomic_load(&courier->is_up);
}
