/* SPDX-License-Identifier: MIT
 *
 * Owns its own fetcher while it asks, because old connections may use an old address.
 */
#include "verifier/address_watch.h"

#include "base/container.h"
#include "base/err.h"
#include "loop/loop.h"
#include "verifier/fetch.h"
#include "verifier/report.h"
#include "verifier/round.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_SECONDS 10

struct side {
    struct address_watch *watch; /* borrowed */
    char *url;                   /* owned; of /ip; NULL: nothing to ask */
    struct address known;
    struct fetch *fetch; /* owned; while asking */
    bool has_new;
    struct address address; /* has_new */
};

struct address_watch {
    struct loop *loop; /* borrowed, as is the next */
    const struct arguments *arguments;
    address_watch_fn *changed;
    void *ctx;
    struct fetcher *fetcher; /* owned; while asking */
    struct side sides[FAMILY_COUNT];
    size_t asking;
    struct timer timer; /* to the next question, or to the end of one */
};

static void timer_set(struct address_watch *watch, struct span span)
{
    /* Without memory, the next round finds the new address. */
    loop_timer_set(watch->loop, &watch->timer, instant_add(clock_now(), span));
}

static void asking_end(struct address_watch *watch)
{
    for (enum family which = 0; which < FAMILY_COUNT; which++)
        watch->sides[which].fetch = fetch_free(watch->sides[which].fetch);
    watch->fetcher = fetcher_free(watch->fetcher);
    watch->asking = 0;
}

static void address_done(void *ctx, const struct fetch_result *result)
{
    struct side *side = ctx;
    struct address address;
    if (result->end == FETCH_ANSWERED && result->status == 200 &&
        reply_parse_ip(result->body, result->body_len, &address, NULL) &&
        address_family_number(&address) == address_family_number(&side->known) &&
        origin_is_plausible(&result->local, &result->peer, &address)) {
        side->has_new = !address_equals(&address, &side->known);
        side->address = address;
    }
    if (--side->watch->asking == 0)
        timer_set(side->watch, span_ms(0)); /* not within libcurl's callback */
}

static void side_ask(struct address_watch *watch, enum family which)
{
    struct side *side = &watch->sides[which];
    const struct fetch_source source = round_source(watch->arguments, which);
    const struct fetch_request request = {
        .url = side->url,
        .done = address_done,
        .ctx = side,
    };
    side->has_new = false;
    if (side->url &&
        fetch_new(watch->fetcher, family_number(which), &source, &side->fetch, NULL) &&
        fetch_start(side->fetch, &request, NULL))
        watch->asking++;
}

static void asking_begin(struct address_watch *watch)
{
    const struct fetch_config config = {
        .ca_file = watch->arguments->ca_file,
        .timeout = span_seconds(TIMEOUT_SECONDS),
    };
    if (fetcher_new(watch->loop, &config, &watch->fetcher, NULL))
        for (enum family which = 0; which < FAMILY_COUNT; which++)
            side_ask(watch, which);
    if (watch->asking == 0) {
        asking_end(watch);
        timer_set(watch, span_seconds(ADDRESS_WATCH_SECONDS));
    }
}

static void timer_fire(struct timer *timer)
{
    struct address_watch *watch = CONTAINER_OF(timer, struct address_watch, timer);
    if (!watch->fetcher) {
        asking_begin(watch);
        return;
    }
    asking_end(watch);
    for (enum family which = 0; which < FAMILY_COUNT; which++) {
        struct side *side = &watch->sides[which];
        if (side->has_new && watch->changed(watch->ctx, which, &side->address))
            return;
    }
    timer_set(watch, span_seconds(ADDRESS_WATCH_SECONDS));
}

/* The first checker that has seen us itself. */
static void side_fill(struct side *side, const struct family_report *family)
{
    for (size_t i = 0; i < family->checker_count && !side->url; i++) {
        const struct report_checker *checker = &family->checkers[i];
        if (!checker->result.has_told || checker->result.failure != FAILURE_NONE)
            continue;
        if (asprintf(&side->url, "%s/ip", checker->url) < 0)
            side->url = NULL;
        side->known = checker->result.public_address;
    }
}

void address_watch_start(struct address_watch *watch, const struct report *report)
{
    bool is_any = false;
    address_watch_stop(watch);
    for (enum family which = 0; which < FAMILY_COUNT; which++) {
        if (report->families[which])
            side_fill(&watch->sides[which], report->families[which]);
        is_any = is_any || watch->sides[which].url;
    }
    if (is_any)
        timer_set(watch, span_seconds(ADDRESS_WATCH_SECONDS));
}

void address_watch_stop(struct address_watch *watch)
{
    loop_timer_stop(watch->loop, &watch->timer);
    asking_end(watch);
    for (enum family which = 0; which < FAMILY_COUNT; which++) {
        free(watch->sides[which].url);
        watch->sides[which].url = NULL;
    }
}

bool address_watch_new(struct loop *loop, const struct arguments *arguments,
                       address_watch_fn *changed, void *ctx, struct address_watch **ret,
                       struct err *err)
{
    struct address_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return err_sys(err, ENOMEM, "watching the address");

    watch->loop = loop;
    watch->arguments = arguments;
    watch->changed = changed;
    watch->ctx = ctx;
    for (enum family which = 0; which < FAMILY_COUNT; which++)
        watch->sides[which].watch = watch;
    timer_init(&watch->timer, timer_fire);
    *ret = watch;
    return true;
}

struct address_watch *address_watch_free(struct address_watch *watch)
{
    if (!watch)
        return NULL;
    address_watch_stop(watch);
    free(watch);
    return NULL;
}
