/* SPDX-License-Identifier: MIT */
#include "base/err.h"
#include "base/syscall_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* What a child needs to report its result. */
#define ENOUGH {.name = "exit_group"}, {.name = "close"}

static const struct syscall_rule rules[] = {
    ENOUGH,
    {.name = "sched_yield", .fails_with = EXDEV},
    {.name = "no_such_call_anywhere"},
    {.name = "socket", .test_count = 1, .tests = {SYSCALL_IS(0, AF_INET)}},
    {.name = "socket",
     .test_count = 2,
     .tests = {SYSCALL_IS(0, AF_INET6), SYSCALL_NONE(1, SOCK_NONBLOCK)}},
    {.name = "fcntl", .test_count = 1, .tests = {SYSCALL_ALL(2, 6)}},
};

static bool can_open(int family, int type)
{
    int fd = socket(family, type, 0);
    return fd >= 0 && close(fd) == 0;
}

static int allowed(void)
{
    return can_open(AF_INET, SOCK_STREAM) && can_open(AF_INET6, SOCK_STREAM) ? 0 : 1;
}

static int failing(void)
{
    return sched_yield() == -1 && errno == EXDEV ? 0 : 1;
}

static int other_family(void)
{
    return can_open(AF_UNIX, SOCK_STREAM) ? 0 : 1;
}

static int other_type(void)
{
    return can_open(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK) ? 0 : 1;
}

static int all_bits(void)
{
    return fcntl(100, F_SETFD, 6 | 1) == -1 && errno == EBADF ? 0 : 1;
}

static int some_bits(void)
{
    return fcntl(100, F_SETFD, 4) == -1 && errno == EBADF ? 0 : 1;
}

static int unlisted(void)
{
    return getpgid(0) == -1 && errno == ENOSYS ? 0 : 1;
}

/* The wait status of a child that calls `act` under the filter. */
static int filtered(int (*act)(void), enum syscall_denial denial)
{
    const struct rlimit none = {0};
    pid_t child = fork();
    if (child == 0) {
        struct err err;
        setrlimit(RLIMIT_CORE, &none);
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (!syscall_filter_install(rules, sizeof rules / sizeof *rules, denial, &err))
            _exit(err.errnum == ENOSYS ? 98 : 97);
        _exit(act());
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void only_what_a_rule_allows_is_possible(void **state)
{
    (void)state;
    static const struct {
        int (*act)(void);
        enum syscall_denial denial;
        int signal; /* that ends it; 0 = it exits with 0 */
    } cases[] = {
        {allowed, SYSCALL_DENIAL_KILLS, 0},
        {failing, SYSCALL_DENIAL_KILLS, 0},
        {all_bits, SYSCALL_DENIAL_KILLS, 0},
        {some_bits, SYSCALL_DENIAL_KILLS, SIGSYS},
        {other_family, SYSCALL_DENIAL_KILLS, SIGSYS},
        {other_type, SYSCALL_DENIAL_KILLS, SIGSYS},
        {unlisted, SYSCALL_DENIAL_KILLS, SIGSYS},
        {unlisted, SYSCALL_DENIAL_FAILS, 0},
        {allowed, SYSCALL_DENIAL_FAILS, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = filtered(cases[i].act, cases[i].denial);
        bool is_right = cases[i].signal
                            ? WIFSIGNALED(status) && WTERMSIG(status) == cases[i].signal
                            : status == 0;
        if (!is_right)
            fail_msg("case %zu: wait status %#x", i, (unsigned)status);
    }
}

static void a_build_without_filters_says_so(void **state)
{
    (void)state;
    int status = filtered(allowed, SYSCALL_DENIAL_KILLS);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 98);
}

int main(void)
{
    const struct CMUnitTest with[] = {
        cmocka_unit_test(only_what_a_rule_allows_is_possible),
    };
    const struct CMUnitTest without[] = {
        cmocka_unit_test(a_build_without_filters_says_so),
    };
    return syscall_filter_is_built() ? cmocka_run_group_tests(with, NULL, NULL)
                                     : cmocka_run_group_tests(without, NULL, NULL);
}
