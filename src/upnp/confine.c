/* SPDX-License-Identifier: MIT */
#include "upnp/confine.h"

#include "base/capabilities.h"
#include "base/err.h"
#include "base/syscall_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define NOBODY 65534 /* of the kernel, too: /proc/sys/kernel/overflowuid */

/* --- time ----------------------------------------------------------------------------- */

static void input_changed(int number)
{
    struct pollfd input = {.fd = STDIN_FILENO};
    int saved = errno;
    (void)number;
    if (poll(&input, 1, 0) > 0 && (input.revents & POLLHUP))
        _exit(1);
    errno = saved;
}

/* The kernel sends SIGIO. */
static bool input_watch(struct err *err)
{
    const struct sigaction action = {.sa_handler = input_changed, .sa_flags = SA_RESTART};
    struct stat input;
    if (fstat(STDIN_FILENO, &input) != 0 || !S_ISSOCK(input.st_mode))
        return true;
    int flags = fcntl(STDIN_FILENO, F_GETFL);
    if (sigaction(SIGIO, &action, NULL) != 0 || flags < 0 ||
        fcntl(STDIN_FILENO, F_SETOWN, getpid()) != 0 ||
        fcntl(STDIN_FILENO, F_SETFL, flags | O_ASYNC) != 0)
        return err_sys(err, errno, "watching standard input");
    raise(SIGIO); /* it may have been closed before */
    return true;
}

bool confine_time(int deadline_ms, struct err *err)
{
    const struct itimerval limit = {
        .it_value = {.tv_sec = deadline_ms / 1000,
                     .tv_usec = (suseconds_t)(deadline_ms % 1000) * 1000},
    };
    return (setitimer(ITIMER_REAL, &limit, NULL) == 0 || err_sys(err, errno, "a timer")) &&
           input_watch(err);
}

/* --- resources ------------------------------------------------------------------------ */

#define IS_LIMITED(resource, limit)                                                        \
    (setrlimit((resource), &(struct rlimit){(limit), (limit)}) == 0)

/* A description has a few KiB, a reply less. A sanitizer maps terabytes. */
static bool limits_apply(struct err *err)
{
    bool is_limited = IS_LIMITED(RLIMIT_CORE, 0) && IS_LIMITED(RLIMIT_NOFILE, 16) &&
                      IS_LIMITED(RLIMIT_CPU, 5 /* seconds */) &&
                      (IS_SANITIZED || IS_LIMITED(RLIMIT_AS, 64u << 20));
    return (is_limited || err_sys(err, errno, "setrlimit")) &&
           (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 || err_sys(err, errno, "prctl"));
}

/* --- privileges ----------------------------------------------------------------------- */

/* In a user namespace there may be no such user; capabilities are dropped in any case. */
static bool user_drop(struct err *err)
{
    if (geteuid() != 0)
        return true;
    bool is_dropped = setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
                      setresuid(NOBODY, NOBODY, NOBODY) == 0;
    return is_dropped || errno == EINVAL || errno == EPERM ||
           err_sys(err, errno, "changing to the user nobody");
}

static bool privileges_drop(struct err *err)
{
    return user_drop(err) && capabilities_drop(err) &&
           (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ||
            err_sys(err, errno, "PR_SET_NO_NEW_PRIVS"));
}

/* --- system calls --------------------------------------------------------------------- */

/* No call opens a file, starts a process or sends a signal to another one. */
static bool calls_limit(struct err *err)
{
    /* clang-format off */
    const struct syscall_rule rules[] = {
        SYSCALL_ANY("read"), SYSCALL_ANY("readv"), SYSCALL_ANY("write"), SYSCALL_ANY("writev"), SYSCALL_ANY("close"),
        SYSCALL_ANY("fstat"), SYSCALL_ANY("fstat64"), SYSCALL_ANY("newfstatat"), SYSCALL_ANY("lseek"),
        SYSCALL_IP_SOCKETS(AF_INET), SYSCALL_IP_SOCKETS(AF_INET6),
        /* the name and the number of an interface */
        SYSCALL_SOCKET(AF_UNIX, SOCK_DGRAM, 0),
        SYSCALL_TESTED("ioctl", SYSCALL_IS(1, SIOCGIFNAME)),
        SYSCALL_TESTED("ioctl", SYSCALL_IS(1, SIOCGIFINDEX)),
        SYSCALL_ANY("bind"), SYSCALL_ANY("connect"), SYSCALL_ANY("getsockname"), SYSCALL_ANY("getpeername"),
        SYSCALL_ANY("getsockopt"), SYSCALL_ANY("setsockopt"), SYSCALL_ANY("sendto"), SYSCALL_ANY("sendmsg"),
        SYSCALL_ANY("recvfrom"), SYSCALL_ANY("recvmsg"), SYSCALL_ANY("poll"), SYSCALL_ANY("ppoll"),
        SYSCALL_ANY("select"), SYSCALL_ANY("pselect6"), SYSCALL_ANY("shutdown"),
        SYSCALL_ANY("clock_gettime"), SYSCALL_ANY("clock_gettime64"), SYSCALL_ANY("gettimeofday"),
        SYSCALL_ANY("time"), SYSCALL_ANY("restart_syscall"), SYSCALL_ANY("rt_sigreturn"),
        SYSCALL_TESTED("mmap", SYSCALL_NONE(2, PROT_EXEC)),
        SYSCALL_TESTED("mmap2", SYSCALL_NONE(2, PROT_EXEC)),
        SYSCALL_TESTED("mprotect", SYSCALL_NONE(2, PROT_EXEC)),
        SYSCALL_ANY("munmap"), SYSCALL_ANY("mremap"), SYSCALL_ANY("madvise"), SYSCALL_ANY("brk"), SYSCALL_ANY("futex"),
        SYSCALL_ANY("getrandom"), SYSCALL_ANY("exit"), SYSCALL_ANY("exit_group"),
    };
    /* clang-format on */
    struct err why;
    return syscall_filter_install(rules, sizeof rules / sizeof *rules, SYSCALL_DENIAL_KILLS,
                                  &why) ||
           why.errnum == ENOSYS || err_set(err, ERR_SYSTEM, "%s", why.message);
}

bool confine_all(struct err *err)
{
    return limits_apply(err) && privileges_drop(err) && calls_limit(err);
}
