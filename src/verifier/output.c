/* SPDX-License-Identifier: MIT */
#include "verifier/output.h"

#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool write_into(const char *path, const char *data, size_t len, struct err *err)
{
    AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || !fd_write_all(fd, data, len))
        return err_sys(err, errno, "%s", path);
    return true;
}

/* What a new file gets: read by all, as far as the umask lets. */
static mode_t default_mode(void)
{
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

static bool replace(const char *path, mode_t mode, const char *data, size_t len,
                    struct err *err)
{
    char temporary[PATH_MAX];
    int name_len = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    if (name_len < 0 || (size_t)name_len >= sizeof temporary)
        return err_sys(err, ENAMETOOLONG, "%s", path);

    AUTO_FD fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "%s", path);

    if (fchmod(fd, mode) != 0 || !fd_write_all(fd, data, len) || fsync(fd) != 0 ||
        rename(temporary, path) != 0) {
        err_sys(err, errno, "%s", path);
        unlink(temporary);
        return false;
    }
    return true;
}

bool output_replace(const char *path, const char *data, size_t len, struct err *err)
{
    char target[PATH_MAX];
    struct stat status;
    if (stat(path, &status) != 0)
        return replace(path, default_mode(), data, len, err);
    if (!S_ISREG(status.st_mode))
        return write_into(path, data, len, err);
    if (!realpath(path, target))
        return err_sys(err, errno, "%s", path);
    return replace(target, status.st_mode & 0777, data, len, err);
}
