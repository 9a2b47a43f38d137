/* SPDX-License-Identifier: MIT
 *
 * lacking landlock|seccomp|capset PROGRAM [ARGUMENT...]: executes the program on a kernel
 * that seems to lack this layer; capset() is only forbidden, as by a unit of systemd.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static int landlock_lacks(scmp_filter_ctx filter)
{
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS),
                            SCMP_SYS(landlock_create_ruleset), 0);
}

/* libseccomp tries both ways to load a filter. */
static int seccomp_lacks(scmp_filter_ctx filter)
{
    int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, PR_SET_SECCOMP));
    return result ? result
                  : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(seccomp), 0);
}

static int capset_fails(scmp_filter_ctx filter)
{
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(capset), 0);
}

int main(int argc, char *argv[])
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (argc < 3 || !filter)
        return 2;

    int result = strcmp(argv[1], "landlock") == 0  ? landlock_lacks(filter)
                 : strcmp(argv[1], "seccomp") == 0 ? seccomp_lacks(filter)
                                                   : capset_fails(filter);
    if (result == 0)
        result = seccomp_load(filter);
    if (result != 0) {
        fprintf(stderr, "lacking: %s\n", strerror(-result));
        return 2;
    }
    execv(argv[2], argv + 2);
    perror(argv[2]);
    return 2;
}
