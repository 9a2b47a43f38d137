/* SPDX-License-Identifier: MIT */
#include "upnp/neighbourhood.h"

#include "base/err.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define URL_MAX 128 /* the library's MINIUPNPC_URL_MAXSIZE */

/* Written once, before anything is asked. */
static struct {
    bool is_known;
    unsigned interface; /* its index */
    struct address local;
    unsigned prefix; /* bits of the link's addresses */
    bool has_gateway;
    struct address gateway;
} here;

static unsigned prefix_of(const struct ifaddrs *entry)
{
    struct address mask;
    size_t size;
    unsigned prefix = 0;
    if (!entry->ifa_netmask ||
        !address_from_sockaddr(entry->ifa_netmask, sizeof(struct sockaddr_in6), &mask))
        return entry->ifa_addr->sa_family == AF_INET ? 32 : 128;
    const uint8_t *bytes = address_bytes(&mask, &size);
    for (size_t i = 0; i < size; i++)
        prefix += (unsigned)__builtin_popcount(bytes[i]);
    return prefix;
}

bool neighbourhood_init(const struct request *request, struct err *err)
{
    struct ifaddrs *all;
    struct address address;
    if (getifaddrs(&all) != 0)
        return err_sys(err, errno, "getifaddrs");

    for (const struct ifaddrs *entry = all; entry && !here.is_known;
         entry = entry->ifa_next) {
        if (!entry->ifa_addr ||
            !address_from_sockaddr(entry->ifa_addr, sizeof(struct sockaddr_in6),
                                   &address) ||
            !address_equals(&address, &request->local))
            continue;
        here.interface = if_nametoindex(entry->ifa_name);
        here.local = address; /* with its zone */
        here.prefix = prefix_of(entry);
        here.is_known = true;
    }
    freeifaddrs(all);
    here.has_gateway = request->has_gateway;
    here.gateway = request->gateway;
    return here.is_known || err_sys(err, EADDRNOTAVAIL, "the local address");
}

unsigned neighbourhood_interface(void)
{
    return here.interface;
}

static bool is_link_local(const struct address *address)
{
    return address->sa.sa_family == AF_INET6 &&
           IN6_IS_ADDR_LINKLOCAL(&address->in6.sin6_addr);
}

/* With a gateway only that, unless its address is link-local: then any address of the link,
 * because the router may use its global one. */
static bool is_allowed(const struct address *address)
{
    size_t size;
    if (!here.is_known || address->sa.sa_family != here.local.sa.sa_family)
        return false;
    if (here.has_gateway && !is_link_local(&here.gateway))
        return address_equals(address, &here.gateway);
    return is_link_local(address) ||
           address_has_prefix(address, address->sa.sa_family,
                              address_bytes(&here.local, &size), here.prefix);
}

static bool is_url_text(const char *url)
{
    size_t len = strnlen(url, URL_MAX);
    for (size_t i = 0; i < len; i++)
        if (url[i] <= ' ' || url[i] > '~' || strchr("\"\\<>`", url[i]))
            return false;
    return len < URL_MAX;
}

/* The host of "http://HOST...", a literal address; false for anything else. */
static bool host_read(const char *url, struct address *ret)
{
    static const char scheme[] = "http://";
    if (!is_url_text(url) || strncmp(url, scheme, sizeof scheme - 1) != 0)
        return false;

    const char *host = url + sizeof scheme - 1;
    bool is_bracketed = *host == '[';
    host += is_bracketed;
    size_t len = strcspn(host, is_bracketed ? "%]/" : ":/"); /* a zone is not looked at */
    return address_parse(host, len, ret, NULL);
}

bool neighbourhood_has_url(const char *url)
{
    struct address host;
    return host_read(url, &host) && is_allowed(&host);
}

static bool is_gateway(const struct address *address)
{
    return here.has_gateway && address_equals(address, &here.gateway);
}

bool neighbourhood_is_told_by(const struct address *from, const char *url)
{
    struct address host;
    return host_read(url, &host) && is_allowed(&host) && is_allowed(from) &&
           (address_equals(&host, from) || is_gateway(&host) || is_gateway(from));
}

/* --- in the place of the C library's -------------------------------------------------- */

/* By this name, because headers declare connect() in different ways. */
int neighbourhood_connect(int fd, const struct sockaddr *to,
                          socklen_t len) __asm__("connect");

int neighbourhood_connect(int fd, const struct sockaddr *to, socklen_t len)
{
    struct address address;
    if (!address_from_sockaddr(to, len, &address) || !is_allowed(&address)) {
        errno = EACCES;
        return -1;
    }
    int failure = bind(fd, &here.local.sa, here.local.len);
    (void)failure; /* the kernel chooses a source then */
    return (int)syscall(SYS_connect, fd, to, len);
}
