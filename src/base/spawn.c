/* SPDX-License-Identifier: MIT */
#include "base/spawn.h"

#include "base/err.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

static void signals_reset(posix_spawnattr_t *attributes)
{
    sigset_t none;
    sigset_t ignored;
    sigemptyset(&none);
    sigemptyset(&ignored);
    sigaddset(&ignored, SIGPIPE);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &ignored);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

bool spawn_program(const char *path, char *const argv[], const int fds[3], pid_t *ret_child,
                   struct err *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    signals_reset(&attributes);
    for (int to = 0; to < 3; to++) {
        if (fds[to] >= 0)
            posix_spawn_file_actions_adddup2(&actions, fds[to], to);
        else
            posix_spawn_file_actions_addopen(&actions, to, "/dev/null", O_RDWR, 0);
    }

    int failure = posix_spawn(ret_child, path, &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (failure == 0)
        return true;

    *ret_child = 0;
    return err_sys(err, failure, "%s", path);
}
