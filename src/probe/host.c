/* SPDX-License-Identifier: MIT */
#include "probe/host.h"

#include "base/err.h"
#include "probe/schedule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define FIRST_BUCKETS     64
#define ANSWERING_SECONDS 10
#define ALIVE_SECONDS     60
#define HOP_MS            50
#define FELL_SILENT_MS    1500

struct host_table {
    struct host **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
    size_t max;
    uint64_t seed; /* callers choose the addresses: they must not choose the bucket */
    TAILQ_HEAD(, host) idle; /* least recently used first */
};

/* --- the table ---------------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

static uint64_t address_hash(const struct host_table *table, const struct address *address)
{
    size_t len;
    const uint8_t *bytes = address_bytes(address, &len);
    uint64_t hash = mix(table->seed ^ len);
    for (size_t i = 0; i < len; i += 4) {
        uint32_t word;
        memcpy(&word, bytes + i, sizeof word);
        hash = mix(hash ^ word ^ table->seed);
    }
    return hash;
}

bool host_table_new(size_t max, struct host_table **ret, struct err *err)
{
    struct host_table *table = calloc(1, sizeof *table);
    struct host **buckets = calloc(FIRST_BUCKETS, sizeof *buckets);
    if (!table || !buckets) {
        free(table);
        free(buckets);
        return err_sys(err, ENOMEM, "table of addresses");
    }
    table->buckets = buckets;
    table->bucket_count = FIRST_BUCKETS;
    table->max = max;
    TAILQ_INIT(&table->idle);
    if (getrandom(&table->seed, sizeof table->seed, 0) != sizeof table->seed) {
        host_table_free(table);
        return err_sys(err, errno, "getrandom");
    }
    *ret = table;
    return true;
}

struct host_table *host_table_free(struct host_table *table)
{
    if (!table)
        return NULL;

    for (size_t i = 0; i < table->bucket_count; i++)
        for (struct host *host = table->buckets[i], *next; host; host = next) {
            next = host->next_in_bucket;
            free(host);
        }
    free(table->buckets);
    free(table);
    return NULL;
}

/* A failure to grow costs speed, nothing else. */
static void table_grow(struct host_table *table)
{
    size_t count = table->bucket_count * 2;
    struct host **buckets = calloc(count, sizeof *buckets);
    if (!buckets)
        return;

    for (size_t i = 0; i < table->bucket_count; i++)
        for (struct host *host = table->buckets[i], *next; host; host = next) {
            struct host **bucket = &buckets[host->hash & (count - 1)];
            next = host->next_in_bucket;
            host->next_in_bucket = *bucket;
            *bucket = host;
        }
    free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = count;
}

static void table_forget(struct host_table *table, struct host *host)
{
    struct host **at = &table->buckets[host->hash & (table->bucket_count - 1)];
    while (*at != host)
        at = &(*at)->next_in_bucket;
    *at = host->next_in_bucket;
    TAILQ_REMOVE(&table->idle, host, idle_link);
    table->count--;
    free(host);
}

static struct host *table_add(struct host_table *table, const struct address *address,
                              uint64_t hash)
{
    while (table->count >= table->max && !TAILQ_EMPTY(&table->idle))
        table_forget(table, TAILQ_FIRST(&table->idle));
    if (table->count >= table->bucket_count)
        table_grow(table);

    struct host *host = calloc(1, sizeof *host);
    if (!host)
        return NULL;
    struct host **bucket = &table->buckets[hash & (table->bucket_count - 1)];
    host->address = *address;
    host->hash = hash;
    host->window_max = HOST_WINDOW_FIRST;
    TAILQ_INIT(&host->window);
    TAILQ_INIT(&host->waiting);
    host->next_in_bucket = *bucket;
    *bucket = host;
    table->count++;
    host->users = 1;
    return host;
}

struct host *host_table_get(struct host_table *table, const struct address *address)
{
    uint64_t hash = address_hash(table, address);
    struct host *host = table->buckets[hash & (table->bucket_count - 1)];
    while (host && !(host->hash == hash && address_equals(&host->address, address)))
        host = host->next_in_bucket;
    if (!host)
        return table_add(table, address, hash);

    if (host->users++ == 0)
        TAILQ_REMOVE(&table->idle, host, idle_link);
    return host;
}

void host_table_put(struct host_table *table, struct host *host)
{
    if (--host->users == 0)
        TAILQ_INSERT_TAIL(&table->idle, host, idle_link);
}

/* --- the window and the pace -------------------------------------------------------- */

static void window_leave(struct host *host, struct window_entry *entry)
{
    if (!entry->is_in)
        return;

    TAILQ_REMOVE(&host->window, entry, link);
    entry->is_in = false;
    host->in_window--;
}

/* Attempts that have been silent for longer than an answer takes leave the window. */
static void window_expire(struct host *host, struct instant now)
{
    struct instant oldest_allowed = instant_back(now, schedule_answer_time(&host->rtt));
    struct window_entry *oldest;
    while ((oldest = TAILQ_FIRST(&host->window)) &&
           !instant_before(oldest_allowed, oldest->since))
        window_leave(host, oldest);
}

static bool is_paced(const struct host *host, struct instant now)
{
    return instant_before(now, host->paced_until);
}

bool host_may_start(struct host *host, struct instant now, struct instant *ret_until)
{
    window_expire(host, now);
    if (is_paced(host, now) && instant_before(now, host->next_start)) {
        *ret_until = host->next_start;
        return false;
    }
    if (host->in_window >= host->window_max) {
        *ret_until = instant_add(TAILQ_FIRST(&host->window)->since,
                                 schedule_answer_time(&host->rtt));
        return false;
    }
    return true;
}

void host_started(struct host *host, struct window_entry *entry, bool is_first,
                  struct instant now)
{
    *entry = (struct window_entry){.since = now, .is_in = true};
    TAILQ_INSERT_TAIL(&host->window, entry, link);
    host->in_window++;
    if (is_first && (host->unanswered == 0 || host->asked_since.ns == 0))
        host->asked_since = now;
    host->unanswered++;

    if (!is_paced(host, now))
        return;
    struct instant from = instant_before(host->next_start, now) ? now : host->next_start;
    host->next_start.ns = from.ns + NS_PER_SECOND / HOST_RESETS_PACED;
}

void host_ended(struct host *host, struct window_entry *entry)
{
    window_leave(host, entry);
    host->unanswered--;
}

void host_answered(struct host *host, const struct span *sample, unsigned syns,
                   unsigned lost, struct instant now)
{
    if (sample)
        rtt_add(&host->rtt, *sample);
    loss_add(&host->loss, syns, lost, now);
    host->answered_at = now;
    host->asked_since = (struct instant){0};
    if (lost == 0) {
        if (host->window_max < HOST_WINDOW_MAX)
            host->window_max++;
        return;
    }

    struct instant again = instant_add(host->halved_at, schedule_answer_time(&host->rtt));
    if (host->halved_at.ns != 0 && instant_before(now, again))
        return;
    host->halved_at = now;
    host->window_max /= 2;
    if (host->window_max < HOST_WINDOW_MIN)
        host->window_max = HOST_WINDOW_MIN;
}

static bool is_within(struct instant at, int64_t seconds, struct instant now)
{
    return at.ns != 0 && instant_since(now, at).ns < seconds * NS_PER_SECOND;
}

bool host_is_answering(const struct host *host, struct instant now)
{
    return is_within(host->answered_at, ANSWERING_SECONDS, now);
}

bool host_fell_silent(const struct host *host, struct instant now)
{
    struct instant late = instant_add(host->asked_since, span_ms(FELL_SILENT_MS));
    return host->unanswered > 0 && host->asked_since.ns != 0 &&
           is_within(host->answered_at, ALIVE_SECONDS, now) && !instant_before(now, late);
}

enum route_hop host_next_hop(struct host *host, struct instant now)
{
    if (host->hop_at.ns != 0 && instant_since(now, host->hop_at).ns < HOP_MS * NS_PER_MS)
        return host->hop;

    host->hop = route_next_hop(&host->address);
    host->hop_at = now;
    return host->hop;
}

bool host_reset(struct host *host, struct instant now)
{
    if (instant_since(now, host->resets_since).ns >= NS_PER_SECOND) {
        host->resets_since = now;
        host->resets = 0;
    }
    host->resets++;

    struct instant paced_until = instant_add(now, span_seconds(HOST_PACED_SECONDS));
    if (is_paced(host, now)) {
        host->paced_until = paced_until;
        return false;
    }

    if (host->resets < HOST_RESETS_PACED)
        return false;
    window_expire(host, now);
    bool has_silence = host->unanswered > host->in_window;
    if (!has_silence)
        return false;
    host->paced_until = paced_until;
    host->next_start = now;
    return true;
}
