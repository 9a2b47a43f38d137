/* SPDX-License-Identifier: MIT */
#include "verifier/hook.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/spawn.h"
#include "verifier/helper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* In the helper. */
static struct helper_answer command_run(const void *command, unsigned char which, int input)
{
    char shell[] = "sh";
    char option[] = "-c";
    char *copy = strdup(command);
    char *argv[] = {shell, option, copy, NULL};
    const int fds[3] = {input, STDERR_FILENO, STDERR_FILENO};
    struct helper_answer answer = {0};
    struct err err = {.errnum = ENOMEM};
    pid_t child;
    (void)which;
    if (copy && spawn_program("/bin/sh", argv, fds, &child, &err))
        answer.status = helper_wait(child, 0);
    else
        answer.failure = err.errnum;
    free(copy);
    close(input);
    return answer;
}

bool hook_init(struct hook *hook, const char *command, struct err *err)
{
    return helper_start(command_run, command, &hook->helper_fd, err);
}

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
    if (!helper_ask(hook->helper_fd, 0, owned, err))
        return err_sys(err, err->errnum, "starting the --on-change command");
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
    struct helper_answer answer = {0};
    *err = (struct err){0};
    enum helper_state state = helper_read(hook->helper_fd, &answer);
    if (state == HELPER_BUSY)
        return false;

    hook->is_running = false;
    hook->is_lost = state == HELPER_LOST;
    if (hook->is_lost)
        answer.failure = ECHILD;
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
