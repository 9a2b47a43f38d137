/* SPDX-License-Identifier: MIT */
#include "service/control.h"

#include "base/container.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "loop/loop.h"
#include "service/reload.h"
#include "service/service.h"
#include "service/worker.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_MS  10  /* while a phase finishes */
#define WATCH_MS 300 /* for changed files, with PORT_CHECKER_DEBUG */

struct control {
    struct service *service;             /* borrowed */
    const struct invocation *invocation; /* borrowed */
    struct loop *loop;                   /* owned */
    int signal_fd;                       /* owned */
    struct loop_watch signal_watch;

    struct timer poll;       /* set while a phase finishes */
    struct instant deadline; /* of that phase */
    struct timer watch_timer;
    struct reload_watch watch;

    struct reload_check check;
    struct loop_watch check_watch; /* of what it says */
    struct timer check_timer;      /* of its answer */
    bool is_check_repeated;        /* requested again while one was running */
    enum control_end end;
};

static sigset_t control_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    return signals;
}

bool control_block_signals(struct err *err)
{
    sigset_t signals = control_signals();
    if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0)
        return err_sys(err, errno, "sigprocmask");
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return err_sys(err, errno, "signal");
    return true;
}

/* --- phases --------------------------------------------------------------------------- */

static enum service_phase phase_now(const struct control *control)
{
    return (enum service_phase)atomic_load(&control->service->phase);
}

static void phase_enter(struct control *control, enum service_phase phase)
{
    struct service *service = control->service;
    atomic_store(&service->phase, (int)phase);
    for (size_t i = 0; i < service->worker_count; i++)
        worker_nudge(service->workers[i]);
}

static void phase_finish(struct control *control)
{
    phase_enter(control, SERVICE_STOPPING);
    loop_stop(control->loop);
}

static size_t unfinished(const struct control *control)
{
    size_t sum = 0;
    for (size_t i = 0; i < control->service->worker_count; i++)
        sum += worker_unfinished(control->service->workers[i]);
    return sum;
}

static void poll_fire(struct timer *timer)
{
    struct control *control = CONTAINER_OF(timer, struct control, poll);
    struct instant now = loop_now(control->loop);
    size_t left = unfinished(control);

    if (left > 0 && instant_before(now, control->deadline)) {
        loop_timer_set(control->loop, timer, instant_add(now, span_ms(POLL_MS)));
        return;
    }
    if (left > 0)
        log_message(LOG_LEVEL_WARNING, "cut_off", "%zu requests did not finish in time",
                    left);
    phase_finish(control);
}

/* Workers act on a change of phase within a turn, so the first poll can wait that long. */
static void phase_begin(struct control *control, enum service_phase phase, int64_t seconds)
{
    struct instant now = loop_now(control->loop);
    control->deadline = instant_add(now, span_seconds(seconds));
    phase_enter(control, phase);
    loop_timer_set(control->loop, &control->poll, instant_add(now, span_ms(POLL_MS)));
}

static void terminate(struct control *control, const char *signal_name)
{
    if (phase_now(control) == SERVICE_DRAINING) {
        log_message(LOG_LEVEL_WARNING, "stop", "%s again: stopping now", signal_name);
        phase_finish(control);
        return;
    }
    log_message(LOG_LEVEL_INFO, "draining",
                "%s: no new checks; running checks have %d seconds to finish", signal_name,
                DRAIN_SECONDS);
    control->end = CONTROL_EXIT;
    phase_begin(control, SERVICE_DRAINING, DRAIN_SECONDS);
}

/* --- reload --------------------------------------------------------------------------- */

static void log_refused(const char *message, const char *reason)
{
    struct log_line line;
    if (!log_begin(&line, LOG_LEVEL_ERROR, "reload_refused"))
        return;

    log_str(&line, "message", message);
    log_str(&line, "reason", reason);
    log_end(&line);
}

/* A child blocks if nothing reads its output. */
static void check_said(void *ctx, uint32_t events)
{
    struct control *control = ctx;
    (void)events;
    if (!reload_check_read(&control->check))
        loop_watch_drop(control->loop, control->check.said_fd, &control->check_watch);
}

static void check_late(struct timer *timer)
{
    struct control *control = CONTAINER_OF(timer, struct control, check_timer);
    reload_check_end_late(&control->check);
}

static void reload_begin(struct control *control, const char *why)
{
    struct reload_check *check = &control->check;
    struct err err;
    if (phase_now(control) != SERVICE_RUNNING)
        return;
    if (check->child > 0) {
        control->is_check_repeated = true;
        return;
    }
    log_message(LOG_LEVEL_INFO, "reload_check", "%s: checking the configuration", why);
    if (!reload_check_start(check, control->invocation, control->service->sockets.fds[0],
                            &err)) {
        log_refused("the new program could not be started; nothing has changed",
                    err.message);
        return;
    }
    loop_timer_set(
        control->loop, &control->check_timer,
        instant_add(loop_now(control->loop), span_seconds(RELOAD_CHECK_SECONDS)));
    if (!loop_watch_add(control->loop, check->said_fd, EPOLLIN, check_said, control,
                        &control->check_watch, &err))
        log_message(LOG_LEVEL_WARNING, "reload_check", "%s", err.message);
}

static void reload_check_ended(struct control *control, int status)
{
    char reason[RELOAD_REASON_SIZE];
    loop_timer_stop(control->loop, &control->check_timer);
    loop_watch_drop(control->loop, control->check.said_fd, &control->check_watch);
    bool is_accepted = reload_check_end(&control->check, status, reason);
    if (!is_accepted)
        log_refused("the configuration was not accepted; nothing has changed", reason);
    if (control->is_check_repeated) {
        control->is_check_repeated = false;
        reload_begin(control, "again");
        return;
    }
    if (!is_accepted || phase_now(control) != SERVICE_RUNNING)
        return;

    bool is_debug = control->service->settings.debug;
    log_message(LOG_LEVEL_INFO, "reload",
                "running checks finish, then the new program starts");
    control->end = CONTROL_RELOAD;
    phase_begin(control, SERVICE_YIELDING, is_debug ? DEBUG_YIELD_SECONDS : DRAIN_SECONDS);
}

static void children_reap(struct control *control)
{
    int status;
    pid_t child;
    while ((child = waitpid(-1, &status, WNOHANG)) > 0)
        if (child == control->check.child)
            reload_check_ended(control, status);
}

static void watch_fire(struct timer *timer)
{
    struct control *control = CONTAINER_OF(timer, struct control, watch_timer);
    if (reload_watch_look(&control->watch, control->invocation))
        reload_begin(control, "the binary or .env has changed");
    loop_timer_set(control->loop, timer,
                   instant_add(loop_now(control->loop), span_ms(WATCH_MS)));
}

/* --- signals -------------------------------------------------------------------------- */

static void signal_event(void *ctx, uint32_t events)
{
    struct control *control = ctx;
    struct signalfd_siginfo info;
    (void)events;

    while (read(control->signal_fd, &info, sizeof info) == sizeof info) {
        switch (info.ssi_signo) {
        case SIGTERM:
            terminate(control, "SIGTERM");
            break;
        case SIGINT:
            terminate(control, "SIGINT");
            break;
        case SIGHUP:
            reload_begin(control, "SIGHUP");
            break;
        case SIGCHLD:
            children_reap(control);
            break;
        }
    }
}

static bool control_init(struct control *control, struct err *err)
{
    sigset_t signals = control_signals();
    if (!loop_new(&control->loop, err))
        return false;

    control->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (control->signal_fd < 0)
        return err_sys(err, errno, "signalfd");

    timer_init(&control->poll, poll_fire);
    timer_init(&control->watch_timer, watch_fire);
    timer_init(&control->check_timer, check_late);
    if (control->service->settings.debug) {
        loop_timer_set(control->loop, &control->watch_timer,
                       instant_add(loop_now(control->loop), span_ms(WATCH_MS)));
    }
    return loop_watch_add(control->loop, control->signal_fd, EPOLLIN, signal_event, control,
                          &control->signal_watch, err);
}

bool control_run(struct service *service, const struct invocation *invocation,
                 const struct reload_watch *watch, enum control_end *ret_end,
                 struct err *err)
{
    struct control control = {
        .service = service,
        .invocation = invocation,
        .signal_fd = -1,
        .watch = *watch,
        .check = {.said_fd = -1},
        .end = CONTROL_EXIT,
    };
    bool is_fine = control_init(&control, err) && loop_run(control.loop, err);
    *ret_end = control.end;
    reload_check_drop(&control.check);
    fd_close(&control.signal_fd);
    loop_free(control.loop);
    return is_fine;
}
