/* SPDX-License-Identifier: MIT */
#include "base/syscall_filter.h"

#include "base/err.h"

#include <assert.h>
#include <errno.h>

#if HAVE_SECCOMP

#include <seccomp.h>

#define API_KILLS 3 /* libseccomp's level for SCMP_ACT_KILL_PROCESS: Linux 4.14 */

bool syscall_filter_is_built(void)
{
    return true;
}

static int rule_add(scmp_filter_ctx filter, const struct syscall_rule *rule)
{
    struct scmp_arg_cmp tests[SYSCALL_TESTS_MAX];
    uint32_t action =
        rule->fails_with ? SCMP_ACT_ERRNO((uint32_t)rule->fails_with) : SCMP_ACT_ALLOW;
    int number = seccomp_syscall_resolve_name(rule->name);
    if (number < 0)
        return 0;

    assert(rule->test_count <= SYSCALL_TESTS_MAX);
    for (size_t i = 0; i < rule->test_count; i++) {
        const struct syscall_test *test = &rule->tests[i];
        tests[i] = (struct scmp_arg_cmp){test->argument, SCMP_CMP_MASKED_EQ, test->mask,
                                         test->value};
    }
    return seccomp_rule_add_array(filter, action, number, (unsigned)rule->test_count,
                                  tests);
}

/* libseccomp returns negative errno values. */
static int filter_fill(scmp_filter_ctx filter, const struct syscall_rule *rules,
                       size_t count)
{
    int result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (result == 0)
        result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary tree */
    for (size_t i = 0; i < count && result == 0; i++)
        result = rule_add(filter, &rules[i]);
    return result;
}

bool syscall_filter_install(const struct syscall_rule *rules, size_t count,
                            enum syscall_denial denial, struct err *err)
{
    scmp_filter_ctx filter = seccomp_init(
        denial == SYSCALL_DENIAL_KILLS ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(ENOSYS));
    if (!filter) /* libseccomp asks the kernel which actions it knows */
        return err_sys(err, seccomp_api_get() < API_KILLS ? ENOSYS : ENOMEM, "seccomp");

    int result = filter_fill(filter, rules, count);
    bool is_filled = result == 0;
    if (is_filled)
        result = seccomp_load(filter);
    seccomp_release(filter);
    if (result == 0)
        return true;
    if (is_filled && (result == -EINVAL || result == -ECANCELED || result == -ENOSYS))
        return err_sys(err, ENOSYS, "seccomp");
    return err_sys(err, -result, "seccomp");
}

#else

bool syscall_filter_is_built(void)
{
    return false;
}

bool syscall_filter_install(const struct syscall_rule *rules, size_t count,
                            enum syscall_denial denial, struct err *err)
{
    (void)rules;
    (void)count;
    (void)denial;
    err_set(err, ERR_SYSTEM, "seccomp: %s",
            IS_SANITIZED ? "a sanitizer makes system calls of its own"
                         : "this build is without libseccomp");
    if (err)
        err->errnum = ENOSYS;
    return false;
}

#endif
