/* SPDX-License-Identifier: MIT */
#include "verifier/mappings.h"

#include "base/err.h"
#include "base/text.h"
#include "verifier/keeper.h"
#include "verifier/local_time.h"
#include "verifier/ports.h"
#include "verifier/report.h"
#include "verifier/uplink_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SENTENCE_MAX     512
#define LEFT_MAX         (1u << 16)
#define ANNOUNCE_SECONDS 300 /* a router repeats its announcements for some minutes */

struct side {
    struct mappings *mappings; /* borrowed */
    enum family family;
    struct keeper *keeper; /* owned; NULL: this family is not checked */
    bool is_waited_for;    /* by the round */
    size_t mapped;         /* ports, when its keeper last settled */
    bool has_announced;
    struct instant announced_at; /* the last announcement that was told */
    size_t former_told;          /* number of mappings for former addresses */
};

struct mappings {
    struct mappings_config config;
    struct uplink_watch *uplink_watch; /* owned; NULL without --watch */
    struct side sides[FAMILY_COUNT];
    struct mapping_port *wanted;  /* owned: to tell a keeper, arguments->port_count long */
    mappings_settled_fn *settled; /* NULL: no round waits */
    void *settled_ctx;
    mappings_removed_fn *removed; /* NULL: nothing is being removed */
    size_t removing;              /* sides that still do */
};

/* --- which ports ---------------------------------------------------------------------- */

static bool is_named(const struct arguments *arguments, size_t index)
{
    size_t ignored;
    return arguments->inner[index] == PROVIDER_PORT ||
           ports_find(arguments->in_use, arguments->in_use_count, arguments->ports[index],
                      &ignored);
}

static bool is_mappable(const struct arguments *arguments, size_t index,
                        enum binding binding)
{
    return binding == BINDING_BOUND ||
           (binding != BINDING_NO_FAMILY && is_named(arguments, index));
}

static size_t wanted_fill(struct mappings *mappings, const struct local_port *held)
{
    const struct arguments *arguments = mappings->config.arguments;
    size_t count = 0;
    for (size_t i = 0; i < arguments->port_count; i++) {
        size_t index = arguments->order[i];
        if (is_mappable(arguments, index, held[arguments->held_index[index]].binding))
            mappings->wanted[count++] = (struct mapping_port){
                .inner = arguments->inner[index],
                .outer = arguments->ports[index],
            };
    }
    return count;
}

/* --- mappings for former addresses -----------------------------------------------------
 */

static void until_put(bool has_end, time_t until, struct text *text)
{
    text_append_str(text, has_end ? ", until " : ", with no time limit");
    if (has_end)
        local_time_put(until, text);
    text_append_str(text, ": ");
}

static void ports_put(uint16_t *ports, size_t count, struct text *text)
{
    ports_sort(ports, count);
    ports_format(ports, count, text);
    text_append_str(text, "\n");
}

/* A line for each address and router. Returns how many ports. */
static size_t former_put(const struct side *side, uint16_t *ports, struct text *text)
{
    char router[ADDRESS_TEXT_SIZE];
    char local[ADDRESS_TEXT_SIZE];
    struct former former;
    size_t count = 0;
    for (size_t at = 0; keeper_former_next(side->keeper, &at, ports, &former);) {
        count += former.count;
        text_printf(text,
                    "%zu port%s may still be forwarded by the router %s to %s, a former "
                    "address of this machine",
                    former.count, former.count == 1 ? "" : "s",
                    address_format(&former.router, router),
                    address_format(&former.local, local));
        until_put(!former.is_permanent, former.until, text);
        ports_put(ports, former.count, text);
    }
    return count;
}

static void former_tell(struct side *side)
{
    const struct mappings_config *config = &side->mappings->config;
    AUTO_TEXT text = text_up_to(LEFT_MAX);
    uint16_t *ports = calloc(config->arguments->port_count, sizeof *ports);
    size_t count = ports ? former_put(side, ports, &text) : side->former_told;
    if (count > side->former_told)
        config->note(config->ctx, text.data);
    side->former_told = count;
    free(ports);
}

/* --- what happens --------------------------------------------------------------------- */

/* An announcement that only repeats the last one is no event. */
static bool is_event(struct side *side, const struct mapping_news *news)
{
    struct instant now = clock_now();
    bool is_new = !side->has_announced || instant_since(now, side->announced_at).ns >=
                                              ANNOUNCE_SECONDS * NS_PER_SECOND;
    if (news->is_announced || news->is_restarted) {
        side->has_announced = true;
        side->announced_at = is_new || news->is_restarted ? now : side->announced_at;
    }
    return news->is_restarted || news->is_moved || news->is_changed || is_new;
}

static void news_put(const struct mapping_news *news, const struct mapping_summary *summary,
                     struct text *text)
{
    char router[ADDRESS_TEXT_SIZE];
    char outer[ADDRESS_TEXT_SIZE];
    text_printf(text, "the router %s ", address_format(&summary->router, router));
    if (news->is_restarted)
        text_append_str(text, "has lost its port mappings, as after a restart");
    else if (news->is_announced && !news->is_changed && !news->is_moved)
        text_append_str(text, "announces itself, as after a restart");
    else if (news->is_moved && summary->has_outer)
        text_printf(text, "has the new outer address %s",
                    address_format(&summary->outer, outer));
    else
        text_append_str(text, "has changed what it forwards");
    text_printf(text, "; it forwards %zu of %zu ports", summary->mapped, summary->asked);
}

static void event_tell(const struct side *side, const struct mapping_news *news)
{
    const struct mappings_config *config = &side->mappings->config;
    const struct mapping_summary summary = keeper_summary(side->keeper);
    AUTO_TEXT text = text_up_to(SENTENCE_MAX);
    if (summary.has_router)
        news_put(news, &summary, &text);
    else
        text_append_str(&text, "this machine has no router to map ports");
    text_printf(&text, " (IPv%d) now; checking again", family_number(side->family));
    config->event(config->ctx, text.data);
}

static bool is_any_waited_for(const struct mappings *mappings)
{
    for (enum family family = 0; family < FAMILY_COUNT; family++)
        if (mappings->sides[family].is_waited_for)
            return true;
    return false;
}

/* A mapper that has begun anew cannot know that it maps fewer ports than the one before;
 * that it maps more, the round is told that waits for it. */
static bool is_first_event(const struct side *side, size_t before)
{
    return side->is_waited_for ? side->mapped < before : side->mapped != before;
}

static void keeper_settled(void *ctx, const struct mapping_news *news)
{
    struct side *side = ctx;
    struct mappings *mappings = side->mappings;
    size_t before = side->mapped;
    side->mapped = keeper_summary(side->keeper).mapped;
    former_tell(side);
    if (!mappings->removed &&
        (news->is_first ? is_first_event(side, before) : is_event(side, news)))
        event_tell(side, news);
    if (!side->is_waited_for || !news->is_first)
        return;
    side->is_waited_for = false;
    mappings_settled_fn *settled = mappings->settled;
    if (settled && !is_any_waited_for(mappings)) {
        mappings->settled = NULL;
        settled(mappings->settled_ctx);
    }
}

/* Perhaps because the router has restarted, and has announced that in the meantime. */
static bool is_back(const struct mappings *mappings, const struct keeper *keeper)
{
    unsigned interface = keeper_interface(keeper);
    return interface != 0 && uplink_watch_is_back(mappings->uplink_watch, interface);
}

static void uplink_changed(void *ctx)
{
    struct mappings *mappings = ctx;
    for (enum family family = 0; family < FAMILY_COUNT; family++) {
        const struct side *side = &mappings->sides[family];
        if (mappings->removed || !side->keeper)
            continue;
        if (!keeper_has_moved(side->keeper)) {
            if (is_back(mappings, side->keeper))
                keeper_doubt(side->keeper);
            continue;
        }
        mappings->config.event(mappings->config.ctx,
                               family == FAMILY_4
                                   ? "this machine has another address or router (IPv4); "
                                     "checking again"
                                   : "this machine has another address or router (IPv6); "
                                     "checking again");
    }
}

static void keeper_removed(void *ctx)
{
    struct mappings *mappings = ((struct side *)ctx)->mappings;
    if (--mappings->removing == 0)
        mappings->removed(mappings->config.ctx);
}

/* --- what the owner asks for -------------------------------------------------------------
 */

void mappings_map(struct mappings *mappings, struct local_port *const held[FAMILY_COUNT],
                  mappings_settled_fn *settled, void *ctx)
{
    mappings->settled = settled;
    mappings->settled_ctx = ctx;
    for (enum family family = 0; family < FAMILY_COUNT; family++) {
        struct side *side = &mappings->sides[family];
        if (!side->keeper)
            continue;
        side->is_waited_for = true;
        size_t count = wanted_fill(mappings, held[family]);
        keeper_map(side->keeper, mappings->wanted, count);
    }
}

void mappings_leave(struct mappings *mappings)
{
    mappings->settled = NULL;
    for (enum family family = 0; family < FAMILY_COUNT; family++)
        mappings->sides[family].is_waited_for = false;
}

static bool has_lost_mapped(const struct family_report *earlier,
                            const struct family_report *later)
{
    for (size_t i = 0; i < later->port_count; i++)
        if (later->local[i].mapped.state == MAPPING_MAPPED &&
            (!earlier || earlier->findings[i].is_good) && later->findings[i].asked > 0 &&
            !later->findings[i].is_good)
            return true;
    return false;
}

void mappings_compare(struct mappings *mappings, const struct report *earlier,
                      const struct report *later)
{
    for (enum family family = 0; family < FAMILY_COUNT; family++)
        if (later->families[family] &&
            has_lost_mapped(earlier ? earlier->families[family] : NULL,
                            later->families[family]))
            keeper_doubt(mappings->sides[family].keeper);
}

void mappings_remove(struct mappings *mappings, mappings_removed_fn *removed)
{
    mappings_leave(mappings);
    mappings->removed = removed;
    for (enum family family = 0; family < FAMILY_COUNT; family++)
        mappings->removing += mappings->sides[family].keeper != NULL;
    for (enum family family = 0; family < FAMILY_COUNT; family++)
        if (mappings->sides[family].keeper)
            keeper_remove(mappings->sides[family].keeper);
}

/* --- what is known ----------------------------------------------------------------------
 */

struct mapping_summary mappings_summary(const struct mappings *mappings, enum family family)
{
    const struct keeper *keeper = mappings->sides[family].keeper;
    struct mapping_summary summary = {0};
    if (keeper)
        summary = keeper_summary(keeper);
    summary.is_kept = summary.is_there && mappings->config.arguments->is_map_kept;
    return summary;
}

struct mapping_view mappings_view(const struct mappings *mappings, enum family family,
                                  size_t index)
{
    const struct keeper *keeper = mappings->sides[family].keeper;
    return keeper ? keeper_view(keeper, mappings->config.arguments->inner[index])
                  : (struct mapping_view){0};
}

bool mappings_former_next(const struct mappings *mappings, enum family family, size_t *at,
                          uint16_t *ports, struct former *ret)
{
    const struct keeper *keeper = mappings->sides[family].keeper;
    if (!keeper || !keeper_former_next(keeper, at, ports, ret))
        return false;
    ports_sort(ports, ret->count);
    return true;
}

struct mappings_count mappings_count(const struct mappings *mappings)
{
    struct mappings_count count = {0};
    for (enum family family = 0; family < FAMILY_COUNT; family++) {
        const struct keeper *keeper = mappings->sides[family].keeper;
        time_t ignored;
        if (!keeper)
            continue;
        const struct mapping_summary summary = keeper_summary(keeper);
        count.asked += summary.asked;
        count.mapped += summary.mapped;
        count.left += keeper_left(keeper, NULL, &ignored);
    }
    return count;
}

static void left_put(const struct side *side, uint16_t *ports, struct text *text)
{
    char router[ADDRESS_TEXT_SIZE];
    time_t until;
    size_t count = keeper_left(side->keeper, ports, &until);
    if (count > 0) {
        const struct mapping_summary summary = keeper_summary(side->keeper);
        text_printf(text, "%zu port%s may still be forwarded by the router %s", count,
                    count == 1 ? "" : "s", address_format(&summary.router, router));
        until_put(until != 0, until, text);
        ports_put(ports, count, text);
    }
    former_put(side, ports, text);
}

void mappings_format_left(const struct mappings *mappings, struct text *text)
{
    uint16_t *ports = calloc(mappings->config.arguments->port_count, sizeof *ports);
    for (enum family family = 0; ports && family < FAMILY_COUNT; family++)
        if (mappings->sides[family].keeper)
            left_put(&mappings->sides[family], ports, text);
    free(ports);
}

/* --- life ----------------------------------------------------------------------------- */

static bool is_checked(const struct arguments *arguments, enum family family)
{
    for (size_t i = 0; i < arguments->endpoint_count; i++)
        if (arguments_want(arguments, &arguments->endpoints[i], family))
            return true;
    return false;
}

static bool side_new(struct side *side, struct err *err)
{
    const struct mappings_config *config = &side->mappings->config;
    const struct keeper_config keeper = {
        .loop = config->loop,
        .family = side->family,
        .source = config->source[side->family],
        .nonce = config->nonce,
        .settled = keeper_settled,
        .removed = keeper_removed,
        .ctx = side,
    };
    return keeper_new(&keeper, &side->keeper, err);
}

bool mappings_new(const struct mappings_config *config, struct mappings **ret,
                  struct err *err)
{
    struct mappings *mappings = calloc(1, sizeof *mappings);
    if (mappings)
        mappings->wanted = calloc(config->arguments->port_count, sizeof *mappings->wanted);
    if (!mappings || !mappings->wanted) {
        free(mappings);
        return err_sys(err, ENOMEM, "mapping ports");
    }
    mappings->config = *config;
    if (config->arguments->is_watching &&
        !uplink_watch_new(config->loop, uplink_changed, mappings, &mappings->uplink_watch,
                          err)) {
        mappings_free(mappings);
        return false;
    }
    for (enum family family = 0; family < FAMILY_COUNT; family++) {
        struct side *side = &mappings->sides[family];
        side->mappings = mappings;
        side->family = family;
        if (is_checked(config->arguments, family) && !side_new(side, err)) {
            mappings_free(mappings);
            return false;
        }
    }
    *ret = mappings;
    return true;
}

struct mappings *mappings_free(struct mappings *mappings)
{
    if (!mappings)
        return NULL;

    uplink_watch_free(mappings->uplink_watch);
    for (enum family family = 0; family < FAMILY_COUNT; family++)
        keeper_free(mappings->sides[family].keeper);
    free(mappings->wanted);
    free(mappings);
    return NULL;
}
