/* SPDX-License-Identifier: MIT */
#include "verifier/lockdown.h"

#include "base/err.h"
#include "base/syscall_filter.h"

#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Modules of the name services are code of others: a call that is not here fails as if the
 * kernel did not have it, and does not end the process. */
bool lockdown_apply(struct err *err)
{
    /* clang-format off */
    const struct syscall_rule rules[] = {
        /* events, time and signals */
        SYSCALL_ANY("epoll_create1"), SYSCALL_ANY("epoll_wait"), SYSCALL_ANY("epoll_pwait"),
        SYSCALL_ANY("epoll_pwait2"), SYSCALL_ANY("epoll_ctl"), SYSCALL_ANY("eventfd2"), SYSCALL_ANY("poll"),
        SYSCALL_ANY("ppoll"), SYSCALL_ANY("select"), SYSCALL_ANY("pselect6"), SYSCALL_ANY("clock_gettime"),
        SYSCALL_ANY("clock_gettime64"), SYSCALL_ANY("clock_getres"), SYSCALL_ANY("gettimeofday"),
        SYSCALL_ANY("time"), SYSCALL_ANY("clock_nanosleep"), SYSCALL_ANY("nanosleep"),
        SYSCALL_ANY("restart_syscall"), SYSCALL_ANY("timerfd_create"), SYSCALL_ANY("timerfd_settime"),
        SYSCALL_ANY("signalfd4"), SYSCALL_ANY("rt_sigprocmask"), SYSCALL_ANY("rt_sigaction"),
        SYSCALL_ANY("rt_sigreturn"), SYSCALL_ANY("rt_sigtimedwait"), SYSCALL_ANY("sigaltstack"),
        /* files: certificates, name services, /proc, --output */
        SYSCALL_ANY("open"), SYSCALL_ANY("openat"), SYSCALL_ANY("read"), SYSCALL_ANY("readv"), SYSCALL_ANY("pread64"),
        SYSCALL_ANY("write"), SYSCALL_ANY("writev"), SYSCALL_ANY("pwrite64"), SYSCALL_ANY("close"),
        SYSCALL_ANY("lseek"), SYSCALL_ANY("_llseek"), SYSCALL_ANY("getdents64"), SYSCALL_ANY("fstat"),
        SYSCALL_ANY("fstat64"), SYSCALL_ANY("stat"), SYSCALL_ANY("stat64"), SYSCALL_ANY("lstat"),
        SYSCALL_ANY("newfstatat"), SYSCALL_ANY("fstatat64"), SYSCALL_ANY("statx"), SYSCALL_ANY("statfs"),
        SYSCALL_ANY("fstatfs"), SYSCALL_ANY("access"), SYSCALL_ANY("faccessat"), SYSCALL_ANY("faccessat2"),
        SYSCALL_ANY("readlink"), SYSCALL_ANY("readlinkat"), SYSCALL_ANY("getcwd"), SYSCALL_ANY("dup"),
        SYSCALL_ANY("dup2"), SYSCALL_ANY("dup3"), SYSCALL_ANY("fcntl"), SYSCALL_ANY("fcntl64"), SYSCALL_ANY("ioctl"),
        SYSCALL_ANY("flock"), SYSCALL_ANY("rename"), SYSCALL_ANY("renameat"), SYSCALL_ANY("renameat2"),
        SYSCALL_ANY("unlink"), SYSCALL_ANY("unlinkat"), SYSCALL_ANY("fsync"), SYSCALL_ANY("fdatasync"),
        SYSCALL_ANY("ftruncate"), SYSCALL_ANY("fchmod"), SYSCALL_ANY("fchown"), SYSCALL_ANY("umask"),
        SYSCALL_ANY("memfd_create"), SYSCALL_ANY("pipe"), SYSCALL_ANY("pipe2"), SYSCALL_ANY("fadvise64"),
        SYSCALL_ANY("sendfile"), SYSCALL_ANY("copy_file_range"),
        /* sockets, also those of name services */
        SYSCALL_ANY("socket"), SYSCALL_ANY("socketpair"), SYSCALL_ANY("accept"), SYSCALL_ANY("accept4"),
        SYSCALL_ANY("bind"), SYSCALL_ANY("connect"), SYSCALL_ANY("listen"), SYSCALL_ANY("shutdown"),
        SYSCALL_ANY("getsockname"), SYSCALL_ANY("getpeername"), SYSCALL_ANY("getsockopt"),
        SYSCALL_ANY("setsockopt"), SYSCALL_ANY("sendto"), SYSCALL_ANY("sendmsg"), SYSCALL_ANY("sendmmsg"),
        SYSCALL_ANY("recvfrom"), SYSCALL_ANY("recvmsg"), SYSCALL_ANY("recvmmsg"),
        /* memory and threads */
        SYSCALL_ANY("mmap"), SYSCALL_ANY("mmap2"), SYSCALL_ANY("mprotect"), SYSCALL_ANY("munmap"),
        SYSCALL_ANY("mremap"), SYSCALL_ANY("madvise"), SYSCALL_ANY("brk"), SYSCALL_ANY("futex"),
        SYSCALL_ANY("futex_time64"), SYSCALL_ANY("set_robust_list"), SYSCALL_ANY("get_robust_list"),
        SYSCALL_ANY("rseq"), SYSCALL_ANY("membarrier"), SYSCALL_ANY("sched_yield"),
        SYSCALL_ANY("sched_getaffinity"), SYSCALL_ANY("gettid"), SYSCALL_ANY("getpid"), SYSCALL_ANY("getppid"),
        SYSCALL_ANY("set_tid_address"), SYSCALL_ANY("exit"), SYSCALL_ANY("exit_group"),
        /* the rest */
        SYSCALL_ANY("getrandom"), SYSCALL_ANY("getrusage"), SYSCALL_ANY("getrlimit"), SYSCALL_ANY("ugetrlimit"),
        SYSCALL_ANY("prlimit64"), SYSCALL_ANY("setrlimit"), SYSCALL_ANY("uname"), SYSCALL_ANY("sysinfo"),
        SYSCALL_ANY("getuid"), SYSCALL_ANY("geteuid"), SYSCALL_ANY("getgid"), SYSCALL_ANY("getegid"),
        SYSCALL_ANY("getresuid"), SYSCALL_ANY("getresgid"), SYSCALL_ANY("capget"), SYSCALL_ANY("prctl"),
        SYSCALL_ANY("wait4"), SYSCALL_ANY("waitid"),
        /* threads, but no processes; clone3() has its flags in memory */
        {"clone", .test_count = 1, .tests = {SYSCALL_ALL(0, CLONE_THREAD)}},
        /* signals, to this process only */
        {"kill", .test_count = 1, .tests = {SYSCALL_IS(0, (uint64_t)getpid())}},
        {"tgkill", .test_count = 1, .tests = {SYSCALL_IS(0, (uint64_t)getpid())}},
        {"tkill", .test_count = 1, .tests = {SYSCALL_IS(0, (uint64_t)getpid())}},
    };
    /* clang-format on */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_sys(err, errno, "PR_SET_NO_NEW_PRIVS");

    struct err why;
    return syscall_filter_install(rules, sizeof rules / sizeof *rules, SYSCALL_DENIAL_FAILS,
                                  &why) ||
           why.errnum == ENOSYS || err_set(err, ERR_SYSTEM, "%s", why.message);
}
