/* SPDX-License-Identifier: MIT */
#include "verifier/hook.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/spawn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

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
    char *command = strdup(hook->command);
    if (!command)
        return err_sys(err, ENOMEM, "starting the command");

    char shell[] = "sh";
    char option[] = "-c";
    char *argv[] = {shell, option, command, NULL};
    const int fds[3] = {owned, STDERR_FILENO, STDERR_FILENO};
    bool is_started = spawn_program("/bin/sh", argv, fds, &hook->child, err);
    free(command);
    return is_started || err_sys(err, err->errnum, "starting the --on-change command");
}

bool hook_run(struct hook *hook, const char *text, size_t len, struct err *err)
{
    if (hook->child == 0)
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
    *err = (struct err){0};
    if (hook->child == 0 || waitpid(hook->child, ret_status, WNOHANG) != hook->child)
        return false;

    hook->child = 0;
    if (hook->waiting) {
        start(hook, hook->waiting, hook->waiting_len, err);
        free(hook->waiting);
        hook->waiting = NULL;
    }
    return true;
}

void hook_done(struct hook *hook)
{
    free(hook->waiting);
    hook->waiting = NULL;
}
