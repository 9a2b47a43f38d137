/* SPDX-License-Identifier: MIT */
#include "service/sockets.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/libc.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_INHERITED_FD 3 /* fixed by the LISTEN_FDS protocol */

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

static bool own_name(int fd, struct address *ret)
{
    struct sockaddr_in6 name;
    socklen_t len = sizeof name;
    return getsockname(fd, (struct sockaddr *)&name, &len) == 0 &&
           address_from_sockaddr((struct sockaddr *)&name, len, ret);
}

/* Binds without SO_REUSEPORT to see that the address is free, and learns the port. */
static bool address_claim(struct address *address, struct err *err)
{
    AUTO_FD fd = -1;
    if (!socket_bind(address, false, &fd, err))
        return false;
    if (!own_name(fd, address))
        return fail(err, address);
    return true;
}

static bool sockets_add(struct sockets *sockets, struct err *err)
{
    AUTO_FD fd = -1;
    if (!socket_bind(&sockets->bound, true, &fd, err))
        return false;
    if (listen(fd, SOMAXCONN) != 0)
        return fail(err, &sockets->bound);

    sockets->fds[sockets->count++] = fd_take(&fd);
    return true;
}

/* Duplicates the descriptor of a socket, so that two workers accept from it. */
static bool sockets_share(struct sockets *sockets, struct err *err)
{
    int fd = fcntl(sockets->fds[0], F_DUPFD_CLOEXEC, FIRST_INHERITED_FD);
    if (fd < 0)
        return fail(err, &sockets->bound);

    sockets->fds[sockets->count++] = fd;
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

static bool is_listening(int fd)
{
    int is_on = 0;
    socklen_t len = sizeof is_on;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_on, &len) == 0 && is_on;
}

static bool is_fitting(int fd, const struct address *wanted, struct address *ret_name)
{
    return is_listening(fd) && own_name(fd, ret_name) && address_equals(ret_name, wanted) &&
           (address_port(wanted) == 0 || address_port(wanted) == address_port(ret_name));
}

/* After a change of the settings this is expected. If the socket comes from a service
 * manager, the address is in use by now, and this line says by which socket. */
static void tell_misfit(const struct address *wanted)
{
    char ip[ADDRESS_TEXT_SIZE];
    log_message(LOG_LEVEL_INFO, "listener",
                "an inherited socket does not listen on %s port %u "
                "(PORT_CHECKER_HOST, PORT_CHECKER_PORT) and is not used",
                address_format(wanted, ip), address_port(wanted));
}

static void sockets_inherit(struct sockets *sockets, const struct address *wanted)
{
    size_t count = inherited_count();
    bool is_told = false;
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");

    for (size_t i = 0; i < count; i++) {
        int fd = FIRST_INHERITED_FD + (int)i;
        struct address name;
        if (!is_fitting(fd, sockets->count > 0 ? &sockets->bound : wanted, &name)) {
            close(fd);
            if (!is_told)
                tell_misfit(wanted);
            is_told = true;
            continue;
        }
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        sockets->bound = name;
        sockets->fds[sockets->count++] = fd;
    }
}

bool sockets_open(const struct address *address, size_t wanted, struct sockets *ret,
                  struct err *err)
{
    struct sockets sockets = {.bound = *address};
    if (wanted > SOCKETS_MAX)
        wanted = SOCKETS_MAX;

    sockets_inherit(&sockets, address);
    bool is_inherited = sockets.count > 0;
    if (!is_inherited && !address_claim(&sockets.bound, err))
        return false;
    while (sockets.count < wanted)
        if (!sockets_add(&sockets, err) &&
            !(is_inherited && sockets_share(&sockets, err))) {
            sockets_done(&sockets);
            return false;
        }
    *ret = sockets;
    return true;
}

static bool is_wildcard(const struct address *address)
{
    size_t len;
    const uint8_t *bytes = address_bytes(address, &len);
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* Whether a connection to `part` also reaches `whole`. :: takes IPv4, too. */
static bool is_within(const struct address *part, const struct address *whole)
{
    bool takes_both = whole->sa.sa_family == AF_INET6;
    return is_wildcard(whole) && (takes_both || part->sa.sa_family == AF_INET);
}

/* Whether the socket bound to `own` prevents binding `wanted`. */
static bool is_in_the_way(const struct address *own, const struct address *wanted)
{
    struct address a = address_unmap(own);
    struct address b = address_unmap(wanted);
    return address_port(&a) == address_port(&b) &&
           (address_equals(&a, &b) || is_within(&a, &b) || is_within(&b, &a));
}

bool sockets_try(const struct address *address, int own, struct err *err)
{
    struct address name;
    if (!is_listening(own) || is_fitting(own, address, &name))
        return true;

    bool is_beside = own_name(own, &name) && is_in_the_way(&name, address);
    AUTO_FD fd = -1;
    return socket_bind(address, is_beside, &fd, err);
}

void sockets_done(struct sockets *sockets)
{
    for (size_t i = 0; i < sockets->count; i++)
        fd_close(&sockets->fds[i]);
    sockets->count = 0;
}

bool sockets_hand_over(struct sockets *sockets, struct err *err)
{
    for (size_t i = 0; i < sockets->count; i++) {
        int parked = fcntl(sockets->fds[i], F_DUPFD_CLOEXEC,
                           FIRST_INHERITED_FD + (int)sockets->count);
        if (parked < 0)
            return err_sys(err, errno, "passing on a listening socket");
        fd_close(&sockets->fds[i]);
        sockets->fds[i] = parked;
    }
    for (size_t i = 0; i < sockets->count; i++)
        if (dup2(sockets->fds[i], FIRST_INHERITED_FD + (int)i) < 0)
            return err_sys(err, errno, "passing on a listening socket");

    char pid[24], count[24];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    snprintf(count, sizeof count, "%zu", sockets->count);
    setenv("LISTEN_PID", pid, true);
    setenv("LISTEN_FDS", count, true);
    return true;
}
