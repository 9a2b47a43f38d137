/* SPDX-License-Identifier: MIT */
#include "service/generation.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Not a setting: it names a child of this very process. */
#define PREDECESSOR_NAME "CHECKER_PREDECESSOR"

/* The first byte is the number of layers, or this. */
#define REPORT_FAILURE   0xff
#define REPORT_TURN      't'

bool generation_fork(struct generation *ret, struct err *err)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return err_sys(err, errno, "socketpair");

    AUTO_FD ours = ends[0];
    AUTO_FD its = ends[1];
    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0)
        return err_sys(err, errno, "fork");

    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) /* it died before the call */
            _exit(1);
    }
    *ret = (struct generation){child, fd_take(child == 0 ? &its : &ours)};
    return true;
}

void generation_write_end(const struct generation *generation, int status,
                          char ret[static REPORT_REASON_SIZE])
{
    int pid = (int)generation->pid;
    if (!WIFSIGNALED(status)) {
        snprintf(ret, REPORT_REASON_SIZE, "exit status %d ended the serving process %d",
                 WEXITSTATUS(status), pid);
        return;
    }
    int number = WTERMSIG(status);
    const char *advice = number == SIGSYS ? "; the sandbox forbids a system call that it "
                                            "used: the kernel's log has its number"
                                          : "";
    snprintf(ret, REPORT_REASON_SIZE, "signal %d (%s) ended the serving process %d%s",
             number, strsignal(number), pid, advice);
}

/* --- across execve(2) ----------------------------------------------------------------- */

bool generation_is_left(void)
{
    return getenv(PREDECESSOR_NAME) != NULL;
}

/* "PID FD" */
static bool read_predecessor(const char *text, uint64_t *ret_pid, uint64_t *ret_fd)
{
    const char *space = text ? strchr(text, ' ') : NULL;
    return space && text_parse_u64(text, (size_t)(space - text), INT32_MAX, ret_pid) &&
           text_parse_u64(space + 1, strlen(space + 1), INT32_MAX, ret_fd);
}

/* A value that does not name a child of ours was not set by us. */
void generation_inherit(struct generation *ret)
{
    uint64_t pid, fd;
    int status;
    *ret = (struct generation){.report_fd = -1};
    bool is_named = read_predecessor(getenv(PREDECESSOR_NAME), &pid, &fd);
    unsetenv(PREDECESSOR_NAME);
    pid_t ended = is_named && pid > 0 ? waitpid((pid_t)pid, &status, WNOHANG) : -1;
    if (ended < 0)
        return;

    fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    *ret = (struct generation){ended == 0 ? (pid_t)pid : 0, (int)fd};
}

int generation_leave(const struct generation *generation, int first_fd, struct err *err)
{
    char text[48];
    AUTO_FD fd = fcntl(generation->report_fd, F_DUPFD, first_fd);
    snprintf(text, sizeof text, "%d %d", (int)generation->pid, fd);
    if (fd < 0 || setenv(PREDECESSOR_NAME, text, true) != 0) {
        err_sys(err, errno, "passing on a child");
        return -1;
    }
    return fd_take(&fd);
}

void generation_take_back(int left_fd)
{
    unsetenv(PREDECESSOR_NAME);
    fd_close(&left_fd);
}

/* --- reports -------------------------------------------------------------------------- */

void report_able(int fd, size_t layers)
{
    const char byte = (char)layers;
    fd_write_all(fd, &byte, 1);
}

void report_failure(int fd, const char *reason)
{
    char text[REPORT_REASON_SIZE + 1];
    int len = snprintf(text, sizeof text, "%c%s", REPORT_FAILURE, reason);
    if (len > 0)
        fd_write_all(fd, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
}

void report_turn(int fd)
{
    const char byte = REPORT_TURN;
    fd_write_all(fd, &byte, 1);
}

void report_wait(int fd)
{
    char byte;
    struct pollfd answer = {.fd = fd, .events = POLLIN};
    while (read(fd, &byte, 1) < 0 && (errno == EAGAIN || errno == EINTR))
        poll(&answer, 1, -1);
}

void report_answer(int fd)
{
    fd_write_all(fd, "", 1);
}

void report_read(int fd, bool is_first, struct report *ret)
{
    unsigned char bytes[REPORT_REASON_SIZE + 1];
    ssize_t len = read(fd, bytes, sizeof bytes - 1);
    *ret = (struct report){.is_end = len == 0};
    if (len <= 0)
        return;

    bytes[len] = '\0';
    if (is_first && bytes[0] == REPORT_FAILURE) {
        snprintf(ret->reason, sizeof ret->reason, "%s", (const char *)bytes + 1);
        return;
    }
    ret->is_able = is_first;
    ret->layers = is_first ? bytes[0] : 0;
    ret->has_turned = !is_first || len > 1;
}
