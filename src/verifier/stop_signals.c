/* SPDX-License-Identifier: MIT */
#include "verifier/stop_signals.h"

#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void signals_come(void *ctx, uint32_t events)
{
    struct stop_signals *signals = ctx;
    struct signalfd_siginfo info;
    (void)events;
    while (read(signals->fd, &info, sizeof info) == sizeof info) {
        bool is_second = info.ssi_signo != SIGHUP && signals->count++ > 0;
        signals->come(signals->ctx, (int)info.ssi_signo, is_second);
    }
}

/* Blocked, a signal comes even if it is ignored. */
bool stop_signals_watch(struct stop_signals *signals, struct loop *loop,
                        stop_signal_fn *come, void *ctx, struct err *err)
{
    sigset_t set;
    struct sigaction hangup;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (sigaction(SIGHUP, NULL, &hangup) != 0)
        return err_sys(err, errno, "sigaction");
    if (hangup.sa_handler != SIG_IGN)
        sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return err_sys(err, errno, "sigprocmask");

    signals->come = come;
    signals->ctx = ctx;
    signals->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signals->fd < 0)
        return err_sys(err, errno, "signalfd");
    return loop_watch_add(loop, signals->fd, EPOLLIN, signals_come, signals,
                          &signals->watch, err);
}

void stop_signals_done(struct stop_signals *signals, struct loop *loop)
{
    if (loop)
        loop_watch_drop(loop, -1, &signals->watch);
    fd_close(&signals->fd);
}

void stop_signals_die(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    signal(number, SIG_DFL);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}
