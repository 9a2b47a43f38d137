/* SPDX-License-Identifier: MIT */
#include "service/control.h"

#include "base/container.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "loop/loop.h"
#include "service/generation.h"
#include "service/service.h"
#include "service/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define POLL_MS 10 /* while a phase finishes */

struct control {
    struct service *service; /* borrowed */
    struct loop *loop;       /* owned */
    int signal_fd;           /* owned */
    struct loop_watch signal_watch;

    struct timer poll;       /* set while a phase finishes */
    struct instant deadline; /* of that phase */

    struct timer watchdog; /* set while systemd expects signs of life */
    bool is_asked;         /* the workers, for a turn */
};

/* --- the watchdog --------------------------------------------------------------------- */

static void turn_ask(struct control *control)
{
    struct service *service = control->service;
    control->is_asked = true;
    atomic_fetch_add(&service->turn, 1);
    for (size_t i = 0; i < service->worker_count; i++)
        worker_wake(service->workers[i]);
}

static bool has_turned(const struct service *service)
{
    for (size_t i = 0; i < service->worker_count; i++)
        if (!worker_has_turned(service->workers[i]))
            return false;
    return true;
}

/* Reports a turn at half of the interval. A worker that is busy for a moment is looked at
 * again soon; for as long as one is blocked, no report is sent. */
static void watchdog_fire(struct timer *timer)
{
    struct control *control = CONTAINER_OF(timer, struct control, watchdog);
    const struct span interval = control->service->notify.watchdog;
    const struct span look = {interval.ns / 16};
    if (!control->is_asked) {
        turn_ask(control);
    } else if (has_turned(control->service)) {
        report_turn(control->service->report_fd);
        control->is_asked = false;
    }
    loop_timer_in(control->loop, timer,
                  control->is_asked ? look : (struct span){interval.ns / 2 - look.ns});
}

/* --- phases --------------------------------------------------------------------------- */

static void phase_enter(struct control *control, enum service_phase phase)
{
    struct service *service = control->service;
    atomic_store(&service->phase, (int)phase);
    for (size_t i = 0; i < service->worker_count; i++)
        worker_nudge(service->workers[i]);
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
    phase_enter(control, SERVICE_STOPPING);
    loop_stop(control->loop);
}

/* Workers act on a change of phase within a turn, so the first poll can wait that long. */
static void phase_begin(struct control *control, enum service_phase phase, int64_t seconds)
{
    struct instant now = loop_now(control->loop);
    control->deadline = instant_add(now, span_seconds(seconds));
    phase_enter(control, phase);
    loop_timer_set(control->loop, &control->poll, instant_add(now, span_ms(POLL_MS)));
}

/* --- commands ------------------------------------------------------------------------- */

static void obey(struct control *control, int command)
{
    if (atomic_load(&control->service->phase) != SERVICE_RUNNING)
        return;

    bool is_debug = control->service->settings.debug;
    office_retire(&control->service->office);
    if (command == CONTROL_YIELD) /* the workers close report_fd */
        loop_timer_stop(control->loop, &control->watchdog);
    if (command == CONTROL_YIELD)
        phase_begin(control, SERVICE_YIELDING,
                    is_debug ? DEBUG_YIELD_SECONDS : DRAIN_SECONDS);
    else
        phase_begin(control, SERVICE_DRAINING, DRAIN_SECONDS);
}

static void signal_event(void *ctx, uint32_t events)
{
    struct control *control = ctx;
    struct signalfd_siginfo info;
    (void)events;

    while (read(control->signal_fd, &info, sizeof info) == sizeof info)
        obey(control, (int)info.ssi_signo);
}

/* --- life ----------------------------------------------------------------------------- */

static bool signals_watch(struct control *control, struct err *err)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, CONTROL_YIELD);
    sigaddset(&signals, CONTROL_DRAIN);
    control->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (control->signal_fd < 0)
        return err_sys(err, errno, "signalfd");

    return loop_watch_add(control->loop, control->signal_fd, EPOLLIN, signal_event, control,
                          &control->signal_watch, err);
}

bool control_new(struct service *service, struct control **ret, struct err *err)
{
    struct control *control = calloc(1, sizeof *control);
    if (!control)
        return err_sys(err, ENOMEM, "control");

    control->service = service;
    control->signal_fd = -1;
    timer_init(&control->poll, poll_fire);
    timer_init(&control->watchdog, watchdog_fire);
    if (!loop_new(&control->loop, err) || !signals_watch(control, err)) {
        control_free(control);
        return false;
    }
    *ret = control;
    return true;
}

bool control_run(struct control *control, struct err *err)
{
    if (control->service->notify.watchdog.ns > 0)
        watchdog_fire(&control->watchdog);
    return loop_run(control->loop, err);
}

struct control *control_free(struct control *control)
{
    if (!control)
        return NULL;

    fd_close(&control->signal_fd);
    loop_free(control->loop);
    free(control);
    return NULL;
}
