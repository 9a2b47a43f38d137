/* SPDX-License-Identifier: MIT */
#include "probe/host.h"

#include "base/container.h"
#include "base/err.h"
#include "probe/schedule.h"

#include <errno.h>
#include <stdlib.h>

#define ALIVE_SECONDS  60
#define HOP_MS         50
#define FELL_SILENT_MS 1500

struct host_table {
    struct address_table table; /* its entries are owned */
    size_t max;
    TAILQ_HEAD(, host) idle; /* least recently used first */
};

/* --- the table ---------------------------------------------------------------------- */

static struct host *host_of(struct address_entry *entry)
{
    return entry ? CONTAINER_OF(entry, struct host, entry) : NULL;
}

bool host_table_new(size_t max, struct host_table **ret, struct err *err)
{
    struct host_table *hosts = calloc(1, sizeof *hosts);
    if (!hosts)
        return err_sys(err, ENOMEM, "table of addresses");

    /* More than `max` may be in use: jobs limit them. */
    if (!address_table_init(&hosts->table, SIZE_MAX, err)) {
        free(hosts);
        return false;
    }
    hosts->max = max;
    TAILQ_INIT(&hosts->idle);
    *ret = hosts;
    return true;
}

struct host_table *host_table_free(struct host_table *hosts)
{
    if (!hosts)
        return NULL;

    struct address_entry *entry;
    for (size_t at = 0; (entry = address_table_next(&hosts->table, &at));)
        free(host_of(entry));
    address_table_done(&hosts->table);
    free(hosts);
    return NULL;
}

static void host_forget(struct host_table *hosts, struct host *host)
{
    address_table_remove(&hosts->table, &host->entry);
    TAILQ_REMOVE(&hosts->idle, host, idle_link);
    free(host);
}

static struct host *host_add(struct host_table *hosts, const struct address *address,
                             const struct address_key *key)
{
    while (hosts->table.count >= hosts->max && !TAILQ_EMPTY(&hosts->idle))
        host_forget(hosts, TAILQ_FIRST(&hosts->idle));

    struct host *host = calloc(1, sizeof *host);
    if (!host || !address_table_add(&hosts->table, key, &host->entry)) {
        free(host);
        return NULL;
    }
    host->address = *address;
    host->window_max = HOST_WINDOW_FIRST;
    TAILQ_INIT(&host->window);
    TAILQ_INIT(&host->waiting);
    TAILQ_INIT(&host->limit.turns);
    TAILQ_INIT(&host->limit.unsure);
    LIST_INIT(&host->jobs);
    LIST_INIT(&host->open_controls);
    host->users = 1;
    return host;
}

struct host *host_table_get(struct host_table *hosts, const struct address *address)
{
    struct address_key key = address_key_exact(address);
    struct host *host = host_of(address_table_find(&hosts->table, &key));
    if (!host)
        return host_add(hosts, address, &key);

    if (host->users++ == 0)
        TAILQ_REMOVE(&hosts->idle, host, idle_link);
    return host;
}

void host_table_put(struct host_table *hosts, struct host *host)
{
    if (--host->users == 0)
        TAILQ_INSERT_TAIL(&hosts->idle, host, idle_link);
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

void host_heard(struct host *host, const struct span *sample, struct instant now)
{
    if (sample)
        rtt_add(&host->rtt, *sample);
    host->answered_at = now;
    host->asked_since = (struct instant){0};
}

void host_answered(struct host *host, const struct span *sample, unsigned syns,
                   unsigned lost, struct instant now)
{
    host_heard(host, sample, now);
    loss_add(&host->loss, syns, lost, now);
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

/* --- sessions and limits ------------------------------------------------------------ */

void host_session_begin(struct host *host, struct instant now)
{
    /* Not `now`: what answers an earlier job in this very turn is not of this session. */
    host->session_since = instant_add(now, (struct span){1});
    bool is_forgotten = !is_within(host->limit.used_at, HOST_LIMIT_SECONDS, now) ||
                        !is_within(host->limit.heard_at, HOST_LIMIT_DEAD_S, now);
    if (!host->limit.is_on || !is_forgotten)
        return;
    host->limit.is_on = false;
    host->controls = (struct controls){0};
}

bool host_is_answering(const struct host *host)
{
    return !instant_before(host->answered_at, host->session_since);
}

bool host_has_opened(const struct host *host)
{
    return !instant_before(host->opened_at, host->session_since);
}

void host_witnessed(struct host *host, uint16_t port, bool is_open, struct instant now)
{
    if (is_open)
        host->opened_at = now;
    controls_answered(&host->controls, port, is_open, now);
}

struct witness *host_next_witness(struct host *host, uint16_t except, struct instant now)
{
    if (host->limit.is_on)
        return controls_next_witness(&host->controls, except, (struct instant){0},
                                     host->limit.began_at);
    return controls_next_witness(&host->controls, except, host->session_since, now);
}

void host_limit_heard(struct host *host, unsigned number, bool is_control,
                      struct instant now)
{
    struct limit *limit = &host->limit;
    limit->streak = number > limit->heard + 1 ? 1 : limit->streak + 1;
    if (number > limit->heard)
        limit->heard = number;
    limit->heard_at = now;
    limit->unheard = 0;
    limit->is_held_back = false;
    bool is_streak = limit->streak >= HOST_STREAK;
    if (is_streak)
        limit->streak = 0;
    pace_answered(&limit->pace, is_control || is_streak);
}

void host_limit_missed(struct host *host, unsigned number, struct instant now)
{
    struct limit *limit = &host->limit;
    if (number > limit->missed)
        limit->missed = number;
    pace_missed(&limit->pace, instant_since(now, limit->heard_at));
}

/* --- silence ------------------------------------------------------------------------ */

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
