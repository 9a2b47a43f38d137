/* SPDX-License-Identifier: MIT */
#include "verifier/hook.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the helper answers after each command. */
struct answer {
    int failure; /* errno: it could not be started */
    int status;
};

/* --- descriptors ---------------------------------------------------------------------- */

/* One descriptor with one byte, as unix(7) passes them. */
union passing {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static bool fd_send(int to, int fd)
{
    char byte = 0;
    union passing control = {.bytes = {0}};
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    return sendmsg(to, &message, MSG_NOSIGNAL) == 1;
}

/* False at the end. */
static bool fd_receive(int from, int *ret_fd)
{
    char byte;
    union passing control;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t got;
    while ((got = recvmsg(from, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
        continue;
    if (got != 1 || !CMSG_FIRSTHDR(&message))
        return false;
    memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof *ret_fd);
    return true;
}

/* --- the helper ----------------------------------------------------------------------- */

static struct answer command_run(char *command, int input)
{
    char shell[] = "sh";
    char option[] = "-c";
    char *argv[] = {shell, option, command, NULL};
    const int fds[3] = {input, STDERR_FILENO, STDERR_FILENO};
    struct answer answer = {0};
    struct err err;
    pid_t child;
    if (!spawn_program("/bin/sh", argv, fds, &child, &err)) {
        answer.failure = err.errnum;
        return answer;
    }
    while (waitpid(child, &answer.status, 0) < 0 && errno == EINTR)
        continue;
    return answer;
}

/* It ends at the end of the socket, not by the signals that a terminal sends. It keeps no
 * standard output, whose reader may wait for its end. */
static void helper_main(int fd, char *command)
{
    sigset_t signals;
    sigfillset(&signals);
    sigdelset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    dup2(STDERR_FILENO, STDOUT_FILENO);

    int input;
    while (fd_receive(fd, &input)) {
        struct answer answer = command_run(command, input);
        close(input);
        if (send(fd, &answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer)
            break;
    }
    _exit(0);
}

bool hook_init(struct hook *hook, const char *command, struct err *err)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return err_sys(err, errno, "socketpair");

    AUTO_FD ours = ends[0];
    AUTO_FD theirs = ends[1];
    pid_t helper = fork();
    if (helper < 0)
        return err_sys(err, errno, "fork");
    if (helper == 0) {
        close(ours);
        char *copy = strdup(command);
        if (copy)
            helper_main(theirs, copy);
        _exit(1);
    }
    hook->helper_fd = fd_take(&ours);
    return true;
}

/* --- this process --------------------------------------------------------------------- */

/* A file, not a pipe: it takes any length, even if nothing reads it. */
static bool input_make(const char *text, size_t len, int *ret_fd, struct err *err)
{
    AUTO_FD fd = memfd_create("report", MFD_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "memfd_create");

    if (!fd_write_all(fd, text, len) || lseek(fd, 0, SEEK_SET) != 0)
        return err_sys(err, errno, "writing the report");
    *ret_fd = fd_take(&fd);
    return true;
}

static bool start(struct hook *hook, const char *text, size_t len, struct err *err)
{
    int input = -1;
    if (!input_make(text, len, &input, err))
        return false;

    AUTO_FD owned = input;
    if (!fd_send(hook->helper_fd, owned))
        return err_sys(err, errno, "starting the --on-change command");
    hook->is_running = true;
    return true;
}

bool hook_run(struct hook *hook, const char *text, size_t len, struct err *err)
{
    if (!hook->is_running)
        return start(hook, text, len, err);

    char *copy = malloc(len + 1);
    if (!copy)
        return err_sys(err, ENOMEM, "starting the --on-change command");
    memcpy(copy, text, len);
    free(hook->waiting);
    hook->waiting = copy;
    hook->waiting_len = len;
    return true;
}

bool hook_reap(struct hook *hook, int *ret_status, struct err *err)
{
    struct answer answer;
    *err = (struct err){0};
    ssize_t got = recv(hook->helper_fd, &answer, sizeof answer, MSG_DONTWAIT);
    if (got < 0)
        return false;

    hook->is_running = false;
    hook->is_lost = got != sizeof answer;
    if (hook->is_lost)
        answer = (struct answer){.failure = ECHILD};
    if (answer.failure)
        err_sys(err, answer.failure, "starting the --on-change command");
    if (hook->waiting) {
        start(hook, hook->waiting, hook->waiting_len, err);
        free(hook->waiting);
        hook->waiting = NULL;
    }
    *ret_status = answer.status;
    return true;
}

void hook_done(struct hook *hook)
{
    fd_close(&hook->helper_fd);
    free(hook->waiting);
    hook->waiting = NULL;
}
