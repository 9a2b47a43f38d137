/* SPDX-License-Identifier: MIT
 *
 * A client for one request. It verifies no certificate: that names the service as others
 * see it, and the packets do not leave this machine.
 */
#include "service/health.h"

#include "base/err.h"
#include "base/fd.h"
#include "settings/settings.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define SECONDS 4
#define TRIES   3

static const char request[] = "GET /health HTTP/1.1\r\nHost: localhost\r\n"
                              "Connection: close\r\n\r\n";
static const char success[] = "HTTP/1.1 200 ";

/* Where the service listens, as seen from this machine. */
static struct address place(const struct settings *settings)
{
    struct address address = settings->host;
    if (address.sa.sa_family == AF_INET && address.in.sin_addr.s_addr == INADDR_ANY)
        address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (address.sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&address.in6.sin6_addr))
        address.in6.sin6_addr = in6addr_loopback;
    return address;
}

static bool reach(const struct settings *settings, int *ret_fd, struct err *err)
{
    if (settings->port == 0)
        return err_set(err, ERR_INVALID,
                       "PORT_CHECKER_PORT is 0: --check-health needs the port's number");

    struct address address = place(settings);
    const struct timeval limit = {.tv_sec = SECONDS};
    AUTO_FD fd = socket(address.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(err, errno, "socket");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
        return err_sys(err, errno, "setsockopt");
    if (connect(fd, &address.sa, address.len) != 0)
        return err_sys(err, errno, "cannot connect to the service");

    *ret_fd = fd_take(&fd);
    return true;
}

static bool judge(const char *start, struct err *err)
{
    return memcmp(start, success, strlen(success)) == 0 ||
           err_set(err, ERR_SYSTEM, "the service does not answer /health with status 200");
}

static bool ask_plainly(int fd, struct err *err)
{
    char start[sizeof success - 1];
    if (send(fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request))
        return err_sys(err, errno, "cannot send to the service");
    if (recv(fd, start, sizeof start, MSG_WAITALL) != (ssize_t)sizeof start)
        return err_set(err, ERR_SYSTEM, "the service does not answer");
    return judge(start, err);
}

static bool exchange(gnutls_session_t session, struct err *err)
{
    int result = gnutls_handshake(session);
    if (result < 0)
        return err_set(err, ERR_SYSTEM, "TLS: %s", gnutls_strerror(result));
    if (gnutls_record_send(session, request, strlen(request)) < 0)
        return err_set(err, ERR_SYSTEM, "cannot send to the service");

    char start[16384]; /* a whole record: the head of the reply is in the first */
    ssize_t len = GNUTLS_E_AGAIN;
    /* A session ticket counts as a try that brought nothing. */
    for (int tries = 0; tries < TRIES && len == GNUTLS_E_AGAIN; tries++)
        len = gnutls_record_recv(session, start, sizeof start);
    if (len < 0)
        return err_set(err, ERR_SYSTEM, "TLS: %s", gnutls_strerror((int)len));
    if (len < (ssize_t)strlen(success))
        return err_set(err, ERR_SYSTEM, "the service does not answer");
    return judge(start, err);
}

static bool ask_over_tls(int fd, struct err *err)
{
    gnutls_session_t session = NULL;
    gnutls_certificate_credentials_t nothing = NULL;
    bool is_good = false;
    if (gnutls_certificate_allocate_credentials(&nothing) < 0 ||
        gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL) < 0 ||
        gnutls_set_default_priority(session) < 0 ||
        gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, nothing) < 0) {
        err_set(err, ERR_SYSTEM, "TLS: no memory");
    } else {
        gnutls_transport_set_int(session, fd);
        is_good = exchange(session, err);
    }

    if (session)
        gnutls_deinit(session);
    if (nothing)
        gnutls_certificate_free_credentials(nothing);
    return is_good;
}

bool health_ask(const struct settings *settings, struct err *err)
{
    AUTO_FD fd = -1;
    if (!reach(settings, &fd, err))
        return false;

    return settings->tls_cert[0] ? ask_over_tls(fd, err) : ask_plainly(fd, err);
}
