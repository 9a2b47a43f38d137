/* SPDX-License-Identifier: MIT
 *
 * Limits this process and all that it starts to a list of system calls (seccomp). The limit
 * can never be lifted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define SYSCALL_TESTS_MAX 3

/* (argument & mask) == value */
struct syscall_test {
    unsigned argument;
    uint64_t mask;
    uint64_t value;
};

#define SYSCALL_IS(number, wanted) {(number), UINT32_MAX, (wanted)}
#define SYSCALL_NONE(number, bits) {(number), (bits), 0}
#define SYSCALL_ALL(number, bits)  {(number), (bits), (bits)}

/* Allows a call if all tests hold; several rules may name one call. A call that this
 * architecture does not have is passed over. */
struct syscall_rule {
    const char *name;
    int fails_with; /* an errno instead; 0 = it is allowed */
    size_t test_count;
    struct syscall_test tests[SYSCALL_TESTS_MAX];
};

/* A rule without tests, one with these, and the mask for the type of a socket: without
 * SOCK_NONBLOCK and SOCK_CLOEXEC. */
#define SYSCALL_ANY(call) {.name = (call)}
#define SYSCALL_TESTED(call, ...)                                                          \
    {                                                                                      \
        .name = (call),                                                                    \
        .test_count =                                                                      \
            sizeof((struct syscall_test[]){__VA_ARGS__}) / sizeof(struct syscall_test),    \
        .tests = {                                                                         \
            __VA_ARGS__                                                                    \
        }                                                                                  \
    }
#define SYSCALL_SOCKET_TYPE 0xfu
#define SYSCALL_SOCKET(family, type, protocol)                                             \
    SYSCALL_TESTED("socket", SYSCALL_IS(0, (family)), {1, SYSCALL_SOCKET_TYPE, (type)},    \
                   SYSCALL_IS(2, (protocol)))

/* TCP and UDP. For other protocols of the same types, such as MPTCP or SCTP, the kernel may
 * load modules. */
#define SYSCALL_IP_SOCKETS(family)                                                         \
    SYSCALL_SOCKET(family, SOCK_STREAM, 0),                                                \
        SYSCALL_SOCKET(family, SOCK_STREAM, IPPROTO_TCP),                                  \
        SYSCALL_SOCKET(family, SOCK_DGRAM, 0),                                             \
        SYSCALL_SOCKET(family, SOCK_DGRAM, IPPROTO_UDP)

enum syscall_denial {
    SYSCALL_DENIAL_KILLS, /* SIGSYS ends the whole process */
    SYSCALL_DENIAL_FAILS, /* the call fails with ENOSYS */
};

/* False in builds without libseccomp and in sanitizer builds. */
bool syscall_filter_is_built(void);

/* For this thread and those that it starts: call it before there are others, with
 * no_new_privs set. ERR_SYSTEM with errnum ENOSYS if the build or the kernel has no
 * filters. */
bool syscall_filter_install(const struct syscall_rule *rules, size_t count,
                            enum syscall_denial denial, struct err *err);
