/* SPDX-License-Identifier: MIT
 *
 * Owns the listeners, the watch for handshakes and the checkers of one verification. It
 * acts on what checkers report in the loop's next turn, never from within their callbacks.
 */
#include "verifier/round.h"

#include "base/container.h"
#include "base/err.h"
#include "base/text.h"
#include "loop/loop.h"
#include "verifier/checker.h"
#include "verifier/diagnosis.h"
#include "verifier/listeners.h"
#include "verifier/look.h"
#include "verifier/mappings.h"
#include "verifier/round_report.h"
#include "verifier/router_asks.h"
#include "verifier/syn_watch.h"

#include <assert.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

struct round {
    struct round_config config; /* all borrowed */
    struct proof_token token;
    struct round_parts parts;    /* listeners, router_asks and checkers are owned */
    struct syn_watch *syn_watch; /* owned */
    struct local_port *local[FAMILY_COUNT]; /* owned: of the ports to check, once needed */
    bool is_looking;                        /* again */
    struct timer step;
};

static void step_soon(struct round *round)
{
    if (!loop_timer_set(round->config.loop, &round->step, loop_now(round->config.loop)))
        abort(); /* out of memory, and nothing can continue without this timer */
}

static void checker_changed(void *ctx, struct checker *checker)
{
    (void)checker;
    step_soon(ctx);
}

/* --- addresses that one checker reports and another needs ----------------------------- */

/* An address that was seen from inside says nothing to a checker on the internet. */
static bool address_known(const struct round *round, const struct checker *asking,
                          struct address *ret)
{
    for (size_t i = 0; i < round->parts.checker_count; i++)
        if (checker_family(round->parts.checkers[i]) == checker_family(asking) &&
            checker_result(round->parts.checkers[i])->vantage ==
                checker_result(asking)->vantage &&
            checker_told(round->parts.checkers[i], ret))
            return true;
    return false;
}

static bool address_may_come(const struct round *round, enum family family)
{
    for (size_t i = 0; i < round->parts.checker_count; i++)
        if (checker_family(round->parts.checkers[i]) == family &&
            checker_phase(round->parts.checkers[i]) == CHECKER_ASKING_ADDRESS)
            return true;
    return false;
}

static void addresses_pass_on(struct round *round, enum family family)
{
    bool may_come = address_may_come(round, family);
    for (size_t i = 0; i < round->parts.checker_count; i++) {
        struct checker *checker = round->parts.checkers[i];
        struct address address;
        if (checker_family(checker) != family ||
            checker_phase(checker) != CHECKER_WAITING_FOR_ADDRESS)
            continue;
        bool is_known = address_known(round, checker, &address);
        if (is_known || !may_come)
            checker_tell(checker, is_known ? &address : NULL);
    }
}

/* --- what the next round uses -----------------------------------------------------------
 */

static void answer_remember(const struct round *round, const struct checker *checker)
{
    const struct arguments *arguments = round->parts.arguments;
    const char *url = checker_url(checker);
    for (size_t i = 0; i < arguments->endpoint_count; i++) {
        const struct endpoint *endpoint = &arguments->endpoints[i];
        if (url == endpoint->url || url == endpoint->other_url)
            round->config.memory->is_other_first[i][checker_family(checker)] =
                url == endpoint->other_url;
    }
}

static void answers_remember(const struct round *round)
{
    for (size_t i = 0; i < round->parts.checker_count; i++)
        if (checker_result(round->parts.checkers[i])->failure == FAILURE_NONE)
            answer_remember(round, round->parts.checkers[i]);
}

/* --- steps ---------------------------------------------------------------------------- */

static bool all_done(const struct round *round)
{
    for (size_t i = 0; i < round->parts.checker_count; i++)
        if (checker_phase(round->parts.checkers[i]) != CHECKER_DONE)
            return false;
    return true;
}

/* Checkers on this machine or in this network are not worth it. */
static bool is_worth_looking(const struct round *round, const struct checker *checker,
                             enum family which)
{
    const struct checker_result *result = checker_result(checker);
    return checker_family(checker) == which && result->verdicts &&
           (result->vantage == VANTAGE_INTERNET || round->parts.arguments->is_lan);
}

/* By how many of these checkers. */
static unsigned reached_count(const struct round *round, enum family which, size_t index)
{
    unsigned count = 0;
    for (size_t i = 0; i < round->parts.checker_count; i++) {
        const struct checker *checker = round->parts.checkers[i];
        count += is_worth_looking(round, checker, which) &&
                 diagnosis_is_reached(&round->local[which][index],
                                      &checker_result(checker)->verdicts[index]);
    }
    return count;
}

static bool checker_again(const struct round *round, struct checker *checker,
                          struct instant deadline)
{
    const struct arguments *arguments = round->parts.arguments;
    enum family which = checker_family(checker);
    const struct local_port *local = round->local[which];
    size_t *wanted = calloc(arguments->port_count, sizeof *wanted);
    size_t count = 0;
    for (size_t i = 0; wanted && i < arguments->port_count; i++) {
        size_t index = arguments->order[i];
        if (look_is_wanted(&local[index], &checker_result(checker)->verdicts[index]) &&
            reached_count(round, which, index) < arguments->quorum)
            wanted[count++] = index;
    }
    if (count > 0)
        checker_look(checker, wanted, count, local, deadline);
    free(wanted);
    return count > 0;
}

/* Negative verdicts on ports that are held open here get a second look. False if there is
 * nothing to look at. */
static bool look_again(struct round *round)
{
    const struct arguments *arguments = round->parts.arguments;
    bool is_any = false;
    if (round->is_looking || arguments->patience.ns == 0)
        return false;

    round->is_looking = true;
    listeners_sweep(round->parts.listeners);
    struct instant deadline = instant_add(clock_now(), arguments->patience);
    for (enum family which = 0; which < FAMILY_COUNT; which++) {
        round->local[which] = calloc(arguments->port_count, sizeof **round->local);
        if (!round->local[which])
            return is_any;
        round_local(&round->parts, which, round->local[which]);
        for (size_t i = 0; i < round->parts.checker_count; i++)
            if (is_worth_looking(round, round->parts.checkers[i], which))
                is_any = checker_again(round, round->parts.checkers[i], deadline) || is_any;
    }
    return is_any;
}

static bool checkers_start(struct round *round, struct err *err);

static void step_fire(struct timer *timer)
{
    struct round *round = CONTAINER_OF(timer, struct round, step);
    if (round->parts.checker_count == 0 && !checkers_start(round, NULL)) {
        round->config.done(round->config.ctx, NULL);
        return;
    }
    for (enum family family = 0; family < FAMILY_COUNT; family++)
        addresses_pass_on(round, family);
    if (!all_done(round) || (look_again(round) && !all_done(round)))
        return;

    answers_remember(round);
    /* Connections that the loop has not reported yet count as well. */
    listeners_sweep(round->parts.listeners);
    syn_watch_look(round->syn_watch);
    round->config.done(round->config.ctx, round_report(&round->parts));
}

/* --- life ----------------------------------------------------------------------------- */

/* 128 random bits. */
static bool token_make(struct proof_token *ret, struct err *err)
{
    uint8_t random[PROOF_TOKEN_LEN / 2];
    if (gnutls_rnd(GNUTLS_RND_KEY, random, sizeof random) != GNUTLS_E_SUCCESS)
        return err_sys(err, EIO, "random numbers");

    text_hex(random, sizeof random, ret->hex);
    ret->hex[PROOF_TOKEN_LEN] = '\0';
    return true;
}

struct fetch_source round_source(const struct arguments *arguments, enum family family)
{
    struct fetch_source source = {.interface = arguments->source_interface};
    if (arguments->has_source[family])
        source.address = &arguments->source[family];
    else if (!source.interface && arguments->has_ip[family] &&
             origin_is_own(&arguments->ip[family]))
        source.address = &arguments->ip[family];
    return source;
}

static bool checkers_start(struct round *round, struct err *err)
{
    const struct arguments *arguments = round->parts.arguments;
    for (size_t i = 0; i < arguments->endpoint_count; i++)
        for (enum family family = 0; family < FAMILY_COUNT; family++) {
            const struct endpoint *endpoint = &arguments->endpoints[i];
            if (!arguments_want(arguments, endpoint, family))
                continue;
            bool is_swapped = round->config.memory->is_other_first[i][family];
            const struct checker_config config = {
                .loop = round->config.loop,
                .fetcher = round->config.fetcher,
                .url = is_swapped ? endpoint->other_url : endpoint->url,
                .other_url = is_swapped ? endpoint->url : endpoint->other_url,
                .family = family,
                .ports = arguments->ports,
                .inner = arguments->inner,
                .order = arguments->order,
                .port_count = arguments->port_count,
                .token = &round->token,
                .wants_receipt = arguments->receipt != NULL,
                .for_text = arguments->for_text,
                .public_address = arguments->has_ip[family] ? &arguments->ip[family] : NULL,
                .source = round_source(arguments, family),
                .patience = arguments->patience,
                .changed = checker_changed,
                .ctx = round,
            };
            if (!checker_new(&config, &round->parts.checkers[round->parts.checker_count],
                             err))
                return false;
            round->parts.checker_count++;
        }
    assert(round->parts.checker_count > 0);
    return true;
}

/* Where checkers are asked from, the routers of the same families are asked. */
static bool routers_start(struct round *round, struct err *err)
{
    const struct arguments *arguments = round->parts.arguments;
    struct fetch_source from[FAMILY_COUNT];
    const struct fetch_source *sources[FAMILY_COUNT] = {NULL};
    for (enum family family = 0; family < FAMILY_COUNT; family++) {
        from[family] = round_source(arguments, family);
        for (size_t i = 0; i < arguments->endpoint_count; i++)
            if (arguments_want(arguments, &arguments->endpoints[i], family) &&
                !arguments->has_no_router)
                sources[family] = &from[family];
    }
    return router_asks_new(round->config.loop, sources, &round->parts.router_asks, err);
}

/* What the router forwards by now is what the checkers are to prove. */
static void mappings_settled(void *ctx)
{
    step_soon(ctx);
}

static bool begin(struct round *round, struct err *err)
{
    const struct arguments *arguments = round->parts.arguments;
    if (!routers_start(round, err) || !token_make(&round->token, err) ||
        !listeners_open(round->config.loop, arguments->held, arguments->held_count,
                        &round->token, round->config.connections_max,
                        &round->parts.listeners, err))
        return false;

    struct local_port *local[FAMILY_COUNT];
    for (enum family family = 0; family < FAMILY_COUNT; family++)
        local[family] = listeners_local(round->parts.listeners, family);
    if (!syn_watch_new(round->config.loop, arguments->held, arguments->held_count, local,
                       &round->syn_watch, err))
        return false;
    if (!round->parts.mappings)
        return checkers_start(round, err);
    mappings_map(round->parts.mappings, local, mappings_settled, round);
    return true;
}

bool round_new(const struct round_config *config, struct round **ret, struct err *err)
{
    struct round *round = calloc(1, sizeof *round);
    if (!round)
        return err_sys(err, ENOMEM, "verification");

    round->config = *config;
    round->parts = (struct round_parts){
        .arguments = config->arguments,
        .mappings = config->mappings,
        .start = clock_now(),
    };
    timer_init(&round->step, step_fire);
    if (!begin(round, err)) {
        round_free(round);
        return false;
    }
    *ret = round;
    return true;
}

struct round *round_free(struct round *round)
{
    if (!round)
        return NULL;

    loop_timer_stop(round->config.loop, &round->step);
    if (round->parts.mappings)
        mappings_leave(round->parts.mappings);
    for (size_t i = 0; i < round->parts.checker_count; i++)
        checker_free(round->parts.checkers[i]);
    router_asks_free(round->parts.router_asks);
    syn_watch_free(round->syn_watch);
    listeners_free(round->parts.listeners);
    for (enum family which = 0; which < FAMILY_COUNT; which++)
        free(round->local[which]);
    free(round);
    return NULL;
}

struct round_progress round_progress(const struct round *round)
{
    struct round_progress progress = {
        .is_mapping = round->parts.checker_count == 0,
        .checkers = round->parts.checker_count,
        .ports = round->parts.arguments->port_count,
    };
    for (size_t i = 0; i < round->parts.checker_count; i++) {
        size_t judged = checker_judged(round->parts.checkers[i]);
        progress.answered += checker_phase(round->parts.checkers[i]) == CHECKER_DONE;
        if (judged > progress.judged)
            progress.judged = judged;
    }
    return progress;
}

static bool is_waited_for(const struct checker *checker)
{
    return checker && checker_phase(checker) != CHECKER_DONE;
}

/* Of all checkers: the most ports that are looked at again, and the shortest pause. */
static void looking_put(const struct round *round, struct text *text)
{
    size_t most = 0;
    struct span shortest = span_seconds(INT32_MAX);
    for (size_t i = 0; i < round->parts.checker_count; i++) {
        struct span pause;
        size_t waiting = checker_waiting(round->parts.checkers[i], clock_now(), &pause);
        most = waiting > most ? waiting : most;
        if (waiting > 0 && pause.ns < shortest.ns)
            shortest = pause;
    }
    if (most == 0)
        return;
    text_printf(text, ", checking %zu port%s again", most, most == 1 ? "" : "s");
    if (shortest.ns > 0)
        text_printf(text, " in %.0f s", span_to_seconds(shortest));
}

void round_format_waiting(const struct round *round, struct text *text)
{
    struct round_progress progress = round_progress(round);
    if (round->is_looking) {
        looking_put(round, text);
        return;
    }
    const char *between = ", waiting for ";
    for (size_t i = 0; progress.answered > 0 && i < round->parts.checker_count; i++) {
        const struct checker *checker = round->parts.checkers[i];
        const struct checker *other = round_other_family(&round->parts, checker);
        bool is_told = checker_family(checker) != FAMILY_4 && is_waited_for(other);
        if (!is_waited_for(checker) || is_told)
            continue;
        text_printf(text, "%s%s", between, strstr(checker_url(checker), "://") + 3);
        if (other && !is_waited_for(other))
            text_printf(text, " over IPv%d", family_number(checker_family(checker)));
        between = ", ";
    }
}
