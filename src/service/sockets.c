/* SPDX-License-Identifier: MIT */
#include "service/sockets.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/libc.h"
#include "base/log.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_INHERITED_FD 3           /* fixed by the LISTEN_FDS protocol */
#define RECEIVE_BYTES      (16 * 1024) /* doubled by the kernel, for its own overhead */

/* Not a setting: set from the moment that a service manager has passed the sockets. */
#define PASSED_NAME        "CHECKER_SOCKETS"
#define PASSED_VALUE       "passed"

/* What the operator can do about the error. */
static const char *remedy(int errnum)
{
    switch (errnum) {
    case EADDRINUSE:
        return ": end the program that holds the port (ss -ltnp shows it) or set another "
               "PORT_CHECKER_PORT";
    case EADDRNOTAVAIL:
        return ": set PORT_CHECKER_HOST to an address of this machine (ip address shows "
               "them), or to 0.0.0.0";
    case EACCES:
        return ": set a PORT_CHECKER_PORT of 1024 or more, or give the service "
               "CAP_NET_BIND_SERVICE";
    default:
        return "";
    }
}

static bool fail(struct err *err, const struct address *address)
{
    int errnum = errno;
    char ip[ADDRESS_TEXT_SIZE];
    err_set(err, ERR_SYSTEM,
            "cannot listen on %s port %u (PORT_CHECKER_HOST, PORT_CHECKER_PORT): %s%s",
            address_format(address, ip), address_port(address), libc_error_text(errnum),
            remedy(errnum));
    if (err)
        err->errnum = errnum;
    return false;
}

static bool socket_bind(const struct address *address, bool is_shared, int *ret_fd,
                        struct err *err)
{
    const int on = 1, off = 0;
    AUTO_FD fd =
        socket(address->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(err, address);

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (is_shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
        (address->sa.sa_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0))
        return fail(err, address);

    if (bind(fd, &address->sa, address->len) != 0)
        return fail(err, address);

    *ret_fd = fd_take(&fd);
    return true;
}

/* Binds to see that the address is free, and learns the port: without SO_REUSEPORT, unless
 * a socket of our own is in the way. */
static bool address_claim(struct address *address, bool is_beside, struct err *err)
{
    AUTO_FD fd = -1;
    if (!socket_bind(address, is_beside, &fd, err))
        return false;
    if (!address_of_socket(fd, address))
        return fail(err, address);
    return true;
}

static bool sockets_add(struct sockets *sockets, struct err *err)
{
    AUTO_FD fd = -1;
    if (!socket_bind(&sockets->bound, true, &fd, err))
        return false;
    sockets->fds[sockets->count++] = fd_take(&fd);
    return true;
}

static bool sockets_add_copy(struct sockets *sockets, int fd, struct err *err)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_INHERITED_FD);
    if (copy < 0)
        return fail(err, &sockets->bound);

    sockets->fds[sockets->count++] = copy;
    return true;
}

/* --- across execve(2) ----------------------------------------------------------------- */

static size_t inherited_count(void)
{
    const char *pid = getenv("LISTEN_PID");
    const char *fds = getenv("LISTEN_FDS");
    uint64_t pid_value, count = 0;
    if (!pid || !fds || !text_parse_u64(pid, strlen(pid), INT32_MAX, &pid_value) ||
        pid_value != (uint64_t)getpid() ||
        !text_parse_u64(fds, strlen(fds), SOCKETS_MAX, &count))
        return 0;
    return count;
}

/* Whether the inherited sockets come from a service manager: across a re-execution, and in
 * the check before it. */
static bool are_passed(void)
{
    const char *value = getenv(PASSED_NAME);
    return value && strcmp(value, PASSED_VALUE) == 0;
}

static bool has_option(int fd, int option, int value)
{
    int got = -1;
    socklen_t len = sizeof got;
    return getsockopt(fd, SOL_SOCKET, option, &got, &len) == 0 && got == value;
}

static bool is_listening(int fd)
{
    return has_option(fd, SO_ACCEPTCONN, 1) && has_option(fd, SO_PROTOCOL, IPPROTO_TCP);
}

static bool is_fitting(int fd, const struct address *wanted, struct address *ret_name)
{
    return is_listening(fd) && address_of_socket(fd, ret_name) &&
           address_equals(ret_name, wanted) &&
           (address_port(wanted) == 0 || address_port(wanted) == address_port(ret_name));
}

/* Whether a connection to `part` also reaches `whole`. :: takes IPv4, too. */
static bool is_within(const struct address *part, const struct address *whole)
{
    bool takes_both = whole->sa.sa_family == AF_INET6;
    return address_is_any(whole) && (takes_both || part->sa.sa_family == AF_INET);
}

/* Whether the socket bound to `own` prevents binding `wanted`. */
static bool is_in_the_way(const struct address *own, const struct address *wanted)
{
    struct address a = address_unmap(own);
    struct address b = address_unmap(wanted);
    return address_port(&a) == address_port(&b) &&
           (address_equals(&a, &b) || is_within(&a, &b) || is_within(&b, &a));
}

/* Whether a socket bound to `own` takes all connections to `wanted`. */
static bool is_covered(const struct address *wanted, const struct address *own)
{
    struct address a = address_unmap(wanted);
    struct address b = address_unmap(own);
    return (address_port(&a) == 0 || address_port(&a) == address_port(&b)) &&
           (address_equals(&a, &b) || is_within(&a, &b));
}

static void tell_unexpected(const struct address *wanted, const struct address *passed)
{
    char wanted_ip[ADDRESS_TEXT_SIZE], passed_ip[ADDRESS_TEXT_SIZE];
    log_message(LOG_LEVEL_WARNING, "listener",
                "the service manager passed a socket that listens on %s port %u; %s port "
                "%u (PORT_CHECKER_HOST, PORT_CHECKER_PORT) is not used",
                address_format(passed, passed_ip), address_port(passed),
                address_format(wanted, wanted_ip), address_port(wanted));
}

void sockets_inherit(bool is_successor, struct sockets *ret)
{
    size_t count = inherited_count();
    *ret = (struct sockets){.is_passed = count > 0 && (!is_successor || are_passed())};
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (ret->is_passed)
        setenv(PASSED_NAME, PASSED_VALUE, true);
    else
        unsetenv(PASSED_NAME);

    for (size_t i = 0; i < count; i++) {
        int fd = FIRST_INHERITED_FD + (int)i;
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        if (is_listening(fd))
            fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        ret->fds[ret->count++] = fd;
    }
    ret->distinct = count;
}

void sockets_inherit_input(struct sockets *ret)
{
    int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, FIRST_INHERITED_FD);
    *ret = (struct sockets){.fds = {fd}, .count = fd >= 0, .distinct = fd >= 0};
    ret->is_passed = ret->count > 0 && are_passed();
}

/* From a service manager: all of them, and each as often as it takes for every worker to
 * have one. */
static bool sockets_take(const struct sockets *passed, const struct address *wanted,
                         size_t count, struct sockets *sockets, struct err *err)
{
    bool is_expected = false;
    assert(passed->count > 0);
    for (size_t i = 0; i < passed->count; i++) {
        struct address name;
        if (!is_listening(passed->fds[i]) || !address_of_socket(passed->fds[i], &name))
            return err_set(err, ERR_INVALID,
                           "LISTEN_FDS: descriptor %d, which the service manager has "
                           "passed, is not a listening TCP socket; a .socket unit needs "
                           "ListenStream= with a port, and Accept=no",
                           passed->fds[i]);
        is_expected |= is_covered(wanted, &name);
        if (i == 0)
            sockets->bound = name;
    }
    if (!is_expected)
        tell_unexpected(wanted, &sockets->bound);

    sockets->is_passed = true;
    sockets->distinct = passed->count;
    while (sockets->count < passed->count || sockets->count < count)
        if (!sockets_add_copy(sockets, passed->fds[sockets->count % passed->count], err))
            return false;
    return true;
}

/* From the predecessor: those that listen on `wanted`. Returns false without descriptors.
 * `*ret_is_beside` if one of the others, which the predecessor still holds, prevents
 * binding `wanted`. */
static bool sockets_select(const struct sockets *inherited, const struct address *wanted,
                           struct sockets *sockets, bool *ret_is_beside, struct err *err)
{
    bool is_beside = false;
    for (size_t i = 0; i < inherited->count; i++) {
        int fd = inherited->fds[i];
        struct address name;
        if (!is_fitting(fd, sockets->count > 0 ? &sockets->bound : wanted, &name)) {
            is_beside |= address_of_socket(fd, &name) && is_in_the_way(&name, wanted);
            continue;
        }
        if (!sockets_add_copy(sockets, fd, err))
            return false;
        sockets->bound = name;
    }
    *ret_is_beside = is_beside;
    return true;
}

static bool sockets_make(const struct address *address, size_t wanted,
                         const struct sockets *inherited, struct sockets *sockets,
                         struct err *err)
{
    bool is_beside;
    if (inherited->is_passed)
        return sockets_take(inherited, address, wanted, sockets, err);
    if (!sockets_select(inherited, address, sockets, &is_beside, err) ||
        (sockets->count == 0 && !address_claim(&sockets->bound, is_beside, err)))
        return false;
    while (sockets->count < wanted)
        if (!sockets_add(sockets, err))
            return false;
    sockets->distinct = sockets->count;
    return true;
}

/* Accepted sockets inherit it. While a check runs, nothing is read from its connection, and
 * what a client sends meanwhile fills the kernel's memory: 128 KiB and more otherwise. */
static void receive_bytes_limit(const struct sockets *sockets)
{
    const int bytes = RECEIVE_BYTES;
    for (size_t i = 0; i < sockets->count; i++)
        setsockopt(sockets->fds[i], SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

bool sockets_open(const struct address *address, size_t wanted,
                  const struct sockets *inherited, struct sockets *ret, struct err *err)
{
    struct sockets sockets = {.bound = *address};
    if (!sockets_make(address, wanted < SOCKETS_MAX ? wanted : SOCKETS_MAX, inherited,
                      &sockets, err)) {
        sockets_done(&sockets);
        return false;
    }
    receive_bytes_limit(&sockets);
    *ret = sockets;
    return true;
}

bool sockets_listen(const struct sockets *sockets, struct err *err)
{
    for (size_t i = 0; i < sockets->count && !sockets->is_passed; i++)
        if (listen(sockets->fds[i], SOMAXCONN) != 0)
            return fail(err, &sockets->bound);
    return true;
}

bool sockets_try(const struct address *address, int own, struct err *err)
{
    struct address name;
    if (!is_listening(own) || are_passed() || is_fitting(own, address, &name))
        return true;

    bool is_beside = address_of_socket(own, &name) && is_in_the_way(&name, address);
    AUTO_FD fd = -1;
    return socket_bind(address, is_beside, &fd, err);
}

void sockets_close_part(struct sockets *sockets, size_t first, size_t step)
{
    for (size_t i = first; i < sockets->count; i += step)
        fd_close(&sockets->fds[i]);
}

void sockets_done(struct sockets *sockets)
{
    sockets_close_part(sockets, 0, 1);
    sockets->count = sockets->distinct = 0;
}

/* Opens `fd` as `target`, and keeps what is there. */
static bool displace(struct sockets *sockets, int fd, int target)
{
    int kept = fcntl(target, F_DUPFD_CLOEXEC, FIRST_INHERITED_FD + (int)sockets->distinct);
    if (kept < 0 && errno != EBADF)
        return false;
    sockets->displaced[sockets->displaced_count++] = kept;
    return dup2(fd, target) >= 0;
}

bool sockets_leave(struct sockets *sockets, struct err *err)
{
    const size_t count = sockets->distinct;
    for (size_t i = 0; i < sockets->count; i++) {
        int parked =
            fcntl(sockets->fds[i], F_DUPFD_CLOEXEC, FIRST_INHERITED_FD + (int)count);
        if (parked < 0)
            return err_sys(err, errno, "passing on a listening socket");
        fd_close(&sockets->fds[i]);
        sockets->fds[i] = parked;
    }
    for (size_t i = 0; i < count; i++)
        if (!displace(sockets, sockets->fds[i], FIRST_INHERITED_FD + (int)i))
            return err_sys(err, errno, "passing on a listening socket");

    char pid[24], count_text[24];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    snprintf(count_text, sizeof count_text, "%zu", count);
    setenv("LISTEN_PID", pid, true);
    setenv("LISTEN_FDS", count_text, true);
    return true;
}

void sockets_take_back(struct sockets *sockets)
{
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    for (size_t i = 0; i < sockets->displaced_count; i++) {
        int target = FIRST_INHERITED_FD + (int)i;
        if (sockets->displaced[i] < 0)
            close(target);
        else
            dup3(sockets->displaced[i], target, O_CLOEXEC);
        fd_close(&sockets->displaced[i]);
    }
    sockets->displaced_count = 0;
}
