/* SPDX-License-Identifier: MIT */
#include "service/desk.h"

#include "base/err.h"
#include "base/text.h"
#include "metrics/exposition.h"
#include "net/route.h"
#include "policy/budget.h"
#include "settings/settings.h"
#include "vantage/courier.h"
#include "vantage/gather.h"
#include "vantage/mailbox.h"
#include "vantage/nats_access.h"
#include "vantage/nats_asker.h"
#include "vantage/nats_connection.h"
#include "vantage/places.h"
#include "vantage/point.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define TARGETS_MAX 131072 /* buckets; as many as of callers */
#define FRONTS_MAX  256

struct desk {
    struct office *office; /* borrowed */
    size_t worker;
    struct nats_asker *asker; /* these two owned; NULL = not a front, not a vantage point */
    struct point *point;
    struct gather_config front;
    size_t asked; /* ports */
};

/* ---- the office -----------------------------------------------------------------------
 */

bool office_load(struct office *office, const struct settings *settings, struct err *err)
{
    if (settings->nats_servers.count > 0 && !nats_is_built())
        return err_set(err, ERR_INVALID,
                       "PORT_CHECKER_NATS_URL is set, but this build has no NATS: build it "
                       "with libnats (-Dnats=enabled)");
    return nats_access_load(settings, &office->access, err);
}

static bool budgets_make(struct office *office, const struct settings *settings,
                         struct err *err)
{
    double rate = settings->rate.per_second;
    return budget_new(rate, settings->max_ports, TARGETS_MAX, &office->targets, err) &&
           budget_new(rate * POINT_FRONT_SHARE, settings->max_ports * POINT_FRONT_SHARE,
                      FRONTS_MAX, &office->fronts, err);
}

/* The name of the front's own place. */
static const char *own_place(const struct settings *settings)
{
    return settings->vantage[0] ? settings->vantage : settings->front;
}

bool office_make(struct office *office, const struct settings *settings, struct err *err)
{
    if (!office->access)
        return true;
    if (settings->vantage[0] && !budgets_make(office, settings, err))
        return false;
    if (settings->front[0] &&
        !places_new(&settings->vantages, own_place(settings), &office->places, err))
        return false;

    const struct courier_config config = {
        .access = office->access,
        .front = settings->front,
        .place = settings->vantage,
        .places = office->places,
        .mailboxes = office->mailboxes,
        .mailbox_count = settings->workers,
    };
    return courier_new(&config, &office->courier, err);
}

bool office_open(struct office *office, struct err *err)
{
    return !office->courier || courier_start(office->courier, err);
}

/* ---- metrics --------------------------------------------------------------------------
 */

static void render_place(struct text *text, const struct place_count *place)
{
    const struct {
        const char *result;
        uint64_t value;
    } rows[] = {
        {"answered", place->answers},
        {"refused", place->refusals},
        {"missed", place->misses},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        text_printf(text,
                    METRICS_PREFIX
                    "place_answers_total{place=\"%s\",result=\"%s\"} %" PRIu64 "\n",
                    place->name, rows[i].result, rows[i].value);
}

static void render_places(struct text *text, struct places *places)
{
    struct place_count counts[PLACES_MAX];
    size_t count = places_count(places, counts);
    exposition_header(text, METRICS_PREFIX "place_answers_total", "counter",
                      "What became of jobs for other places, by place and result.");
    for (size_t i = 0; i < count; i++)
        render_place(text, &counts[i]);
    exposition_header(text, METRICS_PREFIX "place_awaited", "gauge",
                      "1 if checks wait for that place, 0 after misses.");
    for (size_t i = 0; i < count; i++)
        text_printf(text, METRICS_PREFIX "place_awaited{place=\"%s\"} %d\n", counts[i].name,
                    counts[i].is_awaited);
}

static void render_jobs(struct text *text, const struct point_counts *counts)
{
    static const char name[] = METRICS_PREFIX "vantage_jobs_total";
    exposition_header(text, name, "counter", "Jobs of fronts that ended here, by result.");
    for (size_t i = 0; i < REFUSAL_COUNT; i++) {
        const char *refusal = vantage_refusal_text((enum vantage_refusal)i);
        text_printf(text, "%s{result=\"%s\"} %" PRIu64 "\n", name,
                    refusal ? refusal : "judged",
                    atomic_load_explicit(&counts->results[i], memory_order_relaxed));
    }
    text_printf(text, "%s{result=\"cancelled\"} %" PRIu64 "\n", name,
                atomic_load_explicit(&counts->cancelled, memory_order_relaxed));
}

void office_render(const struct office *office, struct text *text)
{
    if (!office->courier)
        return;
    exposition_gauge(text, METRICS_PREFIX "nats_connected",
                     "1 while connected to a NATS server.", courier_is_up(office->courier));
    if (office->places)
        render_places(text, office->places);
    if (office->targets)
        render_jobs(text, &office->counts);
}

/* ---- the end --------------------------------------------------------------------------
 */

void office_retire(struct office *office)
{
    if (office->courier)
        courier_retire(office->courier);
}

void office_close(struct office *office)
{
    courier_stop(office->courier);
}

void office_done(struct office *office)
{
    office->courier = courier_free(office->courier);
    office->places = places_free(office->places);
    office->targets = budget_free(office->targets);
    office->fronts = budget_free(office->fronts);
    office->access = nats_access_free(office->access);
}

/* ---- a desk ---------------------------------------------------------------------------
 */

static void open_letter(void *ctx, struct letter *letter)
{
    struct desk *desk = ctx;
    bool is_for_point = letter->kind == LETTER_JOB || letter->kind == LETTER_CANCEL ||
                        letter->kind == LETTER_LATE;
    if (is_for_point && desk->point)
        point_read(desk->point, letter);
    else if (!is_for_point && desk->asker)
        nats_asker_read(desk->asker, letter);
    free(letter);
}

static void answer(void *ctx, const char *reply, char *data, size_t len)
{
    const struct desk *desk = ctx;
    courier_answer(desk->office->courier, reply, data, len);
}

static bool point_make(struct desk *desk, const struct settings *settings,
                       struct loop *loop, struct engine *engine, struct err *err)
{
    const struct point_config config = {
        .loop = loop,
        .engine = engine,
        .settings = settings,
        .targets = desk->office->targets,
        .fronts = desk->office->fronts,
        .counts = &desk->office->counts,
        .machine = {.is_ours = route_is_ours, .is_broadcast = route_is_broadcast},
        .answer = answer,
        .ctx = desk,
    };
    return !settings->vantage[0] || point_new(&config, &desk->point, err);
}

static bool front_make(struct desk *desk, const struct settings *settings,
                       struct loop *loop, struct err *err)
{
    struct courier *courier = desk->office->courier;
    if (!settings->front[0])
        return true;
    if (!nats_asker_new(loop, courier, desk->worker, &desk->asker, err))
        return false;

    desk->front = (struct gather_config){
        .loop = loop,
        .asker = nats_asker_interface(desk->asker),
        .places = desk->office->places,
        .own = own_place(settings),
        .quorum = settings->quorum,
        .silence = settings->check_timeout,
        .asked = &desk->asked,
    };
    return true;
}

bool desk_new(struct office *office, const struct settings *settings, size_t worker,
              struct loop *loop, struct engine *engine, struct desk **ret, struct err *err)
{
    *ret = NULL;
    if (!office->courier)
        return true;

    struct desk *desk = calloc(1, sizeof *desk);
    if (!desk)
        return err_sys(err, ENOMEM, "a desk");
    desk->office = office;
    desk->worker = worker;
    if (!mailbox_new(loop, open_letter, desk, &office->mailboxes[worker], err) ||
        !point_make(desk, settings, loop, engine, err) ||
        !front_make(desk, settings, loop, err)) {
        desk_free(desk);
        return false;
    }
    *ret = desk;
    return true;
}

struct desk *desk_free(struct desk *desk)
{
    if (!desk)
        return NULL;

    point_free(desk->point);
    nats_asker_free(desk->asker);
    desk->office->mailboxes[desk->worker] =
        mailbox_free(desk->office->mailboxes[desk->worker]);
    free(desk);
    return NULL;
}

const struct gather_config *desk_front(const struct desk *desk)
{
    return desk && desk->asker ? &desk->front : NULL;
}

size_t desk_jobs(const struct desk *desk)
{
    return desk && desk->point ? point_jobs(desk->point) : 0;
}
