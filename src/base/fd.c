/* SPDX-License-Identifier: MIT */
#include "base/fd.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

void fd_close(int *fd)
{
    if (*fd < 0)
        return;

    int saved = errno;
    close(*fd);
    errno = saved;
    *fd = -1;
}

int fd_take(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

bool fd_open_standard(struct err *err)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return err_sys(err, errno, "/dev/null");
    return true;
}

bool fd_raise_limit(size_t *ret_limit, struct err *err)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return err_sys(err, errno, "getrlimit");

    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    *ret_limit = limit.rlim_cur;
    return true;
}

bool fd_read_file(const char *path, char *ret_data, size_t size, size_t *ret_len,
                  struct err *err)
{
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "%s", path);

    size_t len = 0;
    while (len < size) {
        ssize_t got = read(fd, ret_data + len, size - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, errno, "%s", path);
        if (got == 0) {
            *ret_len = len;
            return true;
        }
        len += (size_t)got;
    }
    return err_set(err, ERR_LIMIT, "%s: longer than %zu bytes", path, size - 1);
}

bool fd_write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, data, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        data += written;
        len -= (size_t)written;
    }
    return true;
}
