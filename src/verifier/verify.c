/* SPDX-License-Identifier: MIT */
#include "verifier/verify.h"

#include "base/container.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "loop/loop.h"
#include "verifier/address_watch.h"
#include "verifier/alternation.h"
#include "verifier/fetch.h"
#include "verifier/hook.h"
#include "verifier/listeners.h"
#include "verifier/lockdown.h"
#include "verifier/mappings.h"
#include "verifier/outage.h"
#include "verifier/packet_filter_look.h"
#include "verifier/progress.h"
#include "verifier/round.h"
#include "verifier/stop_signals.h"
#include "verifier/upnp_mapper.h"
#include "verifier/watch.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWN_DESCRIPTORS   64 /* streams, checkers, resolvers, files that are read */
#define CONNECTIONS_LEAST 16
#define LEFT_MAX          (1u << 16)

struct verify {
    const struct arguments *arguments; /* borrowed */
    struct loop *loop;                 /* owned, as are the next five */
    struct fetcher *fetcher;           /* NULL between rounds, as are the next two */
    struct round *round;
    struct progress *progress;
    struct hook hook;
    struct watch watch;
    struct outage outage;
    struct address_watch *address_watch; /* owned; NULL without --watch */
    struct mappings *mappings;           /* owned; NULL without --map */
    struct alternation alternation[FAMILY_COUNT];

    struct round_memory memory;
    size_t connections_max;
    struct timer timer; /* for the next round */
    struct instant round_start;
    bool is_due;                 /* at once, when this round has ended */
    bool is_ending;              /* the mappings are being removed */
    int signal;                  /* that ended this before its time, 0 = none */
    struct stop_signals signals; /* with --watch or --map */
    struct loop_watch hook_watch;

    enum status status;
    bool has_failed;
    struct err failure;
};

static void removed(void *ctx)
{
    struct verify *verify = ctx;
    loop_stop(verify->loop);
}

static void removal_write(void *ctx, char *line, size_t size)
{
    const struct verify *verify = ctx;
    snprintf(line, size, "removing the mappings from the router: %zu left",
             mappings_count(verify->mappings).left);
}

static void round_end(struct verify *verify)
{
    verify->progress = progress_free(verify->progress);
    verify->round = round_free(verify->round);
    verify->fetcher = fetcher_free(verify->fetcher);
}

/* At once, or when the mappings have been removed. */
static void stop(struct verify *verify, enum status status)
{
    if (verify->is_ending)
        return;
    verify->status = status;
    if (!verify->mappings || verify->arguments->is_map_kept) {
        loop_stop(verify->loop);
        return;
    }
    verify->is_ending = true;
    round_end(verify);
    loop_timer_stop(verify->loop, &verify->timer);
    if (verify->address_watch)
        address_watch_stop(verify->address_watch);
    mappings_remove(verify->mappings, removed);
    if (!verify->arguments->is_quiet)
        verify->progress = progress_new(verify->loop, removal_write, verify);
}

static void stop_failed(struct verify *verify, const struct err *err)
{
    verify->has_failed = true;
    verify->failure = *err;
    stop(verify, STATUS_SYSTEM);
}

/* While watching, most errors are temporary. */
static void complain(const struct err *err)
{
    fprintf(stderr, "port-verifier: %s\n", err->message);
}

/* --- rounds --------------------------------------------------------------------------- */

static void round_done(void *ctx, struct report *report);

static void progress_write(void *ctx, char *line, size_t size)
{
    const struct verify *verify = ctx;
    if (!verify->round)
        return;
    struct round_progress at = round_progress(verify->round);
    double seconds = span_to_seconds(instant_since(clock_now(), verify->round_start));
    if (at.is_mapping) {
        struct mappings_count count = mappings_count(verify->mappings);
        snprintf(line, size, "%.1f s: %zu of %zu ports mapped", seconds, count.mapped,
                 count.asked);
        return;
    }
    AUTO_TEXT waiting = text_up_to(size);
    round_format_waiting(verify->round, &waiting);
    snprintf(line, size, "%.1f s: %zu of %zu answers, %zu of %zu ports%s", seconds,
             at.answered, at.checkers, at.judged, at.ports, waiting.data);
}

/* Each round opens new connections: an old one may use an address that this machine no
 * longer has, and the checker would report that one. */
static bool round_begin(struct verify *verify, struct err *err)
{
    const struct fetch_config fetch_config = {
        .ca_file = verify->arguments->ca_file,
        .timeout = verify->arguments->timeout,
    };
    if (!fetcher_new(verify->loop, &fetch_config, &verify->fetcher, err))
        return false;

    const struct round_config config = {
        .loop = verify->loop,
        .fetcher = verify->fetcher,
        .arguments = verify->arguments,
        .memory = &verify->memory,
        .mappings = verify->mappings,
        .connections_max = verify->connections_max,
        .done = round_done,
        .ctx = verify,
    };
    verify->round_start = clock_now();
    if (!round_new(&config, &verify->round, err)) {
        verify->fetcher = fetcher_free(verify->fetcher);
        return false;
    }
    if (!verify->arguments->is_quiet)
        verify->progress = progress_new(verify->loop, progress_write, verify);
    return true;
}

static void once_done(struct verify *verify, struct report *report)
{
    struct err err, unsaved;
    bool is_saved = delivery_receipts(verify->arguments, report, &unsaved);
    bool is_put = delivery_put(verify->arguments, report, &err);
    if (is_put && !is_saved)
        err = unsaved;
    if (is_put && is_saved)
        stop(verify, delivery_status(report));
    else
        stop_failed(verify, &err);
    report_free(report);
}

/* --- watching ------------------------------------------------------------------------- */

static void next_round_in(struct verify *verify, struct span pause)
{
    struct err err;
    if (verify->is_ending ||
        loop_timer_set(verify->loop, &verify->timer, instant_add(clock_now(), pause)))
        return;
    err_sys(&err, ENOMEM, "starting a timer");
    stop_failed(verify, &err);
}

static void next_round_later(struct verify *verify)
{
    uint32_t random = 0;
    if (verify->is_due) {
        next_round_in(verify, span_ms(0));
        return;
    }
    gnutls_rnd(GNUTLS_RND_NONCE, &random, sizeof random);
    next_round_in(verify, watch_pause(verify->arguments->watch, random));
}

static void command_run(struct verify *verify)
{
    size_t len;
    struct err err;
    if (!verify->arguments->on_change)
        return;

    char *json = report_json(verify->watch.firm, &len);
    if (!json)
        err_sys(&err, ENOMEM, "starting the --on-change command");
    if (!json || !hook_run(&verify->hook, json, len, &err))
        complain(&err);
    free(json);
}

static void firm_deliver(struct verify *verify, bool is_news)
{
    struct err err;
    if (!delivery_save(verify->arguments, verify->watch.firm, &err))
        complain(&err);
    if (is_news && !delivery_print(verify->arguments, verify->watch.firm, &err))
        stop_failed(verify, &err); /* standard output is closed */
}

/* --- the mappings --------------------------------------------------------------------- */

static void lines_print(void *ctx, const char *lines)
{
    (void)ctx;
    for (const char *line = lines; *line; line += strcspn(line, "\n") + 1)
        fprintf(stderr, "port-verifier: %.*s\n", (int)strcspn(line, "\n"), line);
}

/* A single round looks again at ports that are not reached anyway. */
static void mappings_changed(void *ctx, const char *sentence)
{
    struct verify *verify = ctx;
    if (!verify->arguments->is_watching)
        return;
    fprintf(stderr, "port-verifier: %s\n", sentence);
    verify->is_due = true;
    if (!verify->round)
        next_round_in(verify, span_ms(0));
}

/* --- the address ---------------------------------------------------------------------- */

/* An address that is known to alternate is no news. */
static bool address_changed(void *ctx, enum family family, const struct address *address)
{
    struct verify *verify = ctx;
    char text[ADDRESS_TEXT_SIZE];
    if (alternation_has(&verify->alternation[family], address) &&
        alternation_is_there(&verify->alternation[family]))
        return false;
    fprintf(stderr, "port-verifier: the public address has changed to %s; checking again\n",
            address_format(address, text));
    next_round_in(verify, span_ms(0));
    return true;
}

static void alternation_tell(struct alternation *alternation)
{
    char one[ADDRESS_TEXT_SIZE];
    char other[ADDRESS_TEXT_SIZE];
    size_t i = alternation->count - 1;
    bool is_there = alternation_is_there(alternation);
    while (
        is_there && i > 0 &&
        address_equals(&alternation->seen[i], &alternation->seen[alternation->count - 1]))
        i--;
    if (is_there && !alternation->is_told)
        fprintf(
            stderr,
            "port-verifier: the public address alternates between %s and %s: this "
            "machine has several uplinks. Make connections to the checker leave through "
            "one of them (--source, or a rule in the router)\n",
            address_format(&alternation->seen[i], one),
            address_format(&alternation->seen[alternation->count - 1], other));
    alternation->is_told = is_there;
}

/* Whether the round looked at another uplink than the firm report, whose ports are fine. */
static bool is_of_other_uplink(const struct verify *verify, const struct report *report)
{
    for (enum family which = 0; which < FAMILY_COUNT; which++) {
        const struct family_report *firm =
            verify->watch.firm ? verify->watch.firm->families[which] : NULL;
        const struct family_report *family = report->families[which];
        if (firm && family && firm->is_ok && family->is_known && family->has_public &&
            alternation_is_there(&verify->alternation[which]) &&
            alternation_has(&verify->alternation[which], &firm->public_address) &&
            !address_equals(&firm->public_address, &family->public_address))
            return true;
    }
    return false;
}

static void addresses_note(struct verify *verify, const struct report *report)
{
    for (enum family which = 0; which < FAMILY_COUNT; which++) {
        const struct family_report *family = report->families[which];
        if (!family || !family->is_known || !family->has_public)
            continue;
        alternation_note(&verify->alternation[which], &family->public_address);
        alternation_tell(&verify->alternation[which]);
    }
}

static void watched_done(struct verify *verify, struct report *report)
{
    address_watch_start(verify->address_watch, report);
    addresses_note(verify, report);
    if (is_of_other_uplink(verify, report)) {
        report_free(report);
        next_round_later(verify);
        return;
    }
    if (verify->watch.firm)
        report_keep(report, verify->watch.firm);
    outage_tell(&verify->outage, verify->watch.firm, report);
    if (verify->mappings)
        mappings_compare(verify->mappings, verify->watch.firm, report);
    enum watch_step step = watch_take(&verify->watch, report);
    switch (step) {
    case WATCH_FIRST:
        firm_deliver(verify, true);
        break;
    case WATCH_SAME:
        firm_deliver(verify, false);
        break;
    case WATCH_CHANGED:
        firm_deliver(verify, true);
        command_run(verify);
        break;
    case WATCH_SUSPECT:
        fprintf(stderr, "port-verifier: results have changed; checking again in %.1f s\n",
                span_to_seconds(verify->arguments->confirm));
        next_round_in(verify, verify->arguments->confirm);
        return;
    case WATCH_RESTLESS:
        fputs("port-verifier: results keep changing; keeping the last confirmed report\n",
              stderr);
        break;
    }
    next_round_later(verify);
}

static void timer_fire(struct timer *timer)
{
    struct verify *verify = CONTAINER_OF(timer, struct verify, timer);
    struct err err;
    verify->is_due = false;
    address_watch_stop(verify->address_watch);
    if (round_begin(verify, &err))
        return;
    complain(&err);
    next_round_later(verify);
}

static void round_done(void *ctx, struct report *report)
{
    struct verify *verify = ctx;
    round_end(verify);
    if (!report) {
        struct err err;
        err_sys(&err, ENOMEM, "report");
        stop_failed(verify, &err);
    } else if (verify->arguments->is_watching) {
        struct err err;
        if (!delivery_receipts(verify->arguments, report, &err))
            complain(&err);
        watched_done(verify, report);
    } else {
        once_done(verify, report);
    }
}

/* --- signals -------------------------------------------------------------------------- */

static void command_ended(void *ctx, uint32_t events)
{
    struct verify *verify = ctx;
    int status;
    struct err err;
    (void)events;
    if (!hook_reap(&verify->hook, &status, &err))
        return;
    if (WIFSIGNALED(status))
        fprintf(stderr, "port-verifier: the --on-change command was killed by signal %d\n",
                WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        fprintf(stderr, "port-verifier: the --on-change command exited with status %d\n",
                WEXITSTATUS(status));
    if (err.message[0])
        complain(&err);
    if (verify->hook.is_lost)
        loop_watch_drop(verify->loop, verify->hook.helper_fd, &verify->hook_watch);
}

static void signal_come(void *ctx, int number, bool is_second)
{
    struct verify *verify = ctx;
    bool is_report_out = verify->is_ending && verify->signal == 0;
    if (!is_report_out || is_second)
        verify->signal = number;
    if (is_second)
        loop_stop(verify->loop);
    else if (!verify->is_ending)
        stop(verify, STATUS_OK);
}

/* --- life ----------------------------------------------------------------------------- */

/* Every port takes two descriptors; connections get what is left. */
static bool descriptors_share(struct verify *verify, struct err *err)
{
    size_t limit;
    if (!fd_raise_limit(&limit, err))
        return false;

    size_t own = verify->arguments->port_count * FAMILY_COUNT + OWN_DESCRIPTORS;
    if (limit < own + CONNECTIONS_LEAST)
        return err_set(err, ERR_LIMIT,
                       "checking %zu ports needs %zu file descriptors, but the limit is "
                       "%zu: raise it (ulimit -n) or check fewer ports",
                       verify->arguments->port_count, own + CONNECTIONS_LEAST, limit);

    size_t rest = limit - own;
    verify->connections_max =
        rest < LISTENERS_CONNECTIONS_MAX ? rest : LISTENERS_CONNECTIONS_MAX;
    return true;
}

static bool hook_watch(struct verify *verify, struct err *err)
{
    return loop_watch_add(verify->loop, verify->hook.helper_fd, EPOLLIN, command_ended,
                          verify, &verify->hook_watch, err);
}

static bool mappings_begin(struct verify *verify, const struct pcp_nonce *nonce,
                           struct err *err)
{
    struct mappings_config config = {
        .loop = verify->loop,
        .arguments = verify->arguments,
        .nonce = *nonce,
        .event = mappings_changed,
        .note = lines_print,
        .ctx = verify,
    };
    for (enum family family = 0; family < FAMILY_COUNT; family++)
        config.source[family] = round_source(verify->arguments, family);
    return mappings_new(&config, &verify->mappings, err);
}

static bool begin(struct verify *verify, const struct pcp_nonce *nonce, struct err *err)
{
    signal(SIGPIPE, SIG_IGN);
    const char *command = verify->arguments->on_change;
    bool is_mapping = verify->arguments->is_mapping;
    return descriptors_share(verify, err) &&
           (!command || hook_init(&verify->hook, command, err)) &&
           packet_filter_prepare(err) && (!is_mapping || upnp_prepare(err)) &&
           loop_new(&verify->loop, err) && (!command || hook_watch(verify, err)) &&
           (!verify->arguments->is_watching ||
            address_watch_new(verify->loop, verify->arguments, address_changed, verify,
                              &verify->address_watch, err)) &&
           ((!verify->arguments->is_watching && !is_mapping) ||
            stop_signals_watch(&verify->signals, verify->loop, signal_come, verify, err)) &&
           (!is_mapping || mappings_begin(verify, nonce, err)) && lockdown_apply(err) &&
           round_begin(verify, err);
}

static void left_tell(const struct verify *verify)
{
    AUTO_TEXT text = text_up_to(LEFT_MAX);
    if (verify->arguments->is_map_kept && verify->signal == 0)
        return; /* the report says so */
    mappings_format_left(verify->mappings, &text);
    lines_print(NULL, text.data);
}

static void end(struct verify *verify)
{
    round_end(verify);
    if (verify->mappings)
        left_tell(verify);
    mappings_free(verify->mappings);
    if (verify->arguments->is_mapping)
        upnp_finish();
    address_watch_free(verify->address_watch);
    watch_done(&verify->watch);
    outage_done(&verify->outage);
    if (verify->loop) {
        loop_watch_drop(verify->loop, verify->hook.helper_fd, &verify->hook_watch);
        loop_timer_stop(verify->loop, &verify->timer);
    }
    hook_done(&verify->hook);
    packet_filter_end();
    stop_signals_done(&verify->signals, verify->loop);
    loop_free(verify->loop);
}

enum status verify_run(const struct arguments *arguments, const struct pcp_nonce *nonce,
                       struct err *err)
{
    struct verify verify = {
        .arguments = arguments,
        .hook.helper_fd = -1,
        .signals.fd = -1,
        .status = STATUS_SYSTEM,
    };
    timer_init(&verify.timer, timer_fire);
    if (begin(&verify, nonce, err) && loop_run(verify.loop, err) && verify.has_failed)
        *err = verify.failure;
    end(&verify);
    if (verify.signal != 0 && !arguments->is_watching)
        stop_signals_die(verify.signal); /* as it does without --map */
    return verify.status;
}
