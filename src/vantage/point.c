/* SPDX-License-Identifier: MIT */
#include "vantage/point.h"

#include "base/err.h"
#include "base/log.h"
#include "loop/loop.h"
#include "net/port_set.h"
#include "policy/budget.h"
#include "probe/engine.h"
#include "vantage/answer.h"
#include "vantage/mailbox.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* One job that runs. */
struct point_job {
    LIST_ENTRY(point_job) link;
    struct point *point; /* borrowed */
    struct job *job;     /* the engine's */
    char id[VANTAGE_ID_LEN + 1];
    char front[PLACE_NAME_SIZE];
    char reply[SUBJECT_SIZE];
    struct address target;
    bool is_foreign; /* the target is not the caller's own address */
    struct instant begun;
    size_t port_count;
};

/* The last jobs, as hashes of front and id, to which an id belongs. Each bucket is a ring,
 * so a few of them are forgotten before older ones. */
#define MEMORY_WAYS    16
#define MEMORY_BUCKETS (POINT_REMEMBERED / MEMORY_WAYS)
struct memory {
    uint64_t items[MEMORY_BUCKETS][MEMORY_WAYS]; /* 0 = none */
    uint8_t next[MEMORY_BUCKETS];
};

struct point {
    struct point_config config;
    struct port_set ports; /* of the job that is being read */
    LIST_HEAD(, point_job) running;
    size_t count;
    struct memory had;       /* the last that came */
    struct memory cancelled; /* the last that did not run when they were cancelled */
};

/* ---- answers and the log ---------------------------------------------------------------
 */

static void count(struct point *point, enum vantage_refusal refusal)
{
    atomic_fetch_add_explicit(&point->config.counts->results[refusal], 1,
                              memory_order_relaxed);
}

/* `text` NULL = no memory: then nothing is answered. */
static void answer(struct point *point, const char *reply, char *text, size_t len)
{
    if (text)
        point->config.answer(point->config.ctx, reply, text, len);
}

static bool log_job_begin(struct log_line *line, const char *front,
                          const struct address *target, size_t ports, bool has_cost)
{
    char text[ADDRESS_TEXT_SIZE];
    bool may_log = has_cost ? log_begin(line, LOG_LEVEL_INFO, "job")
                            : log_begin_limited(line, LOG_LEVEL_INFO, "job");
    if (!may_log)
        return false;
    log_str(line, "front", front);
    if (ports > 0) {
        log_str(line, "target", address_format(target, text));
        log_int(line, "ports", (int64_t)ports);
    }
    return true;
}

static void refuse(struct point *point, const struct letter *letter,
                   const struct vantage_job *job, enum vantage_refusal refusal)
{
    struct log_line line;
    size_t len;
    count(point, refusal);
    if (log_job_begin(&line, letter->front, &job->target, job->port_count, false)) {
        log_str(&line, "refused", vantage_refusal_text(refusal));
        log_end(&line);
    }
    char *text = vantage_answer_refuse(point->config.settings->vantage, refusal, &len);
    answer(point, letter->reply, text, len);
}

static void log_verdicts(const struct point_job *running, const struct job *job)
{
    size_t states[PORT_STATE_COUNT] = {0};
    struct log_line line;
    if (!log_job_begin(&line, running->front, &running->target, running->port_count, true))
        return;
    for (size_t i = 0; i < running->port_count; i++)
        states[job_verdict(job, i)->state]++;
    for (size_t i = 0; i < PORT_STATE_COUNT; i++)
        log_int(&line, port_state_text((enum port_state)i), (int64_t)states[i]);
    log_ms(&line, "ms", instant_since(clock_now(), running->begun));
    log_end(&line);
}

static void log_end_without(const struct point_job *running, const char *reason)
{
    struct log_line line;
    if (!log_job_begin(&line, running->front, &running->target, running->port_count, true))
        return;
    log_str(&line, "reason", reason);
    log_ms(&line, "ms", instant_since(clock_now(), running->begun));
    log_end(&line);
}

/* ---- running jobs ----------------------------------------------------------------------
 */

static void running_free(struct point_job *running)
{
    LIST_REMOVE(running, link);
    running->point->count--;
    free(running);
}

/* The front pays for ports that were not tried as well: its budget is wide. */
static void end_accounting(struct point_job *running, size_t untried, size_t silent)
{
    const struct point_config *config = &running->point->config;
    struct instant now = loop_now(config->loop);
    budget_give_back(config->targets, &running->target, &running->target,
                     running->is_foreign, untried, 1, now);
    budget_charge_silent(config->targets, &running->target, running->is_foreign, silent,
                         now);
}

static char *write_verdicts(const struct point_job *running, const struct job *job,
                            size_t *ret_len)
{
    struct text text;
    vantage_answer_begin(&text, running->point->config.settings->vantage,
                         running->port_count);
    for (size_t i = 0; i < running->port_count; i++)
        vantage_answer_add(&text, job_verdict(job, i));
    return vantage_answer_end(&text, ret_len);
}

static enum vantage_refusal refusal_of(enum job_end end)
{
    switch (end) {
    case JOB_JUDGED:
        return REFUSAL_NONE;
    case JOB_OVERLOADED:
        return REFUSAL_OVERLOADED;
    case JOB_FAULT:
        return REFUSAL_FAULT;
    case JOB_NO_ROUTE:
        return REFUSAL_NO_ROUTE;
    }
    return REFUSAL_FAULT;
}

static void job_is_done(void *ctx, const struct job *job, const struct job_result *result)
{
    struct point_job *running = ctx;
    struct point *point = running->point;
    enum vantage_refusal refusal = refusal_of(result->end);
    size_t len;
    char *text;

    end_accounting(running, result->untried, result->silent);
    count(point, refusal);
    if (refusal == REFUSAL_NONE) {
        log_verdicts(running, job);
        text = write_verdicts(running, job, &len);
    } else {
        log_end_without(running, result->reason.message);
        text = vantage_answer_refuse(point->config.settings->vantage, refusal, &len);
    }
    answer(point, running->reply, text, len);
    running_free(running);
}

static void count_cancelled(const struct point *point)
{
    atomic_fetch_add_explicit(&point->config.counts->cancelled, 1, memory_order_relaxed);
}

static void cancel(struct point_job *running, const char *reason)
{
    size_t silent, untried = engine_cancel(running->job, &silent);
    end_accounting(running, untried, silent);
    count_cancelled(running->point);
    log_end_without(running, reason);
    running_free(running);
}

/* ---- what is allowed -------------------------------------------------------------------
 */

static enum vantage_refusal check_exp(const struct vantage_job *job)
{
    int64_t ahead = job->exp_ms - clock_unix_ms();
    return ahead <= 0                         ? REFUSAL_EXPIRED
           : ahead > POINT_EXP_SECONDS * 1000 ? REFUSAL_TOO_EARLY
                                              : REFUSAL_NONE;
}

/* As if the caller had named the target itself. */
static enum vantage_refusal check_target(const struct point_config *config,
                                         struct vantage_job *job)
{
    const struct access_caller caller = {
        .kind = CALLER_KNOWN,
        .ground = ACCESS_NAMED,
        .address = address_unmap(&job->caller),
    };
    struct access_decision decision = access_decide(
        &caller, &job->target, config->settings->vantage_targets, &config->machine);
    job->target = decision.target;
    job->caller = caller.address;
    return decision.is_allowed ? REFUSAL_NONE : REFUSAL_TARGET;
}

/* A budget counts by address: the front's is made of its name. */
static struct address address_of_front(const char *front)
{
    struct address address = {.len = sizeof address.in6, .in6.sin6_family = AF_INET6};
    uint64_t hash = text_hash(front, strlen(front));
    memcpy(&address.in6.sin6_addr, &hash, sizeof hash);
    return address;
}

static bool is_foreign(const struct vantage_job *job)
{
    return !address_equals(&job->caller, &job->target);
}

static void give_back(const struct point_config *config, const struct vantage_job *job)
{
    budget_give_back(config->targets, &job->target, &job->target, is_foreign(job),
                     job->port_count, 1, loop_now(config->loop));
}

/* A target has one budget for all fronts and callers. */
static enum vantage_refusal charge(const struct point_config *config, const char *front,
                                   const struct vantage_job *job)
{
    struct instant now = loop_now(config->loop);
    struct address payer = address_of_front(front);
    if (budget_take(config->targets, &job->target, &job->target, is_foreign(job),
                    job->port_count, 1, now)
            .denied != BUDGET_NONE)
        return REFUSAL_BUDGET;
    if (budget_take(config->fronts, &payer, &payer, false, job->port_count, 1, now)
            .denied == BUDGET_NONE)
        return REFUSAL_NONE;

    give_back(config, job);
    return REFUSAL_BUDGET;
}

/* ---- from a letter to a job ------------------------------------------------------------
 */

static bool start_engine(struct point_job *running, const struct vantage_job *job)
{
    const struct point_config *config = &running->point->config;
    const struct job_request request = {
        .target = job->target,
        .caller = &job->caller,
        .token = job->has_token ? &job->token : NULL,
        .ports = job->ports,
        .port_count = job->port_count,
        .deadline = instant_add(running->begun, span_ms(job->budget_ms)),
        .done = job_is_done,
        .ctx = running,
    };
    return engine_start(config->engine, &request, &running->job, NULL);
}

static enum vantage_refusal start(struct point *point, const struct letter *letter,
                                  const struct vantage_job *job)
{
    struct point_job *running =
        point->count < POINT_JOBS_MAX ? malloc(sizeof *running) : NULL;
    if (!running)
        return REFUSAL_OVERLOADED;

    *running = (struct point_job){
        .point = point,
        .target = job->target,
        .is_foreign = is_foreign(job),
        .begun = loop_now(point->config.loop),
        .port_count = job->port_count,
    };
    memcpy(running->id, job->id, sizeof running->id);
    memcpy(running->front, letter->front, sizeof running->front);
    memcpy(running->reply, letter->reply, sizeof running->reply);
    if (!start_engine(running, job)) {
        free(running);
        return REFUSAL_OVERLOADED;
    }
    LIST_INSERT_HEAD(&point->running, running, link);
    point->count++;
    return REFUSAL_NONE;
}

static enum vantage_refusal charge_and_start(struct point *point,
                                             const struct letter *letter,
                                             const struct vantage_job *job)
{
    const struct point_config *config = &point->config;
    enum vantage_refusal refusal = charge(config, letter->front, job);
    if (refusal != REFUSAL_NONE)
        return refusal;
    refusal = start(point, letter, job);
    if (refusal != REFUSAL_NONE)
        give_back(config, job);
    return refusal;
}

static uint64_t item_of(const char *front, const char *id)
{
    char text[PLACE_NAME_SIZE + VANTAGE_ID_LEN + 1];
    int len = snprintf(text, sizeof text, "%s.%s", front, id);
    uint64_t hash = text_hash(text, (size_t)len);
    return hash != 0 ? hash : 1;
}

/* By bits that depend on all characters: FNV-1a leaves similar texts close together. */
static size_t bucket_of(uint64_t item)
{
    return (size_t)(item * 0x9e3779b97f4a7c15 >> 32) % MEMORY_BUCKETS;
}

static bool is_remembered(const struct memory *memory, const char *front, const char *id)
{
    const uint64_t item = item_of(front, id);
    const uint64_t *items = memory->items[bucket_of(item)];
    for (size_t i = 0; i < MEMORY_WAYS; i++)
        if (items[i] == item)
            return true;
    return false;
}

static void remember(struct memory *memory, const char *front, const char *id)
{
    const uint64_t item = item_of(front, id);
    const size_t bucket = bucket_of(item);
    memory->items[bucket][memory->next[bucket]++ % MEMORY_WAYS] = item;
}

/* Whether the job came before, or its end. */
static bool is_over(struct point *point, const char *front, const char *id)
{
    if (is_remembered(&point->had, front, id))
        return true;
    remember(&point->had, front, id);
    bool is_cancelled = is_remembered(&point->cancelled, front, id);
    if (is_cancelled)
        count_cancelled(point);
    return is_cancelled;
}

static void read_job(struct point *point, const struct letter *letter)
{
    struct vantage_job job = {.port_count = 0};
    enum vantage_refusal refusal =
        vantage_job_parse(letter->data, letter->len, &point->ports, &job);
    if (refusal == REFUSAL_NONE) {
        if (is_over(point, letter->front, job.id))
            return;
        refusal = check_exp(&job);
    }
    if (refusal == REFUSAL_NONE)
        refusal = check_target(&point->config, &job);
    if (refusal == REFUSAL_NONE)
        refusal = charge_and_start(point, letter, &job);
    if (refusal != REFUSAL_NONE)
        refuse(point, letter, &job, refusal);
}

/* A job is known to the front that asked only. */
static struct point_job *find(const struct point *point, const struct letter *letter)
{
    struct point_job *running;
    LIST_FOREACH(running, &point->running, link)
        if (strcmp(running->id, letter->id) == 0 &&
            strcmp(running->front, letter->front) == 0)
            return running;
    return NULL;
}

/* Jobs and cancellations take different ways: this may be the first. */
static void read_cancel(struct point *point, const struct letter *letter)
{
    struct point_job *running = find(point, letter);
    if (running)
        cancel(running, "cancelled");
    else
        remember(&point->cancelled, letter->front, letter->id);
}

static void read_late(struct point *point, const struct letter *letter)
{
    if (find(point, letter))
        answer(point, letter->reply, strdup(""), 0);
}

void point_read(struct point *point, const struct letter *letter)
{
    if (letter->kind == LETTER_JOB)
        read_job(point, letter);
    else if (letter->kind == LETTER_CANCEL)
        read_cancel(point, letter);
    else if (letter->kind == LETTER_LATE)
        read_late(point, letter);
}

/* ---- life ------------------------------------------------------------------------------
 */

bool point_new(const struct point_config *config, struct point **ret, struct err *err)
{
    struct point *point = calloc(1, sizeof *point);
    size_t max = config->settings->max_ports;
    if (!point)
        return err_sys(err, ENOMEM, "a vantage point");
    if (!port_set_init(&point->ports, max < VANTAGE_PORTS_MAX ? max : VANTAGE_PORTS_MAX,
                       err)) {
        free(point);
        return false;
    }
    point->config = *config;
    LIST_INIT(&point->running);
    *ret = point;
    return true;
}

struct point *point_free(struct point *point)
{
    if (!point)
        return NULL;

    while (!LIST_EMPTY(&point->running))
        cancel(LIST_FIRST(&point->running), "stopped");
    port_set_done(&point->ports);
    free(point);
    return NULL;
}

size_t point_jobs(const struct point *point)
{
    return point->count;
}
