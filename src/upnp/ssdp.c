/* SPDX-License-Identifier: MIT */
#include "upnp/ssdp.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define PORT         1900
#define HOPS         2
#define ANSWER_MAX   2048
#define REQUEST_SIZE 256

/* --- an answer ------------------------------------------------------------------------ */

/* Without the end of the line, which is LF or CR LF. */
static size_t line_length(const char *line, size_t len)
{
    const char *end = memchr(line, '\n', len);
    len = end ? (size_t)(end - line) : len;
    return len > 0 && line[len - 1] == '\r' ? len - 1 : len;
}

static bool value_copy(const char *value, size_t len, char ret_url[SSDP_URL_SIZE])
{
    while (len > 0 && (*value == ' ' || *value == '\t')) {
        value++;
        len--;
    }
    while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
        len--;
    if (len == 0 || len >= SSDP_URL_SIZE || memchr(value, '\0', len))
        return false;
    memcpy(ret_url, value, len);
    ret_url[len] = '\0';
    return true;
}

bool ssdp_location(const char *bytes, size_t len, char ret_url[SSDP_URL_SIZE])
{
    static const char status[] = "HTTP/1.1 200";
    static const char name[] = "location:";
    const size_t name_len = sizeof name - 1;
    if (len < sizeof status - 1 || memcmp(bytes, status, sizeof status - 1) != 0)
        return false;

    const char *end = bytes + len;
    for (const char *line = bytes; line && line < end;) {
        size_t length = line_length(line, (size_t)(end - line));
        if (length >= name_len && text_equals_nocase(line, name_len, name))
            return value_copy(line + name_len, length - name_len, ret_url);
        line = memchr(line, '\n', (size_t)(end - line));
        line = line ? line + 1 : NULL;
    }
    return false;
}

/* --- the search ----------------------------------------------------------------------- */

static struct address all_devices(int family, unsigned interface)
{
    struct address address = {.len = sizeof address.in,
                              .in = {.sin_family = AF_INET,
                                     .sin_port = htons(PORT),
                                     .sin_addr.s_addr = htonl(0xeffffffa)}};
    if (family == AF_INET)
        return address;
    address = (struct address){.len = sizeof address.in6,
                               .in6 = {.sin6_family = AF_INET6,
                                       .sin6_port = htons(PORT),
                                       .sin6_scope_id = interface}};
    inet_pton(AF_INET6, "ff02::c", &address.in6.sin6_addr);
    return address;
}

static int socket_open(const struct address *local, unsigned interface)
{
    const int hops = HOPS;
    AUTO_FD fd = socket(local->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int failure =
        local->sa.sa_family == AF_INET
            ? setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &local->in.sin_addr,
                         sizeof local->in.sin_addr) |
                  setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &hops, sizeof hops)
            : setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &interface,
                         sizeof interface) |
                  setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops);
    return failure || bind(fd, &local->sa, local->len) != 0 ? -1 : fd_take(&fd);
}

/* What cannot be sent is not answered. */
static void search_send(int fd, const struct address *to)
{
    static const char *const types[] = {
        "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
        "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char request[REQUEST_SIZE];
        int len = snprintf(request, sizeof request,
                           "M-SEARCH * HTTP/1.1\r\nHOST: %s:%d\r\nST: %s\r\n"
                           "MAN: \"ssdp:discover\"\r\nMX: 1\r\n\r\n",
                           to->sa.sa_family == AF_INET ? "239.255.255.250" : "[FF02::C]",
                           PORT, types[i]);
        sendto(fd, request, (size_t)len, 0, &to->sa, to->len);
    }
}

static bool answers_read(int fd, struct instant until, ssdp_found_fn *found, void *ctx)
{
    for (;;) {
        char bytes[ANSWER_MAX];
        char url[SSDP_URL_SIZE];
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        int64_t rest_ms = instant_since(until, clock_now()).ns / NS_PER_MS;
        if (rest_ms <= 0)
            return false;
        if (poll(&waiting, 1, (int)rest_ms) <= 0)
            continue;
        struct sockaddr_in6 name;
        struct address from;
        socklen_t name_len = sizeof name;
        ssize_t got = recvfrom(fd, bytes, sizeof bytes, MSG_DONTWAIT,
                               (struct sockaddr *)&name, &name_len);
        if (got > 0 && address_from_sockaddr((struct sockaddr *)&name, name_len, &from) &&
            ssdp_location(bytes, (size_t)got, url) && found(ctx, &from, url))
            return true;
    }
}

/* Most devices answer at once, though they may take a second; datagrams can be lost. */
void ssdp_search(const struct address *local, unsigned interface,
                 const struct address *gateway, ssdp_found_fn *found, void *ctx)
{
    static const int sends_ms[] = {0, 300, 900, SSDP_SEARCH_MS};
    const struct address all = all_devices(local->sa.sa_family, interface);
    struct address alone = gateway ? *gateway : all;
    struct instant begin = clock_now();
    AUTO_FD fd = socket_open(local, interface);
    address_set_port(&alone, PORT);
    if (alone.sa.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&alone.in6.sin6_addr))
        alone.in6.sin6_scope_id = interface;
    for (size_t i = 0; fd >= 0 && i + 1 < sizeof sends_ms / sizeof *sends_ms; i++) {
        search_send(fd, &all);
        if (gateway)
            search_send(fd, &alone);
        if (answers_read(fd, instant_add(begin, span_ms(sends_ms[i + 1])), found, ctx))
            return;
    }
}
