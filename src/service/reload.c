/* SPDX-License-Identifier: MIT */
#include "service/reload.h"

#include "base/container.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/spawn.h"
#include "service/rehearsal.h"
#include "service/service.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The part of the child's output that is kept. */
#define PIPE_BYTES (64 * 1024)

/* --- checking the binary -------------------------------------------------------------- */

static bool spawn_config(const struct invocation *invocation, const int fds[3],
                         pid_t *ret_child, struct err *err)
{
    char name[] = "port-checker", check[] = "--check-config", option[] = "--env-file";
    char file[4096] = "";
    if (invocation->env_file)
        strncpy(file, invocation->env_file, sizeof file - 1);
    char *argv[] = {name, check, invocation->env_file ? option : NULL, file, NULL};
    return spawn_program(invocation->binary, argv, fds, ret_child, err);
}

static bool spawn_rehearsal(const struct invocation *invocation, const int fds[3],
                            pid_t *ret_child, struct err *err)
{
    rehearsal_ask();
    bool is_started =
        spawn_program(invocation->binary, invocation->argv, fds, ret_child, err);
    rehearsal_is_asked(); /* and not of other programs */
    return is_started;
}

static const struct {
    bool (*spawn)(const struct invocation *, const int[3], pid_t *, struct err *);
    int status; /* of a program that has passed */
} stages[] = {
    [RELOAD_CONFIG] = {spawn_config, 0},
    [RELOAD_REHEARSAL] = {spawn_rehearsal, REHEARSAL_PASSED},
};

static ssize_t read_some(struct reload_check *check)
{
    const size_t max = sizeof check->said - 1;
    size_t kept = check->said_len;
    if (kept > max / 2) {
        kept = max / 2;
        memmove(check->said, check->said + check->said_len - kept, kept);
    }
    check->said_len = kept;
    ssize_t n = read(check->said_fd, check->said + kept, max - kept);
    if (n > 0)
        check->said_len += (size_t)n;
    return n;
}

/* The child blocks if nothing reads its output. */
static void on_said(void *ctx, uint32_t events)
{
    struct reload_check *check = ctx;
    (void)events;
    if (read_some(check) == 0)
        loop_watch_drop(check->loop, check->said_fd, &check->watch);
}

static void on_late(struct timer *timer)
{
    struct reload_check *check = CONTAINER_OF(timer, struct reload_check, timer);
    check->is_late = true;
    kill(check->child, SIGKILL);
}

bool reload_check_start(struct reload_check *check, enum reload_stage stage,
                        struct loop *loop, const struct invocation *invocation,
                        int listener, struct err *err)
{
    int ends[2];
    *check = (struct reload_check){.stage = stage, .loop = loop, .said_fd = -1};
    timer_init(&check->timer, on_late);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_sys(err, errno, "pipe2");

    AUTO_FD said_fd = ends[0];
    AUTO_FD err_fd = ends[1];
    if (fcntl(said_fd, F_SETFL, O_NONBLOCK) != 0)
        return err_sys(err, errno, "fcntl");
    const int fds[3] = {listener, -1, err_fd};
    if (!stages[stage].spawn(invocation, fds, &check->child, err))
        return false;

    struct err of_watch;
    check->said_fd = fd_take(&said_fd);
    loop_timer_in(loop, &check->timer, span_seconds(RELOAD_CHECK_SECONDS));
    if (!loop_watch_add(loop, check->said_fd, EPOLLIN, on_said, check, &check->watch,
                        &of_watch))
        log_message(LOG_LEVEL_WARNING, "reload_check", "%s", of_watch.message);
    return true;
}

/* Without the program's name, which complain() in main.c puts before the message. */
static const char *last_line(struct reload_check *check)
{
    static const char name[] = "port-checker: ";
    size_t len = check->said_len;
    while (len > 0 && check->said[len - 1] == '\n')
        len--;
    check->said[len] = '\0';

    const char *newline = strrchr(check->said, '\n');
    const char *line = newline ? newline + 1 : check->said;
    return strncmp(line, name, strlen(name)) == 0 ? line + strlen(name) : line;
}

/* Output before a signal need not explain it: it may be a warning. */
static void write_reason(const struct reload_check *check, const char *line, int status,
                         char ret_reason[static RELOAD_REASON_SIZE])
{
    char end[48];
    const int shown = RELOAD_REASON_SIZE - (int)sizeof end - 16;
    if (WIFSIGNALED(status) && check->is_late)
        snprintf(end, sizeof end, "no answer within %d seconds", RELOAD_CHECK_SECONDS);
    else if (WIFSIGNALED(status))
        snprintf(end, sizeof end, "signal %d", WTERMSIG(status));
    else
        snprintf(end, sizeof end, "exit status %d", WEXITSTATUS(status));

    if (line[0] == '\0')
        snprintf(ret_reason, RELOAD_REASON_SIZE, "%s", end);
    else if (WIFSIGNALED(status))
        snprintf(ret_reason, RELOAD_REASON_SIZE, "%s; it said: %.*s", end, shown, line);
    else
        snprintf(ret_reason, RELOAD_REASON_SIZE, "%.*s", shown, line);
}

static void forget(struct reload_check *check)
{
    check->child = 0;
    if (check->said_fd < 0)
        return;
    loop_timer_stop(check->loop, &check->timer);
    loop_watch_drop(check->loop, check->said_fd, &check->watch);
    fd_close(&check->said_fd);
}

bool reload_check_end(struct reload_check *check, int status,
                      char ret_reason[static RELOAD_REASON_SIZE])
{
    for (size_t i = 0; i <= PIPE_BYTES / RELOAD_REASON_SIZE && read_some(check) > 0; i++)
        continue;
    forget(check);
    if (WIFEXITED(status) && WEXITSTATUS(status) == stages[check->stage].status)
        return true;

    write_reason(check, last_line(check), status, ret_reason);
    return false;
}

void reload_check_drop(struct reload_check *check)
{
    if (check->child > 0) {
        kill(check->child, SIGKILL);
        while (waitpid(check->child, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    forget(check);
}

/* --- executing it --------------------------------------------------------------------- */

bool reload_execute(const struct invocation *invocation, struct err *err)
{
    execv(invocation->binary, invocation->argv);
    return err_sys(err, errno, "%s", invocation->binary);
}

/* --- what changes ------------------------------------------------------------------ */

static struct timespec file_time(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? info.st_mtim : (struct timespec){0};
}

static void watch_read(const struct invocation *invocation, struct timespec ret[2])
{
    ret[0] = file_time(invocation->binary);
    ret[1] = file_time(invocation->env_file ? invocation->env_file : ".env");
}

void reload_watch_init(struct reload_watch *watch, const struct invocation *invocation)
{
    watch_read(invocation, watch->seen);
    memcpy(watch->confirmed, watch->seen, sizeof watch->confirmed);
}

bool reload_watch_look(struct reload_watch *watch, const struct invocation *invocation)
{
    struct timespec now[2];
    watch_read(invocation, now);

    bool is_same = memcmp(now, watch->seen, sizeof now) == 0;
    bool is_new = memcmp(now, watch->confirmed, sizeof now) != 0;
    memcpy(watch->seen, now, sizeof now);
    bool is_missing = now[0].tv_sec == 0 && now[0].tv_nsec == 0;
    if (!is_same || !is_new || is_missing)
        return false;
    memcpy(watch->confirmed, now, sizeof now);
    return true;
}
