/* SPDX-License-Identifier: MIT */
#include "verifier/helper.h"

#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* --- descriptors ---------------------------------------------------------------------- */

/* One descriptor with one byte, as unix(7) passes them. */
union passing {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static bool fd_send(int to, unsigned char byte, int fd)
{
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
static bool fd_receive(int from, unsigned char *ret_byte, int *ret_fd)
{
    union passing control;
    struct iovec data = {ret_byte, 1};
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

int helper_wait(pid_t child, unsigned seconds)
{
    const struct timespec limit = {.tv_sec = seconds};
    sigset_t signals;
    int status = 0;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD); /* blocked, so that it waits for us */
    if (seconds > 0 && sigtimedwait(&signals, NULL, &limit) < 0)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    sigtimedwait(&signals, NULL, &(struct timespec){0}); /* that of this child */
    return status;
}

/* It ends at the end of the socket, not by the signals that a terminal sends. It keeps no
 * standard output, whose reader may wait for its end. */
static void helper_main(int fd, helper_run_fn *run, const void *ctx)
{
    sigset_t signals;
    sigfillset(&signals);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    dup2(STDERR_FILENO, STDOUT_FILENO);

    int passed;
    unsigned char which;
    while (fd_receive(fd, &which, &passed)) {
        struct helper_answer answer = run(ctx, which, passed);
        if (send(fd, &answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer)
            break;
    }
    _exit(0);
}

bool helper_start(helper_run_fn *run, const void *ctx, int *ret_fd, struct err *err)
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
        helper_main(theirs, run, ctx);
    }
    *ret_fd = fd_take(&ours);
    return true;
}

/* --- this process --------------------------------------------------------------------- */

bool helper_ask(int helper_fd, unsigned char which, int passed, struct err *err)
{
    return fd_send(helper_fd, which, passed) || err_sys(err, errno, "starting a program");
}

enum helper_state helper_read(int helper_fd, struct helper_answer *ret)
{
    struct helper_answer answer;
    ssize_t got = recv(helper_fd, &answer, sizeof answer, MSG_DONTWAIT);
    if (got < 0)
        return HELPER_BUSY;
    if (got != sizeof answer)
        return HELPER_LOST;
    *ret = answer;
    return HELPER_ANSWERED;
}
