/* SPDX-License-Identifier: MIT */
#include "service/reload.h"

#include "base/err.h"
#include "service/service.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The child starts with the default signals, not with those that our threads block. */
static bool check_spawn(const char *binary, char *const argv[], pid_t *ret_child,
                        struct err *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);

    int failure = posix_spawn(ret_child, binary, &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failure == 0 || err_sys(err, failure, "%s", binary);
}

bool reload_check_start(const struct invocation *invocation, pid_t *ret_child,
                        struct err *err)
{
    char name[] = "port-checker", check[] = "--check-config", option[] = "--env-file";
    char file[4096] = "";
    if (!invocation->env_file) {
        char *argv[] = {name, check, NULL};
        return check_spawn(invocation->binary, argv, ret_child, err);
    }
    strncpy(file, invocation->env_file, sizeof file - 1);
    char *argv[] = {name, check, option, file, NULL};
    return check_spawn(invocation->binary, argv, ret_child, err);
}

bool reload_execute(const struct invocation *invocation, struct err *err)
{
    execv(invocation->binary, invocation->argv);
    return err_sys(err, errno, "%s", invocation->binary);
}

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
    memcpy(watch->settled, watch->seen, sizeof watch->settled);
}

bool reload_watch_look(struct reload_watch *watch, const struct invocation *invocation)
{
    struct timespec now[2];
    watch_read(invocation, now);

    bool is_same = memcmp(now, watch->seen, sizeof now) == 0;
    bool is_new = memcmp(now, watch->settled, sizeof now) != 0;
    memcpy(watch->seen, now, sizeof now);
    bool is_missing = now[0].tv_sec == 0 && now[0].tv_nsec == 0;
    if (!is_same || !is_new || is_missing)
        return false;
    memcpy(watch->settled, now, sizeof now);
    return true;
}
