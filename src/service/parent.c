/* SPDX-License-Identifier: MIT */
#include "service/parent.h"

#include "base/container.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "loop/loop.h"
#include "service/control.h"
#include "service/ready.h"
#include "service/reload.h"
#include "service/service.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define WATCH_MS         300 /* for changed files, with PORT_CHECKER_DEBUG */
#define OVERDUE_SECONDS  3   /* beyond DRAIN_SECONDS */

/* Across execve(2). Not a setting: it names a child of this very process. */
#define PREDECESSOR_NAME "CHECKER_PREDECESSOR"

struct parent {
    struct service *service;             /* borrowed */
    const struct invocation *invocation; /* borrowed */
    struct loop *loop;                   /* owned */
    int signal_fd;                       /* owned */
    struct loop_watch signal_watch;

    struct generation child;       /* serves, or is about to */
    struct generation predecessor; /* serves until the child does, then finishes */
    struct loop_watch ready_watch; /* until the child serves */
    struct loop_watch quiet_watch; /* until the predecessor accepts no more */
    bool is_serving;               /* the child */
    bool is_ready;                 /* and it alone accepts connections */
    size_t layers;                 /* that confine it */
    struct timer overdue;          /* of children that have been told to end */

    struct timer watch_timer;
    struct reload_watch watch;
    struct reload_check check;
    struct loop_watch check_watch; /* of what it says */
    struct timer check_timer;      /* of its answer */
    bool is_reload_wanted;         /* requested while another could not begin */
    bool is_accepted;              /* the new binary has accepted the configuration */

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
    if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0)
        return err_sys(err, errno, "sigprocmask");
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return err_sys(err, errno, "signal");
    return true;
}

/* --- two processes -------------------------------------------------------------------- */

bool parent_fork(struct generation *ret, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return err_sys(err, errno, "pipe2");

    AUTO_FD read_fd = ends[0];
    AUTO_FD write_fd = ends[1];
    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0)
        return err_sys(err, errno, "fork");

    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) /* it died before the call */
            _exit(1);
    }
    *ret = (struct generation){child, fd_take(child == 0 ? &write_fd : &read_fd)};
    return true;
}

/* "PID FD"; the descriptor stays open, clear of those of the sockets. */
static bool hand_over(struct parent *parent, struct err *err)
{
    char text[48];
    int fd = fcntl(parent->child.ready_fd, F_DUPFD,
                   STDERR_FILENO + 1 + (int)parent->service->sockets.count);
    if (fd < 0)
        return err_sys(err, errno, "passing on a child");
    snprintf(text, sizeof text, "%d %d", (int)parent->child.pid, fd);
    return setenv(PREDECESSOR_NAME, text, true) == 0 || err_sys(err, errno, "setenv");
}

static bool read_predecessor(const char *text, uint64_t *ret_pid, uint64_t *ret_fd)
{
    const char *space = text ? strchr(text, ' ') : NULL;
    return space && text_parse_u64(text, (size_t)(space - text), INT32_MAX, ret_pid) &&
           text_parse_u64(space + 1, strlen(space + 1), INT32_MAX, ret_fd);
}

/* A value that does not name a child of ours was not set by us. */
void parent_inherit(struct generation *ret)
{
    uint64_t pid, fd;
    int status;
    *ret = (struct generation){.ready_fd = -1};
    bool is_named = read_predecessor(getenv(PREDECESSOR_NAME), &pid, &fd);
    unsetenv(PREDECESSOR_NAME);
    pid_t ended = is_named && pid > 0 ? waitpid((pid_t)pid, &status, WNOHANG) : -1;
    if (ended < 0)
        return;

    fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    *ret = (struct generation){ended == 0 ? (pid_t)pid : 0, (int)fd};
}

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

/* The children know how long they have; this is for one that no longer obeys. */
static void expect_end(struct parent *parent)
{
    loop_timer_set(
        parent->loop, &parent->overdue,
        instant_add(loop_now(parent->loop), span_seconds(DRAIN_SECONDS + OVERDUE_SECONDS)));
}

static void ready_tell(struct parent *parent)
{
    if (parent->is_ready || !parent->is_serving || parent->predecessor.ready_fd >= 0)
        return;
    parent->is_ready = true;
    if (!parent->is_ending)
        ready_log(parent->service, parent->child.pid, parent->layers);
}

/* The end of the pipe without a byte means that the child has failed; SIGCHLD follows. */
static void on_serving(void *ctx, uint32_t events)
{
    struct parent *parent = ctx;
    unsigned char byte;
    (void)events;
    parent->is_serving = read(parent->child.ready_fd, &byte, 1) == 1;
    loop_watch_drop(parent->loop, parent->child.ready_fd, &parent->ready_watch);
    if (!parent->is_serving)
        return;

    parent->layers = byte;
    if (parent->predecessor.pid > 0 && !parent->is_ending) {
        tell(parent->predecessor.pid, CONTROL_YIELD);
        expect_end(parent);
    }
    ready_tell(parent);
}

/* The predecessor has closed its end, or has ended. */
static void on_quiet(void *ctx, uint32_t events)
{
    struct parent *parent = ctx;
    (void)events;
    loop_watch_drop(parent->loop, parent->predecessor.ready_fd, &parent->quiet_watch);
    fd_close(&parent->predecessor.ready_fd);
    ready_tell(parent);
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
    parent->is_ending = true;
    tell(parent->child.pid, CONTROL_DRAIN);
    tell(parent->predecessor.pid, CONTROL_DRAIN);
    expect_end(parent);
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
    struct parent *parent = ctx;
    (void)events;
    if (!reload_check_read(&parent->check))
        loop_watch_drop(parent->loop, parent->check.said_fd, &parent->check_watch);
}

static void check_late(struct timer *timer)
{
    struct parent *parent = CONTAINER_OF(timer, struct parent, check_timer);
    reload_check_end_late(&parent->check);
}

static bool is_reload_possible(const struct parent *parent)
{
    return parent->check.child == 0 && parent->is_ready && parent->predecessor.pid == 0;
}

static void reload_begin(struct parent *parent, const char *why)
{
    struct reload_check *check = &parent->check;
    struct err err;
    if (parent->is_ending || parent->is_accepted)
        return;
    parent->is_reload_wanted = !is_reload_possible(parent);
    if (parent->is_reload_wanted)
        return;

    log_message(LOG_LEVEL_INFO, "reload_check", "%s: checking the configuration", why);
    if (!reload_check_start(check, parent->invocation, parent->service->sockets.fds[0],
                            &err)) {
        log_refused("the new program could not be started; nothing has changed",
                    err.message);
        return;
    }
    loop_timer_set(parent->loop, &parent->check_timer,
                   instant_add(loop_now(parent->loop), span_seconds(RELOAD_CHECK_SECONDS)));
    if (!loop_watch_add(parent->loop, check->said_fd, EPOLLIN, check_said, parent,
                        &parent->check_watch, &err))
        log_message(LOG_LEVEL_WARNING, "reload_check", "%s", err.message);
}

static void reload_check_ended(struct parent *parent, int status)
{
    char reason[RELOAD_REASON_SIZE];
    loop_timer_stop(parent->loop, &parent->check_timer);
    loop_watch_drop(parent->loop, parent->check.said_fd, &parent->check_watch);
    bool is_accepted = reload_check_end(&parent->check, status, reason);
    if (!is_accepted)
        log_refused("the configuration was not accepted; nothing has changed", reason);
    if (!is_accepted || parent->is_reload_wanted || parent->is_ending)
        return;

    log_message(LOG_LEVEL_INFO, "reload",
                "the new program starts; running checks finish beside it");
    parent->is_accepted = true;
}

static void watch_fire(struct timer *timer)
{
    struct parent *parent = CONTAINER_OF(timer, struct parent, watch_timer);
    if (reload_watch_look(&parent->watch, parent->invocation))
        reload_begin(parent, "the binary or .env has changed");
    loop_timer_set(parent->loop, timer,
                   instant_add(loop_now(parent->loop), span_ms(WATCH_MS)));
}

/* --- the ends of children ------------------------------------------------------------- */

static void log_signal(pid_t child, int number)
{
    const char *advice = number == SIGSYS ? "; the sandbox forbids a system call that it "
                                            "used: the kernel's log has its number"
                                          : "";
    log_message(LOG_LEVEL_ERROR, "failed", "signal %d (%s) ended the serving process %d%s",
                number, strsignal(number), (int)child, advice);
}

/* What this process makes of a child that it has not killed: the status to exit with. */
static int judge_end(const struct parent *parent, pid_t child, int status)
{
    if (parent->is_killed)
        return 0;
    if (WIFSIGNALED(status)) {
        log_signal(child, WTERMSIG(status));
        return 1;
    }
    return WEXITSTATUS(status);
}

static void child_ended(struct parent *parent, int status)
{
    int judged = judge_end(parent, parent->child.pid, status);
    parent->child.pid = 0;
    parent->status = judged;
    if (parent->is_ending)
        return;

    if (judged == 0) {
        log_message(LOG_LEVEL_ERROR, "failed", "the serving process ended by itself");
        parent->status = 1;
    }
    parent->is_ending = true;
    kill_children(parent);
}

static void children_reap(struct parent *parent)
{
    int status;
    pid_t child;
    while ((child = waitpid(-1, &status, WNOHANG)) > 0) {
        if (child == parent->check.child) {
            reload_check_ended(parent, status);
        } else if (child == parent->child.pid) {
            child_ended(parent, status);
        } else if (child == parent->predecessor.pid) {
            judge_end(parent, child, status);
            parent->predecessor.pid = 0;
        }
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
        reload_begin(parent, "SIGHUP");
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
    if (is_over || (parent->is_accepted && !parent->is_ending))
        loop_stop(parent->loop);
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
           loop_watch_add(parent->loop, parent->child.ready_fd, EPOLLIN, on_serving, parent,
                          &parent->ready_watch, err) &&
           (parent->predecessor.ready_fd < 0 ||
            loop_watch_add(parent->loop, parent->predecessor.ready_fd, EPOLLIN, on_quiet,
                           parent, &parent->quiet_watch, err));
}

static bool parent_init(struct parent *parent, struct err *err)
{
    timer_init(&parent->overdue, overdue_fire);
    timer_init(&parent->watch_timer, watch_fire);
    timer_init(&parent->check_timer, check_late);
    if (!loop_new(&parent->loop, err) || !watches_add(parent, err))
        return false;

    loop_each_turn(parent->loop, parent_turn, parent);
    if (parent->service->settings.debug)
        loop_timer_set(parent->loop, &parent->watch_timer,
                       instant_add(loop_now(parent->loop), span_ms(WATCH_MS)));
    return true;
}

static void parent_done(struct parent *parent)
{
    reload_check_drop(&parent->check);
    fd_close(&parent->signal_fd);
    fd_close(&parent->child.ready_fd);
    fd_close(&parent->predecessor.ready_fd);
    loop_free(parent->loop);
}

bool parent_run(struct service *service, const struct invocation *invocation,
                const struct reload_watch *watch, struct generation child,
                struct generation predecessor, enum parent_end *ret_end, int *ret_status,
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
    bool is_fine = parent_init(&parent, err) && loop_run(parent.loop, err) &&
                   (parent.is_ending || hand_over(&parent, err));
    *ret_end = parent.is_ending ? PARENT_EXIT : PARENT_RELOAD;
    *ret_status = parent.status;
    parent_done(&parent);
    return is_fine;
}
