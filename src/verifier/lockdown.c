/* SPDX-License-Identifier: MIT */
#include "verifier/lockdown.h"

#include "base/err.h"
#include "base/syscall_filter.h"

#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#define PLAIN(call) {.name = (call)}

/* Modules of the name services are code of others: a call that is not here fails as if the
 * kernel did not have it, and does not end the process. */
bool lockdown_apply(struct err *err)
{
    /* clang-format off */
    const struct syscall_rule rules[] = {
        /* events, time and signals */
        PLAIN("epoll_create1"), PLAIN("epoll_wait"), PLAIN("epoll_pwait"),
        PLAIN("epoll_pwait2"), PLAIN("epoll_ctl"), PLAIN("eventfd2"), PLAIN("poll"),
        PLAIN("ppoll"), PLAIN("select"), PLAIN("pselect6"), PLAIN("clock_gettime"),
        PLAIN("clock_gettime64"), PLAIN("clock_getres"), PLAIN("gettimeofday"),
        PLAIN("time"), PLAIN("clock_nanosleep"), PLAIN("nanosleep"),
        PLAIN("restart_syscall"), PLAIN("timerfd_create"), PLAIN("timerfd_settime"),
        PLAIN("signalfd4"), PLAIN("rt_sigprocmask"), PLAIN("rt_sigaction"),
        PLAIN("rt_sigreturn"), PLAIN("rt_sigtimedwait"), PLAIN("sigaltstack"),
        /* files: certificates, name services, /proc, --output */
        PLAIN("open"), PLAIN("openat"), PLAIN("read"), PLAIN("readv"), PLAIN("pread64"),
        PLAIN("write"), PLAIN("writev"), PLAIN("pwrite64"), PLAIN("close"),
        PLAIN("lseek"), PLAIN("_llseek"), PLAIN("getdents64"), PLAIN("fstat"),
        PLAIN("fstat64"), PLAIN("stat"), PLAIN("stat64"), PLAIN("lstat"),
        PLAIN("newfstatat"), PLAIN("fstatat64"), PLAIN("statx"), PLAIN("statfs"),
        PLAIN("fstatfs"), PLAIN("access"), PLAIN("faccessat"), PLAIN("faccessat2"),
        PLAIN("readlink"), PLAIN("readlinkat"), PLAIN("getcwd"), PLAIN("dup"),
        PLAIN("dup2"), PLAIN("dup3"), PLAIN("fcntl"), PLAIN("fcntl64"), PLAIN("ioctl"),
        PLAIN("flock"), PLAIN("rename"), PLAIN("renameat"), PLAIN("renameat2"),
        PLAIN("unlink"), PLAIN("unlinkat"), PLAIN("fsync"), PLAIN("fdatasync"),
        PLAIN("ftruncate"), PLAIN("fchmod"), PLAIN("fchown"), PLAIN("umask"),
        PLAIN("memfd_create"), PLAIN("pipe"), PLAIN("pipe2"), PLAIN("fadvise64"),
        PLAIN("sendfile"), PLAIN("copy_file_range"),
        /* sockets, also those of name services */
        PLAIN("socket"), PLAIN("socketpair"), PLAIN("accept"), PLAIN("accept4"),
        PLAIN("bind"), PLAIN("connect"), PLAIN("listen"), PLAIN("shutdown"),
        PLAIN("getsockname"), PLAIN("getpeername"), PLAIN("getsockopt"),
        PLAIN("setsockopt"), PLAIN("sendto"), PLAIN("sendmsg"), PLAIN("sendmmsg"),
        PLAIN("recvfrom"), PLAIN("recvmsg"), PLAIN("recvmmsg"),
        /* memory and threads */
        PLAIN("mmap"), PLAIN("mmap2"), PLAIN("mprotect"), PLAIN("munmap"),
        PLAIN("mremap"), PLAIN("madvise"), PLAIN("brk"), PLAIN("futex"),
        PLAIN("futex_time64"), PLAIN("set_robust_list"), PLAIN("get_robust_list"),
        PLAIN("rseq"), PLAIN("membarrier"), PLAIN("sched_yield"),
        PLAIN("sched_getaffinity"), PLAIN("gettid"), PLAIN("getpid"), PLAIN("getppid"),
        PLAIN("set_tid_address"), PLAIN("exit"), PLAIN("exit_group"),
        /* the rest */
        PLAIN("getrandom"), PLAIN("getrusage"), PLAIN("getrlimit"), PLAIN("ugetrlimit"),
        PLAIN("prlimit64"), PLAIN("setrlimit"), PLAIN("uname"), PLAIN("sysinfo"),
        PLAIN("getuid"), PLAIN("geteuid"), PLAIN("getgid"), PLAIN("getegid"),
        PLAIN("getresuid"), PLAIN("getresgid"), PLAIN("capget"), PLAIN("prctl"),
        PLAIN("wait4"), PLAIN("waitid"),
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
