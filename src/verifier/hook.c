/* SPDX-License-Identifier: MIT */
#include "verifier/hook.h"

#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* A file of its own instead of a pipe: it takes any length without anybody reading. */
static bool input_make(const char *text, size_t len, int *ret_fd, struct err *err)
{
    AUTO_FD fd = memfd_create("report", MFD_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "memfd_create");

    for (size_t at = 0; at < len;) {
        ssize_t written = write(fd, text + at, len - at);
        if (written < 0 && errno != EINTR)
            return err_sys(err, errno, "writing the report");
        at += written > 0 ? (size_t)written : 0;
    }
    if (lseek(fd, 0, SEEK_SET) != 0)
        return err_sys(err, errno, "writing the report");
    *ret_fd = fd_take(&fd);
    return true;
}

/* Signals that we have blocked or ignored are none of the command's business. */
static void attributes_set(posix_spawnattr_t *attributes)
{
    sigset_t none;
    sigset_t pipe;
    sigemptyset(&none);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &pipe);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static bool start(struct hook *hook, const char *text, size_t len, struct err *err)
{
    int input = -1;
    if (!input_make(text, len, &input, err))
        return false;

    AUTO_FD owned = input;
    char *command = strdup(hook->command);
    char shell[] = "sh";
    char option[] = "-c";
    char *argv[] = {shell, option, command, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, owned, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    attributes_set(&attributes);

    int failure =
        command ? posix_spawn(&hook->child, "/bin/sh", &actions, &attributes, argv, environ)
                : ENOMEM;
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    free(command);
    if (failure != 0) {
        hook->child = 0;
        return err_sys(err, failure, "starting the --on-change command");
    }
    return true;
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
