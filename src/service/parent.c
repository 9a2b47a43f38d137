/* SPDX-License-Identifier: MIT */
#include "service/parent.h"

#include "base/container.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "loop/loop.h"
#include "service/control.h"
#include "service/generation.h"
#include "service/ready.h"
#include "service/reload.h"
#include "service/service.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define WATCH_MS        300 /* for changed files, with PORT_CHECKER_DEBUG */
#define START_SECONDS   30  /* for the child of a new program */
#define OVERDUE_SECONDS 3   /* beyond DRAIN_SECONDS */

struct parent {
    struct service *service;             /* borrowed */
    const struct invocation *invocation; /* borrowed */
    struct loop *loop;                   /* owned */
    int signal_fd;                       /* owned */
    struct loop_watch signal_watch;

    struct generation child;       /* serves, or is about to */
    struct generation predecessor; /* serves until the child does, then finishes */
    struct loop_watch child_watch; /* of their reports */
    struct loop_watch predecessor_watch;
    bool is_serving;                 /* the child */
    bool is_ready;                   /* and it alone accepts connections */
    size_t layers;                   /* that confine it */
    char reason[REPORT_REASON_SIZE]; /* why it does not serve; empty = it has not said */
    struct timer start_timer;        /* of a child beside a predecessor */
    struct timer overdue;            /* of children that have been told to end */

    struct timer watch_timer;
    struct reload_watch watch;
    struct reload_check check;
    bool is_reload_wanted; /* requested while another could not begin */
    bool is_accepted;      /* the new binary has passed both stages of the check */

    bool is_ending;
    bool is_killed; /* the children, by us */
    int status;     /* what this process exits with */
};

static sigset_t parent_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    return signals;
}

bool parent_block_signals(struct err *err)
{
    sigset_t signals = parent_signals();
    sigaddset(&signals, CONTROL_YIELD);
    sigaddset(&signals, CONTROL_DRAIN);
    return sigprocmask(SIG_BLOCK, &signals, NULL) == 0 ||
           err_sys(err, errno, "sigprocmask");
}

/* --- two processes -------------------------------------------------------------------- */

static void tell(pid_t child, int command)
{
    if (child > 0)
        kill(child, command);
}

static void kill_children(struct parent *parent)
{
    parent->is_killed = true;
    tell(parent->child.pid, SIGKILL);
    tell(parent->predecessor.pid, SIGKILL);
}

static void overdue_fire(struct timer *timer)
{
    struct parent *parent = CONTAINER_OF(timer, struct parent, overdue);
    if (parent->is_ending)
        kill_children(parent);
    else
        tell(parent->predecessor.pid, SIGKILL);
}

/* The children end in time by themselves; this is for one that does not. */
static void expect_end(struct parent *parent)
{
    loop_timer_in(parent->loop, &parent->overdue,
                  span_seconds(DRAIN_SECONDS + OVERDUE_SECONDS));
}

static void reason_keep(struct parent *parent, const char *reason)
{
    if (reason[0])
        snprintf(parent->reason, sizeof parent->reason, "%s", reason);
}

static void ready_tell(struct parent *parent)
{
    if (parent->is_ready || !parent->is_serving || parent->predecessor.report_fd >= 0)
        return;
    parent->is_ready = true;
    if (!parent->is_ending)
        ready_announce(parent->service, parent->child.pid, parent->layers,
                       !parent->is_reload_wanted);
}

/* From here on, a failure of the child ends the service. */
static void serving_begin(struct parent *parent, size_t layers)
{
    struct err err;
    if (!sockets_listen(&parent->service->sockets, &err)) {
        reason_keep(parent, err.message);
        tell(parent->child.pid, SIGKILL);
        return;
    }
    report_answer(parent->child.report_fd);
    parent->is_serving = true;
    parent->layers = layers;
    loop_timer_stop(parent->loop, &parent->start_timer);
    /* The predecessor's sockets must not stay open when it closes them. */
    sockets_done(&parent->service->former);
    if (parent->predecessor.pid > 0 && !parent->is_ending) {
        tell(parent->predecessor.pid, CONTROL_YIELD);
        expect_end(parent);
    }
    ready_tell(parent);
}

/* SIGCHLD follows the end of its reports. */
static void on_child(void *ctx, uint32_t events)
{
    struct parent *parent = ctx;
    struct report report;
    (void)events;
    report_read(parent->child.report_fd, !parent->is_serving, &report);
    if (report.is_end)
        loop_watch_drop(parent->loop, parent->child.report_fd, &parent->child_watch);
    reason_keep(parent, report.reason);
    if (report.is_able)
        serving_begin(parent, report.layers);
    if (report.has_turned)
        notify_watchdog(&parent->service->notify);
}

/* It ends its reports when it accepts no more connections. */
static void on_predecessor(void *ctx, uint32_t events)
{
    struct parent *parent = ctx;
    struct report report;
    (void)events;
    report_read(parent->predecessor.report_fd, false, &report);
    if (report.has_turned && !parent->is_serving)
        notify_watchdog(&parent->service->notify);
    if (!report.is_end)
        return;

    loop_watch_drop(parent->loop, parent->predecessor.report_fd,
                    &parent->predecessor_watch);
    fd_close(&parent->predecessor.report_fd);
    ready_tell(parent);
}

static bool reports_watch(struct parent *parent, struct err *err)
{
    return (parent->child.report_fd < 0 ||
            loop_watch_add(parent->loop, parent->child.report_fd, EPOLLIN, on_child, parent,
                           &parent->child_watch, err)) &&
           (parent->predecessor.report_fd < 0 ||
            loop_watch_add(parent->loop, parent->predecessor.report_fd, EPOLLIN,
                           on_predecessor, parent, &parent->predecessor_watch, err));
}

static void terminate(struct parent *parent, const char *signal_name)
{
    if (parent->is_ending) {
        log_message(LOG_LEVEL_WARNING, "stop", "%s again: stopping now", signal_name);
        kill_children(parent);
        return;
    }
    log_message(LOG_LEVEL_INFO, "draining",
                "%s: no new checks; running checks have %d seconds to finish", signal_name,
                DRAIN_SECONDS);
    notify_stopping(&parent->service->notify, "draining");
    parent->is_ending = true;
    tell(parent->child.pid, CONTROL_DRAIN);
    tell(parent->predecessor.pid, CONTROL_DRAIN);
    expect_end(parent);
}

/* --- reload --------------------------------------------------------------------------- */

/* What served before goes on serving. */
static void reload_refuse(struct parent *parent, const char *message, const char *reason)
{
    struct log_line line;
    if (log_begin(&line, LOG_LEVEL_ERROR, "reload_refused")) {
        log_str(&line, "message", message);
        log_str(&line, "reason", reason);
        log_end(&line);
    }
    if (!parent->is_ending && !parent->is_reload_wanted)
        refused_announce(parent->service, reason);
}

/* The new program is here, but its child does not serve, and the predecessor does: it
 * becomes the child again. */
static void predecessor_restore(struct parent *parent)
{
    struct err err;
    struct service *service = parent->service;
    loop_timer_stop(parent->loop, &parent->start_timer);
    loop_watch_drop(parent->loop, parent->child.report_fd, &parent->child_watch);
    loop_watch_drop(parent->loop, parent->predecessor.report_fd,
                    &parent->predecessor_watch);
    fd_close(&parent->child.report_fd);
    sockets_done(&service->sockets);
    service->sockets = service->former;
    service->former.count = 0;

    parent->child = parent->predecessor;
    parent->predecessor = (struct generation){.report_fd = -1};
    parent->is_serving = parent->is_ready = true;
    if (!reports_watch(parent, &err))
        log_message(LOG_LEVEL_WARNING, "reload", "%s", err.message);
    reload_refuse(parent, "the new program does not serve; the process before it does",
                  parent->reason);
    parent->reason[0] = '\0';
}

static bool is_reload_possible(const struct parent *parent)
{
    return parent->check.child == 0 && parent->is_ready && parent->predecessor.pid == 0;
}

static void reload_stage_begin(struct parent *parent, enum reload_stage stage)
{
    struct err err;
    if (!reload_check_start(&parent->check, stage, parent->loop, parent->invocation,
                            parent->service->sockets.fds[0], &err))
        reload_refuse(parent, "the new program could not be started; nothing has changed",
                      err.message);
}

static void reload_begin(struct parent *parent, const char *why)
{
    if (parent->is_ending || parent->is_accepted)
        return;
    parent->is_reload_wanted = !is_reload_possible(parent);
    if (parent->is_reload_wanted)
        return;

    log_message(LOG_LEVEL_INFO, "reload_check", "%s: checking the configuration", why);
    reload_stage_begin(parent, RELOAD_CONFIG);
}

static void reload_request(struct parent *parent, const char *why)
{
    if (!parent->is_ending)
        notify_reloading(&parent->service->notify);
    reload_begin(parent, why);
}

static void reload_check_ended(struct parent *parent, int status)
{
    static const char *const refusals[] = {
        [RELOAD_CONFIG] = "the configuration was not accepted; nothing has changed",
        [RELOAD_REHEARSAL] = "the new program cannot serve; nothing has changed",
    };
    char reason[RELOAD_REASON_SIZE];
    bool has_passed = reload_check_end(&parent->check, status, reason);
    if (!has_passed)
        reload_refuse(parent, refusals[parent->check.stage], reason);
    if (!has_passed || parent->is_reload_wanted || parent->is_ending)
        return;

    if (parent->check.stage == RELOAD_CONFIG) {
        reload_stage_begin(parent, RELOAD_REHEARSAL);
        return;
    }
    log_message(LOG_LEVEL_INFO, "reload",
                "starting the new program; running checks finish in the old process");
    parent->is_accepted = true;
}

/* Returns only on failure: then nothing has changed. */
static void replace_program(struct parent *parent)
{
    struct service *service = parent->service;
    struct err err;
    int left_fd = generation_leave(&parent->child,
                                   STDERR_FILENO + 1 + (int)service->sockets.count, &err);
    notify_pass_on(&service->notify);
    if (left_fd >= 0 && sockets_leave(&service->sockets, &err))
        reload_execute(parent->invocation, &err);
    sockets_take_back(&service->sockets);
    notify_take_back();
    generation_take_back(left_fd);
    parent->is_accepted = false;
    reload_refuse(parent, "the new program could not be executed; nothing has changed",
                  err.message);
}

static void watch_fire(struct timer *timer)
{
    struct parent *parent = CONTAINER_OF(timer, struct parent, watch_timer);
    if (reload_watch_look(&parent->watch, parent->invocation))
        reload_request(parent, "the binary or .env has changed");
    loop_timer_in(parent->loop, timer, span_ms(WATCH_MS));
}

/* --- the ends of children ------------------------------------------------------------- */

static void log_failed(const char *reason)
{
    log_message(LOG_LEVEL_ERROR, "failed", "%s", reason);
}

static void child_ended(struct parent *parent, int status)
{
    struct report last;
    report_read(parent->child.report_fd, !parent->is_serving, &last);
    reason_keep(parent, last.reason);
    bool has_said = parent->reason[0] != '\0';
    if (!has_said)
        generation_write_end(&parent->child, status, parent->reason);
    parent->child.pid = 0;
    if (!parent->is_serving && parent->predecessor.pid > 0 && !parent->is_killed) {
        predecessor_restore(parent);
        return;
    }

    /* If it served and has exited, it has logged why. */
    if (!parent->is_killed && (has_said || WIFSIGNALED(status)))
        log_failed(parent->reason);
    if (!parent->is_killed && (parent->is_serving || !parent->is_ending))
        parent->status = WIFSIGNALED(status) ? 1 : WEXITSTATUS(status);
    if (parent->is_ending)
        return;

    if (parent->status == 0) {
        log_failed("the serving process ended by itself");
        parent->status = 1;
    }
    notify_stopping(&parent->service->notify, "the serving process has ended");
    parent->is_ending = true;
    kill_children(parent);
}

static void predecessor_ended(struct parent *parent, int status)
{
    char reason[REPORT_REASON_SIZE];
    generation_write_end(&parent->predecessor, status, reason);
    parent->predecessor.pid = 0;
    if (!parent->is_killed && WIFSIGNALED(status))
        log_failed(reason);
}

static void start_late(struct timer *timer)
{
    struct parent *parent = CONTAINER_OF(timer, struct parent, start_timer);
    snprintf(parent->reason, sizeof parent->reason, "it did not serve within %d seconds",
             START_SECONDS);
    tell(parent->child.pid, SIGKILL);
}

static void children_reap(struct parent *parent)
{
    int status;
    pid_t child;
    while ((child = waitpid(-1, &status, WNOHANG)) > 0) {
        if (child == parent->check.child)
            reload_check_ended(parent, status);
        else if (child == parent->child.pid)
            child_ended(parent, status);
        else if (child == parent->predecessor.pid)
            predecessor_ended(parent, status);
    }
}

/* --- signals -------------------------------------------------------------------------- */

static void handle(struct parent *parent, unsigned number)
{
    switch (number) {
    case SIGTERM:
        terminate(parent, "SIGTERM");
        break;
    case SIGINT:
        terminate(parent, "SIGINT");
        break;
    case SIGHUP:
        reload_request(parent, "SIGHUP");
        break;
    case SIGCHLD:
        children_reap(parent);
        break;
    }
}

static void signal_event(void *ctx, uint32_t events)
{
    struct parent *parent = ctx;
    struct signalfd_siginfo info;
    (void)events;

    while (read(parent->signal_fd, &info, sizeof info) == sizeof info)
        handle(parent, info.ssi_signo);
}

/* Runs last in every turn, after all signals have been read: a SIGTERM beats a reload. */
static bool parent_turn(void *ctx)
{
    struct parent *parent = ctx;
    bool is_over =
        parent->is_ending && parent->child.pid == 0 && parent->predecessor.pid == 0;
    if (is_over)
        loop_stop(parent->loop);
    else if (parent->is_accepted && !parent->is_ending)
        replace_program(parent);
    else if (parent->is_reload_wanted && is_reload_possible(parent))
        reload_begin(parent, "again");
    return false;
}

/* --- life ----------------------------------------------------------------------------- */

static bool watches_add(struct parent *parent, struct err *err)
{
    sigset_t signals = parent_signals();
    parent->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (parent->signal_fd < 0)
        return err_sys(err, errno, "signalfd");

    return loop_watch_add(parent->loop, parent->signal_fd, EPOLLIN, signal_event, parent,
                          &parent->signal_watch, err) &&
           reports_watch(parent, err);
}

static bool parent_init(struct parent *parent, struct err *err)
{
    timer_init(&parent->overdue, overdue_fire);
    timer_init(&parent->watch_timer, watch_fire);
    timer_init(&parent->start_timer, start_late);
    if (!loop_new(&parent->loop, err) || !watches_add(parent, err))
        return false;

    loop_each_turn(parent->loop, parent_turn, parent);
    if (parent->child.pid == 0)
        predecessor_restore(parent);
    else if (parent->predecessor.pid > 0)
        loop_timer_in(parent->loop, &parent->start_timer, span_seconds(START_SECONDS));
    if (parent->service->settings.debug)
        loop_timer_in(parent->loop, &parent->watch_timer, span_ms(WATCH_MS));
    return true;
}

static void parent_done(struct parent *parent)
{
    reload_check_drop(&parent->check);
    fd_close(&parent->signal_fd);
    fd_close(&parent->child.report_fd);
    fd_close(&parent->predecessor.report_fd);
    loop_free(parent->loop);
}

bool parent_run(struct service *service, const struct invocation *invocation,
                const struct reload_watch *watch, struct generation child,
                struct generation predecessor, const char *fault, int *ret_status,
                struct err *err)
{
    struct parent parent = {
        .service = service,
        .invocation = invocation,
        .signal_fd = -1,
        .child = child,
        .predecessor = predecessor,
        .watch = *watch,
        .check = {.said_fd = -1},
    };
    reason_keep(&parent, fault ? fault : "");
    bool is_fine = parent_init(&parent, err) && loop_run(parent.loop, err);
    *ret_status = parent.status;
    parent_done(&parent);
    return is_fine;
}
