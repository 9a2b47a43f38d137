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

/* The mode of a new file: 0666, less the umask. */
static mode_t default_mode(void)
{
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

/* A new file beside `path`, and its name. */
static bool temporary_open(const char *path, char name[PATH_MAX], int *ret_fd,
                           struct err *err)
{
    int len = snprintf(name, PATH_MAX, "%s.XXXXXX", path);
    if (len < 0 || len >= PATH_MAX)
        return err_sys(err, ENAMETOOLONG, "%s", path);
    *ret_fd = mkostemp(name, O_CLOEXEC);
    return *ret_fd >= 0 || err_sys(err, errno, "%s", path);
}

/* A file that is mounted by itself cannot be renamed over (EBUSY, EXDEV), nor can one whose
 * folder is closed to this user or sticky; the file itself may be open to it. */
static bool is_of_the_folder(int errnum)
{
    return errnum == EBUSY || errnum == EXDEV || errnum == EPERM || errnum == EACCES ||
           errnum == EROFS;
}

/* Over the old text, which is cut to the new length at the end: the file is never empty.
 * Nothing is followed or opened but the regular file that was found before. */
static bool write_over(const char *path, const char *data, size_t len, struct err *err)
{
    struct stat status;
    AUTO_FD fd = open(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0)
        return err_sys(err, errno, "%s", path);
    if (!S_ISREG(status.st_mode))
        return err_sys(err, EINVAL, "%s", path);
    /* Room first: a full disk must not leave half a text. Not every file system can say. */
    if (len > 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)len) != 0 &&
        (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
        return err_sys(err, errno, "%s", path);
    if (!fd_write_all(fd, data, len) || ftruncate(fd, (off_t)len) != 0 || fsync(fd) != 0)
        return err_sys(err, errno, "%s", path);
    return true;
}

static bool replace(const char *path, mode_t mode, const char *data, size_t len,
                    struct err *err)
{
    char temporary[PATH_MAX];
    AUTO_FD fd = -1;
    if (!temporary_open(path, temporary, &fd, err))
        return false;

    if (fchmod(fd, mode) != 0 || !fd_write_all(fd, data, len) || fsync(fd) != 0 ||
        rename(temporary, path) != 0) {
        err_sys(err, errno, "%s", path);
        unlink(temporary);
        return false;
    }
    return true;
}

/* The path to replace: that of a new file, or of an existing regular one with its symbolic
 * links resolved. *ret_mode is 0 for anything else, which can only be written to. */
static bool target_find(const char *path, char ret[PATH_MAX], mode_t *ret_mode,
                        struct err *err)
{
    struct stat status;
    bool is_there = stat(path, &status) == 0;
    *ret_mode = is_there ? 0 : S_IFREG | default_mode();
    if (is_there && S_ISDIR(status.st_mode))
        return err_sys(err, EISDIR, "%s", path);
    if (is_there && S_ISREG(status.st_mode)) {
        *ret_mode = S_IFREG | (status.st_mode & 0777);
        return realpath(path, ret) || err_sys(err, errno, "%s", path);
    }
    int len = snprintf(ret, PATH_MAX, "%s", path);
    return (len >= 0 && len < PATH_MAX) || err_sys(err, ENAMETOOLONG, "%s", path);
}

bool output_try(const char *path, struct err *err)
{
    char target[PATH_MAX];
    char temporary[PATH_MAX];
    mode_t mode;
    if (!target_find(path, target, &mode, err))
        return false;
    if (mode == 0) /* to open a pipe would wake its reader */
        return access(path, W_OK) == 0 || err_sys(err, errno, "%s", path);

    AUTO_FD fd = -1;
    struct err reason;
    if (temporary_open(target, temporary, &fd, &reason)) {
        unlink(temporary);
        return true;
    }
    if (is_of_the_folder(reason.errnum) && access(target, W_OK) == 0)
        return true;
    if (err)
        *err = reason;
    return false;
}

bool output_replace(const char *path, const char *data, size_t len, struct err *err)
{
    char target[PATH_MAX];
    struct err reason;
    mode_t mode;
    if (!target_find(path, target, &mode, err))
        return false;
    if (mode == 0)
        return write_into(path, data, len, err);
    if (replace(target, mode & 0777, data, len, &reason))
        return true;
    if (is_of_the_folder(reason.errnum) && access(target, F_OK) == 0)
        return write_over(target, data, len, err);
    if (err)
        *err = reason;
    return false;
}

bool output_create(const char *path, const char *data, size_t len, struct err *err)
{
    return replace(path, 0600, data, len, err);
}
