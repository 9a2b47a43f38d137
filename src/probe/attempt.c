/* SPDX-License-Identifier: MIT */
#include "probe/attempt.h"

#include "base/err.h"
#include "base/fd.h"
#include "net/route.h"

#include <time.h> /* for <linux/errqueue.h>, which uses struct timespec undeclared */

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/icmp.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

/* tcpi_state as the kernel numbers it. <linux/tcp.h> leaves the names to <netinet/tcp.h>,
 * which cannot be included beside it, and whose struct tcp_info may be older. */
enum {
    STATE_SYN_SENT = 2,
    STATE_SYN_RECV = 3,
    STATE_CLOSE = 7,
};

/* States in which a handshake has happened. */
static bool is_connected_state(uint8_t state)
{
    return state != STATE_SYN_SENT && state != STATE_SYN_RECV && state != STATE_CLOSE;
}

#define INFO_REACHES(len, member)                                                          \
    ((len) >= offsetof(struct tcp_info, member) + sizeof((struct tcp_info){0}.member))

/* Kernels fill in as much of the structure as they know: *ret_len bytes, of which
 * everything up to tcpi_total_retrans has always been part. */
static bool info_read(int fd, struct tcp_info *ret, socklen_t *ret_len)
{
    *ret = (struct tcp_info){0};
    *ret_len = sizeof *ret;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, ret, ret_len) == 0 &&
           INFO_REACHES(*ret_len, tcpi_total_retrans) && ret->tcpi_state != 0;
}

static bool attempt_prepare(int fd, int family, bool is_full)
{
    const struct linger reset_on_close = {.l_onoff = 1, .l_linger = 0};
    const int on = 1, off = 0;

    return setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset_on_close, sizeof reset_on_close) ==
               0 &&
           (is_full || setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off) == 0) &&
           (family == AF_INET
                ? setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on) == 0
                : setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on) == 0);
}

/* Two errnos of connect(2) have two meanings each. EADDRNOTAVAIL: all source ports are
 * taken, or there is no source address at all. EHOSTUNREACH: a routing rule says so, or a
 * neighbour was found to be gone just while the SYN was built. */
static enum outcome connect_outcome(const struct address *to, int errnum)
{
    bool has_gateway;
    if (errnum == EADDRNOTAVAIL && !route_has_source(to))
        return OUTCOME_NO_ROUTE;
    if (errnum == EHOSTUNREACH && route_has_gateway(to, &has_gateway, NULL))
        return OUTCOME_LOCAL_FAULT;
    return outcome_of_errno(OUTCOME_FROM_CONNECT, errnum, to->sa.sa_family == AF_INET6);
}

/* Sends the SYN from a port of the range (0 = any). What connect(2) says, 0 included. */
static int connect_from(int fd, const struct address *to, source_range range)
{
    if (range != 0 &&
        setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof range) != 0)
        return errno;
    return connect(fd, &to->sa, to->len) == 0 ? 0 : errno;
}

enum outcome attempt_open(const struct address *to, struct source_ports *sources,
                          struct source_choice *source, bool is_full, int *ret_fd,
                          int *ret_errnum)
{
    AUTO_FD fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || !attempt_prepare(fd, to->sa.sa_family, is_full)) {
        *ret_errnum = errno;
        return outcome_of_errno(OUTCOME_FROM_SOCKET, errno, to->sa.sa_family == AF_INET6);
    }

    source_range range = source_ports_next(sources, source);
    int errnum = connect_from(fd, to, range);
    for (unsigned tries = 1; range != 0 && errnum == EADDRNOTAVAIL; tries++) {
        bool is_last = tries == SOURCE_TRIES_MAX;
        range = is_last ? source_ports_all(sources) : source_ports_other(sources, source);
        errnum = connect_from(fd, to, range);
        if (is_last)
            break;
    }
    enum outcome outcome = errnum == 0 ? OUTCOME_PENDING : connect_outcome(to, errnum);
    if (outcome == OUTCOME_PENDING)
        *ret_fd = fd_take(&fd);
    else
        *ret_errnum = errnum;
    return outcome;
}

/* The last ICMP record of the error queue, which is emptied. */
struct icmp_record {
    bool is_net_prohibited; /* told as EHOSTUNREACH, like the other prohibitions */
    int errnum;
    struct icmp_error icmp; /* is_from_target is not known yet */
    struct address offender;
};

/* Of the three "administratively prohibited" codes, the kernel reports one as ENETUNREACH.
 */
static bool is_net_prohibited(const struct sock_extended_err *error)
{
    return error->ee_origin == SO_EE_ORIGIN_ICMP && error->ee_type == ICMP_DEST_UNREACH &&
           error->ee_code == ICMP_NET_ANO;
}

static void record_take(struct msghdr *message, struct icmp_record *record)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
         part = CMSG_NXTHDR(message, part)) {
        bool is_error =
            (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_RECVERR) ||
            (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_RECVERR);
        if (!is_error)
            continue;

        struct sock_extended_err *error = (void *)CMSG_DATA(part);
        if (error->ee_origin != SO_EE_ORIGIN_ICMP && error->ee_origin != SO_EE_ORIGIN_ICMP6)
            continue;
        record->icmp = (struct icmp_error){
            .is_there = true,
            .is_ipv6 = error->ee_origin == SO_EE_ORIGIN_ICMP6,
            .type = error->ee_type,
            .code = error->ee_code,
        };
        record->is_net_prohibited = is_net_prohibited(error);
        record->errnum = record->is_net_prohibited ? EHOSTUNREACH : (int)error->ee_errno;
        if (!address_from_sockaddr(SO_EE_OFFENDER(error), sizeof(struct sockaddr_in6),
                                   &record->offender))
            record->offender = (struct address){0};
    }
}

static struct icmp_record records_drain(int fd)
{
    struct icmp_record record = {0};
    for (;;) {
        char payload[1];
        union {
            struct cmsghdr align;
            char bytes[512];
        } control;
        struct iovec piece = {.iov_base = payload, .iov_len = sizeof payload};
        struct msghdr message = {
            .msg_iov = &piece,
            .msg_iovlen = 1,
            .msg_control = &control,
            .msg_controllen = sizeof control,
        };
        if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            return record;
        record_take(&message, &record);
    }
}

/* Who reported: the network, or our own kernel about a neighbour that does not answer? */
static enum outcome_source record_source(int fd, const struct address *to,
                                         const struct icmp_record *record)
{
    struct address own;
    if (!address_of_socket(fd, &own) || !address_equals(&own, &record->offender))
        return OUTCOME_FROM_ICMP;

    bool has_gateway;
    if (!route_has_gateway(to, &has_gateway, NULL))
        return OUTCOME_FROM_OWN_GATEWAY;
    return has_gateway ? OUTCOME_FROM_OWN_GATEWAY : OUTCOME_FROM_OWN_ICMP;
}

static void read_error(int fd, const struct address *to, struct attempt_reading *reading)
{
    struct icmp_record record = records_drain(fd);
    int errnum = 0;
    socklen_t len = sizeof errnum;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &len);
    if (errnum == 0 || (record.is_net_prohibited && errnum == ENETUNREACH))
        errnum = record.errnum;

    enum outcome_source source =
        record.icmp.is_there ? record_source(fd, to, &record) : OUTCOME_FROM_SO_ERROR;
    reading->outcome = outcome_of_errno(source, errnum, to->sa.sa_family == AF_INET6);
    reading->errnum = errnum;
    if (source != OUTCOME_FROM_SO_ERROR) {
        reading->icmp = record.icmp;
        reading->icmp.is_from_target = address_equals(to, &record.offender);
    }
    reading->is_final =
        source == OUTCOME_FROM_OWN_ICMP || icmp_is_prohibition(&reading->icmp);
}

/* A handshake with a listener brings in one segment, the SYN-ACK. If the far end is one of
 * our own sockets, this one or another, it has sent its own SYN before: a simultaneous
 * open. */
static bool may_be_our_own(const struct tcp_info *info, socklen_t len)
{
    return !INFO_REACHES(len, tcpi_segs_in) || info->tcpi_segs_in != 1;
}

static void read_ends(int fd, const struct address *to, struct attempt_reading *reading)
{
    struct address own;
    if (!address_of_socket(fd, &own))
        return;
    reading->is_own_host = address_equals(&own, to);
    reading->is_self = reading->is_own_host && address_port(&own) == address_port(to);
}

struct attempt_reading attempt_read(int fd, const struct address *to, bool may_have_error,
                                    struct span age)
{
    struct attempt_reading reading = {.outcome = OUTCOME_PENDING};
    if (may_have_error)
        read_error(fd, to, &reading);

    struct tcp_info info;
    socklen_t len;
    if (!info_read(fd, &info, &len)) {
        reading.outcome = OUTCOME_LOCAL_FAULT;
        reading.errnum = ENOPROTOOPT;
        return reading;
    }
    reading.repeats = info.tcpi_total_retrans;
    reading.is_alive =
        info.tcpi_state == STATE_SYN_SENT || info.tcpi_state == STATE_SYN_RECV;

    /* It may have been answered and reset between the event and now. */
    bool is_over = !reading.is_alive && !is_connected_state(info.tcpi_state);
    if (is_over && !may_have_error)
        read_error(fd, to, &reading);

    if (reading.outcome == OUTCOME_OPEN || is_connected_state(info.tcpi_state)) {
        reading.outcome = OUTCOME_OPEN;
        reading.errnum = 0;
        reading.has_rtt = reading.repeats == 0 && info.tcpi_rtt > 0;
        reading.rtt.ns = (int64_t)info.tcpi_rtt * 1000;
        if (may_be_our_own(&info, len))
            read_ends(fd, to, &reading);
    } else if (reading.outcome == OUTCOME_REFUSED) {
        reading.has_rtt = age.ns < ATTEMPT_SAMPLE_MS * NS_PER_MS;
        reading.rtt = age;
    } else if (reading.outcome == OUTCOME_PENDING && !reading.is_alive) {
        reading.outcome = OUTCOME_EXPIRED;
    }
    return reading;
}

struct attempt_repeats attempt_repeats_read(int fd)
{
    struct tcp_info info;
    socklen_t len;
    if (!info_read(fd, &info, &len))
        return (struct attempt_repeats){0};
    return (struct attempt_repeats){
        .sent = info.tcpi_total_retrans,
        .is_held_back = info.tcpi_state == STATE_SYN_SENT && info.tcpi_retransmits > 0 &&
                        info.tcpi_retrans == 0,
    };
}

/* --- whether the kernel can be used --------------------------------------------------- */

/* What a probe of `to` finds within a second. */
static enum outcome loopback_probe(const struct address *to, int *ret_errnum)
{
    AUTO_FD fd = -1;
    struct source_ports any = {0};
    struct source_choice choice = {0};
    enum outcome outcome = attempt_open(to, &any, &choice, false, &fd, ret_errnum);
    if (outcome != OUTCOME_PENDING)
        return outcome;

    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    if (poll(&wait, 1, 1000) != 1)
        return OUTCOME_EXPIRED;
    struct attempt_reading reading = attempt_read(fd, to, true, (struct span){0});
    *ret_errnum = reading.errnum;
    return reading.outcome;
}

bool attempt_check_kernel(struct err *err)
{
    struct address listens;
    int errnum = 0;
    AUTO_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in any = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) != 0 ||
        listen(fd, 1) != 0 || !address_of_socket(fd, &listens))
        return true; /* no IPv4 loopback here to probe: nothing is known against it */

    switch (loopback_probe(&listens, &errnum)) {
    case OUTCOME_PENDING:
    case OUTCOME_REFUSED:
        return err_set(err, ERR_SYSTEM,
                       "an open port of this machine does not look open: this kernel, or "
                       "the emulator or sandbox in its place, does not report the state "
                       "of a TCP connection (TCP_INFO)");
    case OUTCOME_LOCAL_FAULT:
        if (errnum == ENOPROTOOPT)
            return err_set(err, ERR_SYSTEM,
                           "this kernel, or the emulator or sandbox in its place, does "
                           "not report the state of a TCP connection (TCP_INFO)");
        return true;
    case OUTCOME_OPEN:
    case OUTCOME_UNREACHABLE:
    case OUTCOME_EXPIRED: /* lo may be down, or firewalled */
    case OUTCOME_NO_ROUTE:
        return true;
    }
    return true;
}
