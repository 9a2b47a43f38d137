/* SPDX-License-Identifier: MIT */
#include "vantage/courier.h"

#include "base/err.h"
#include "base/log.h"
#include "vantage/job.h"
#include "vantage/mailbox.h"
#include "vantage/nats_connection.h"
#include "vantage/places.h"

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

#define CHECK_SUBJECT  "vp.check."
#define CANCEL_SUBJECT "vp.cancel."
#define BEAT_SUBJECT   "vp.beat."
#define PROCESS_LEN    16
#define INBOX_SIZE     (SUBJECT_SIZE / 2)
#define DENIALS_SPAN   span_seconds(60) /* one log line in it */

/* Something to publish. */
struct parcel {
    struct parcel *next;
    char subject[SUBJECT_SIZE];
    char reply[SUBJECT_SIZE];    /* "" = none */
    char id[VANTAGE_ID_LEN + 1]; /* of a job of ours; "" = another message */
    size_t worker;               /* that asked */
    size_t len;
    char *data; /* owned */
};

struct courier {
    struct courier_config config;
    struct nats_client client;
    char inbox[INBOX_SIZE]; /* _INBOX.FRONT.PROCESS. */
    pthread_t thread;
    bool is_started;
    atomic_bool is_up;
    atomic_bool is_retired;

    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t cond;
    struct parcel *first;
    struct parcel **last;
    size_t count, bytes;
    bool is_stopping;
    bool has_tried;                     /* to connect */
    bool is_lost;                       /* the connection */
    struct nats_connection *connection; /* owned; changed by our thread only */
    struct instant denied;              /* when a denial was logged */
    bool has_denied;

    /* Our thread's. */
    struct instant next_beat;
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

/* What follows `prefix`; NULL if the subject does not begin with it. */
static const char *after(const char *subject, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(subject, prefix, len) == 0 ? subject + len : NULL;
}

static void post(struct courier *courier, size_t worker, struct letter *letter)
{
    if (letter)
        mailbox_post(courier->config.mailboxes[worker], letter);
}

/* The same job, delivered twice, gets to the same worker (FNV-1a). */
static size_t worker_of(const struct courier *courier, const char *data, size_t len)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)data[i]) * 0x100000001b3;
    return (size_t)((hash >> 32) % courier->config.mailbox_count);
}

static void job_has_arrived(struct courier *courier, const char *front,
                            const struct nats_message *message)
{
    if (!message->reply || strlen(message->reply) >= SUBJECT_SIZE - PLACE_NAME_SIZE ||
        message->len > VANTAGE_JOB_SIZE_MAX || !place_name_is_valid(front, strlen(front)))
        return;
    struct letter *letter = letter_new(LETTER_JOB, message->data, message->len);
    if (!letter)
        return;

    snprintf(letter->front, sizeof letter->front, "%s", front);
    snprintf(letter->reply, sizeof letter->reply, "%s", message->reply);
    post(courier, worker_of(courier, message->data, message->len), letter);
}

static void cancel_has_arrived(struct courier *courier, const char *front,
                               const struct nats_message *message)
{
    if (message->len != VANTAGE_ID_LEN || !place_name_is_valid(front, strlen(front)))
        return;

    for (size_t i = 0; i < courier->config.mailbox_count; i++) {
        struct letter *letter = letter_new(LETTER_CANCEL, NULL, 0);
        if (!letter)
            return;
        snprintf(letter->front, sizeof letter->front, "%s", front);
        memcpy(letter->id, message->data, VANTAGE_ID_LEN);
        post(courier, i, letter);
    }
}

/* `rest` is WORKER.ID.PLACE, or WORKER.ID from the server itself. */
static void answer_has_arrived(struct courier *courier, const char *rest,
                               const struct nats_message *message)
{
    size_t worker = 0;
    for (; *rest >= '0' && *rest <= '9' && worker < courier->config.mailbox_count; rest++)
        worker = worker * 10 + (size_t)(*rest - '0');
    if (*rest != '.' || worker >= courier->config.mailbox_count)
        return;

    const char *id = rest + 1;
    size_t id_len = strcspn(id, ".");
    const char *place = id[id_len] == '.' ? id + id_len + 1 : "";
    bool is_answer = place_name_is_valid(place, strlen(place));
    if (!vantage_id_is_valid(id, id_len) || is_answer == message->is_no_responders)
        return;

    struct letter *letter = message->is_no_responders
                                ? letter_new(LETTER_NO_RESPONDERS, NULL, 0)
                                : letter_new(LETTER_ANSWER, message->data, message->len);
    if (letter) {
        memcpy(letter->id, id, VANTAGE_ID_LEN);
        snprintf(letter->place, sizeof letter->place, "%s", place);
    }
    post(courier, worker, letter);
}

static void beat_has_arrived(struct courier *courier, const char *place,
                             const struct nats_message *message)
{
    (void)message;
    if (courier->config.places && place_name_is_valid(place, strlen(place)))
        places_heard(courier->config.places, place, clock_now());
}

static void has_arrived(void *ctx, const struct nats_message *message)
{
    struct courier *courier = ctx;
    const struct {
        const char *prefix;
        void (*arrive)(struct courier *courier, const char *rest,
                       const struct nats_message *message);
    } subjects[] = {
        {courier->inbox, answer_has_arrived},
        {CHECK_SUBJECT, job_has_arrived},
        {CANCEL_SUBJECT, cancel_has_arrived},
        {BEAT_SUBJECT, beat_has_arrived},
    };
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        const char *rest = after(message->subject, subjects[i].prefix);
        if (rest) {
            subjects[i].arrive(courier, rest, message);
            return;
        }
    }
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

static struct parcel *parcel_free(struct parcel *parcel)
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
    struct parcel *parcel = calloc(1, sizeof *parcel);
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

/* Takes the parcel in any case. */
static bool hand_in(struct courier *courier, struct parcel *parcel)
{
    if (!parcel)
        return false;

    lock(courier);
    bool is_taken = atomic_load(&courier->is_up) && courier->count < COURIER_PARCELS_MAX &&
                    courier->bytes + parcel->len <= COURIER_BYTES_MAX;
    if (is_taken) {
        *courier->last = parcel;
        courier->last = &parcel->next;
        courier->count++;
        courier->bytes += parcel->len;
        pthread_cond_signal(&courier->cond);
    }
    unlock(courier);
    if (!is_taken)
        parcel_free(parcel);
    return is_taken;
}

bool courier_ask(struct courier *courier, size_t worker, const char *id, char *data,
                 size_t len)
{
    char subject[SUBJECT_SIZE], reply[SUBJECT_SIZE];
    snprintf(subject, sizeof subject, CHECK_SUBJECT "%s", courier->config.front);
    snprintf(reply, sizeof reply, "%s%zu.%s", courier->inbox, worker, id);
    struct parcel *parcel = parcel_new(subject, reply, data, len);
    if (parcel) {
        memcpy(parcel->id, id, VANTAGE_ID_LEN);
        parcel->worker = worker;
    }
    return hand_in(courier, parcel);
}

bool courier_answer(struct courier *courier, const char *reply, char *data, size_t len)
{
    char subject[SUBJECT_SIZE];
    snprintf(subject, sizeof subject, "%s.%s", reply, courier->config.place);
    return hand_in(courier, parcel_new(subject, "", data, len));
}

void courier_cancel(struct courier *courier, const char *id)
{
    char subject[SUBJECT_SIZE];
    char *data = strdup(id);
    snprintf(subject, sizeof subject, CANCEL_SUBJECT "%s", courier->config.front);
    if (data)
        hand_in(courier, parcel_new(subject, "", data, strlen(data)));
}

static void is_not_sent(struct courier *courier, const struct parcel *parcel)
{
    struct letter *letter = parcel->id[0] ? letter_new(LETTER_NOT_SENT, NULL, 0) : NULL;
    if (letter)
        memcpy(letter->id, parcel->id, sizeof letter->id);
    post(courier, parcel->worker, letter);
}

static struct parcel *take_all(struct courier *courier)
{
    lock(courier);
    struct parcel *first = courier->first;
    courier->first = NULL;
    courier->last = &courier->first;
    courier->count = courier->bytes = 0;
    unlock(courier);
    return first;
}

static void publish_all(struct courier *courier)
{
    for (struct parcel *parcel = take_all(courier), *next; parcel; parcel = next) {
        next = parcel->next;
        if (!courier->connection || !nats_publish(courier->connection, parcel->subject,
                                                  parcel->reply[0] ? parcel->reply : NULL,
                                                  parcel->data, parcel->len, NULL))
            is_not_sent(courier, parcel);
        parcel_free(parcel);
    }
}

static void beat(struct courier *courier)
{
    char subject[SUBJECT_SIZE];
    struct instant now = clock_now();
    if (!is_place(courier) || courier->has_left || instant_before(now, courier->next_beat))
        return;

    snprintf(subject, sizeof subject, BEAT_SUBJECT "%s", courier->config.place);
    nats_publish(courier->connection, subject, NULL, NULL, 0, NULL);
    courier->next_beat = instant_add(now, span_seconds(PLACES_HEARTBEAT_SECONDS));
}

/* ---- the connection -------------------------------------------------------------------
 */

static bool subscribe(struct courier *courier, struct nats_connection *connection,
                      struct err *err)
{
    char inbox[INBOX_SIZE + 1];
    snprintf(inbox, sizeof inbox, "%s>", courier->inbox);
    if (is_front(courier) && (!nats_subscribe(connection, inbox, NULL, err) ||
                              !nats_subscribe(connection, BEAT_SUBJECT "*", NULL, err)))
        return false;
    if (is_place(courier) && !courier->has_left &&
        (!nats_subscribe(connection, CHECK_SUBJECT "*", courier->config.place, err) ||
         !nats_subscribe(connection, CANCEL_SUBJECT "*", NULL, err)))
        return false;
    return nats_settle(connection, err);
}

static bool connect_to(struct courier *courier, const struct nats_target *target,
                       struct err *err)
{
    struct nats_connection *connection;
    if (!nats_connection_new(&courier->client, target, &connection, err))
        return false;
    if (!subscribe(courier, connection, err)) {
        nats_connection_free(connection);
        return false;
    }

    lock(courier);
    courier->connection = connection;
    /* is_lost() did not know it before. */
    courier->is_lost = nats_connection_is_closed(connection);
    atomic_store(&courier->is_up, !courier->is_lost);
    unlock(courier);
    courier->next_beat = (struct instant){0};
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
        post(courier, i, letter_new(LETTER_DISCONNECTED, NULL, 0));
}

/* ---- the thread -----------------------------------------------------------------------
 */

static struct timespec timespec_of(struct instant instant)
{
    return (struct timespec){.tv_sec = instant.ns / NS_PER_SECOND,
                             .tv_nsec = instant.ns % NS_PER_SECOND};
}

static void wait_until(struct courier *courier, struct instant end)
{
    const struct timespec ts = timespec_of(end);
    lock(courier);
    if (!courier->first && !courier->is_stopping && !courier->is_lost &&
        atomic_load(&courier->is_retired) == courier->has_left)
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
    snprintf(courier->inbox, sizeof courier->inbox, "_INBOX.%s.%0*llx.",
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
    courier->last = &courier->first;
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
        timespec_of(instant_add(clock_now(), span_ms(COURIER_START_MS)));
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
