/* SPDX-License-Identifier: MIT
 *
 * In which protocol a keeper maps its ports: what the router answers that it speaks, and
 * what it then makes of requests for mappings.
 */
#include "verifier/keeper_state.h"

#include "loop/loop.h"

#define LOOK_EVERY_MS 50

void keeper_tell_soon(struct keeper *keeper)
{
    keeper->has_to_tell = true;
    /* The timer has room: keeper_new() set it. */
    loop_timer_set(keeper->config.loop, &keeper->timer, clock_now());
}

void keeper_fail(struct keeper *keeper, enum mapping_fault fault)
{
    keeper->fault = fault;
    keeper_tell_soon(keeper);
}

void keeper_ask_anew_in(struct keeper *keeper, struct span pause)
{
    if (!keeper->has_to_tell && !keeper->is_removing)
        loop_timer_set(keeper->config.loop, &keeper->timer,
                       instant_add(clock_now(), pause));
}

/* --- a mapper of any protocol --------------------------------------------------------- */

static void search_end(struct keeper *keeper)
{
    if (keeper->is_searching && !keeper->has_to_tell)
        loop_timer_stop(keeper->config.loop, &keeper->timer);
    keeper->is_searching = false;
}

void keeper_drop(struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->known_count; i++)
        keeper->ports[i] = keeper_port(keeper, i);
    keeper->known_count = 0;
    search_end(keeper);
    keeper->mapper = mapper_free(keeper->mapper);
    keeper->upnp = upnp_mapper_free(keeper->upnp);
}

/* The router speaks this protocol, but knows no mappings in it. */
static bool lacks_mappings(const struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->known_count; i++)
        if (keeper_mapping(keeper, i)->state != MAPPING_REFUSED ||
            keeper_meaning(keeper, i) != ROUTER_LACKS)
            return false;
    return keeper_has_mapper(keeper) && keeper->known_count > 0;
}

bool keeper_is_silent(const struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->known_count; i++)
        if (keeper_mapping(keeper, i)->state != MAPPING_SILENT)
            return false;
    return true;
}

bool keeper_is_lost(const struct keeper *keeper)
{
    if (keeper->mapper || !keeper->uplink.needs_mapping || keeper->port_count == 0)
        return false;
    return !keeper->upnp || upnp_mapper_end(keeper->upnp) != UPNP_END_DONE;
}

void keeper_told(struct keeper *keeper)
{
    if (keeper_is_lost(keeper))
        keeper_ask_anew_in(keeper,
                           span_seconds(keeper->is_announced ? 0 : KEEPER_RETRY_SECONDS));
}

/* Whether the next protocol is to be tried, which `may_speak` shows. */
static bool has_to_change(struct keeper *keeper, bool is_first)
{
    if (keeper->protocol == ROUTER_UPNP) {
        if (!is_first || !keeper->is_mute || keeper->is_last ||
            upnp_mapper_has_router(keeper->upnp))
            return false;
        keeper->is_last = keeper->may_speak[keeper->mute] = true;
        return true;
    }
    if (is_first && keeper_is_silent(keeper) && !keeper->is_last) {
        keeper->mute = keeper->is_mute ? keeper->mute : keeper->protocol;
        keeper->is_mute = true;
    } else if (!lacks_mappings(keeper)) {
        return false;
    }
    keeper->may_speak[keeper->protocol] = false;
    return true;
}

static void mapper_settled(void *ctx, const struct mapping_news *news)
{
    struct keeper *keeper = ctx;
    if (keeper->is_searching) {
        keeper->is_search_over = true;
        return;
    }
    if (has_to_change(keeper, news->is_first)) {
        keeper_begin(keeper);
        return;
    }
    keeper->is_waited_for = keeper->is_waited_for && !news->is_first;
    keeper_told(keeper);
    keeper->config.settled(keeper->config.ctx, news);
}

static bool datagram_begin(struct keeper *keeper)
{
    const struct instant now = clock_now();
    const struct mapper_config config = {
        .protocol = keeper->protocol,
        .router = keeper->uplink.router,
        .has_local = true,
        .local = keeper->uplink.local,
        .nonce = keeper->config.nonce,
        .lease = MAPPER_LEASE_SECONDS,
        .lease_min = MAPPING_LEASE_MIN_SECONDS,
        .deadline = instant_add(now, span_ms(KEEPER_MAP_MS)),
        .silent_by = instant_add(now, span_ms(KEEPER_MUTE_MS)),
        .settled = mapper_settled,
        .removed = keeper->removed,
        .ctx = keeper,
    };
    return mapper_new(keeper->config.loop, &config, keeper->ports, keeper->port_count,
                      &keeper->mapper, NULL);
}

static bool upnp_begin(struct keeper *keeper, bool waits)
{
    const struct upnp_mapper_config config = {
        .family = keeper->config.family,
        .local = keeper->uplink.local,
        .gateway = keeper->uplink.router,
        .has_gateway = true,
        .waits = waits,
        .lease = MAPPER_LEASE_SECONDS,
        .lease_min = MAPPING_LEASE_MIN_SECONDS,
        .settled = mapper_settled,
        .removed = keeper->removed,
        .ctx = keeper,
    };
    return upnp_mapper_new(keeper->config.loop, &config, keeper->ports, keeper->port_count,
                           &keeper->upnp, NULL);
}

/* Of the first protocol that the router may speak. */
void keeper_begin(struct keeper *keeper)
{
    static const enum router_protocol order[] = {ROUTER_PCP, ROUTER_NATPMP, ROUTER_UPNP};
    size_t i = 0;
    keeper_drop(keeper);
    while (!keeper->may_speak[order[i]]) /* UPnP always may be */
        i++;
    keeper->protocol = order[i];
    keeper->fault = MAPPING_FAULT_NONE;
    keeper->is_announced = keeper->is_announced && order[i] == ROUTER_UPNP;
    if (order[i] == ROUTER_UPNP ? upnp_begin(keeper, false) : datagram_begin(keeper))
        keeper->known_count = keeper->port_count;
    else
        keeper_fail(keeper, MAPPING_FAULT_FAILED);
}

/* --- asking -----------------------------------------------------------------------------
 */

static void look_in(struct keeper *keeper, int64_t ms)
{
    loop_timer_set(keeper->config.loop, &keeper->timer,
                   instant_add(clock_now(), span_ms(ms)));
}

/* UPnP is tried only if no datagram is answered, but the search for it takes time. */
static void search_begin(struct keeper *keeper)
{
    keeper->protocol = ROUTER_UPNP;
    if (!upnp_begin(keeper, true))
        return;
    keeper->known_count = keeper->port_count;
    keeper->is_searching = true;
    keeper->is_search_over = keeper->is_heard = false;
    look_in(keeper, KEEPER_UPNP_MS);
}

/* No datagram was answered. */
static void search_use(struct keeper *keeper)
{
    const struct mapping_news news = {.is_first = true, .is_changed = true};
    search_end(keeper);
    if (keeper->is_search_over)
        mapper_settled(keeper, &news);
    else
        upnp_mapper_go(keeper->upnp);
}

static void ask_ended(void *ctx, const struct router_answer *answer)
{
    struct keeper *keeper = ctx;
    bool is_spoken = false;
    bool is_silent = false;
    keeper->ask = ask_free(keeper->ask);
    for (enum router_protocol which = 0; which < ROUTER_DATAGRAM_COUNT; which++) {
        bool has_family = which == ROUTER_PCP || keeper->config.family == FAMILY_4;
        enum speech_state state = answer->speech[which].state;
        keeper->may_speak[which] = state == SPEECH_SPOKEN;
        keeper->is_mute = keeper->is_last = false;
        is_spoken = is_spoken || state == SPEECH_SPOKEN;
        is_silent = is_silent || (has_family && state == SPEECH_SILENT);
    }
    if (!is_spoken && keeper->is_searching) {
        search_use(keeper);
    } else if (!is_spoken && !keeper->is_waited_for && keeper_has_mapper(keeper)) {
        keeper_told(keeper); /* it asks over UPnP by itself */
    } else if (is_spoken || !is_silent || keeper->is_asked_twice) {
        keeper_begin(keeper);
    } else {
        keeper->is_asked_twice = true;
        search_begin(keeper);
        keeper_ask(keeper, span_ms(KEEPER_ASK_MS));
    }
}

void keeper_search_look(struct keeper *keeper)
{
    const struct router_answer answer = *ask_answer(keeper->ask);
    bool is_spoken = false;
    for (enum router_protocol which = 0; which < ROUTER_DATAGRAM_COUNT; which++)
        is_spoken = is_spoken || answer.speech[which].state == SPEECH_SPOKEN;
    /* If NAT-PMP was answered, the answer in PCP, which is better, may be right behind. */
    bool is_enough = answer.speech[ROUTER_PCP].state != SPEECH_SILENT || keeper->is_heard;
    if ((is_spoken && is_enough) || upnp_mapper_has_router(keeper->upnp)) {
        ask_ended(keeper, &answer);
        return;
    }
    keeper->is_heard = is_spoken;
    look_in(keeper, LOOK_EVERY_MS);
}

void keeper_ask(struct keeper *keeper, struct span timeout)
{
    if (!ask_new(keeper->config.loop, &keeper->uplink.router, timeout, ask_ended, keeper,
                 &keeper->ask, NULL)) {
        keeper_drop(keeper);
        keeper_fail(keeper, MAPPING_FAULT_FAILED);
    }
}
