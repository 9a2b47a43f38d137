/* SPDX-License-Identifier: MIT */
#include "verifier/link.h"

#include "base/fd.h"

#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* --- what it is ----------------------------------------------------------------------- */

static bool begins_with_any(const char *name, const char *const prefixes[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* "br-" and 12 hexadecimal digits: a network of Docker's. OpenWrt's "br-lan" is another. */
static bool is_of_docker(const char *name)
{
    static const char prefix[] = "br-";
    return strncmp(name, prefix, sizeof prefix - 1) == 0 &&
           strspn(name + sizeof prefix - 1, "0123456789abcdef") == 12;
}

enum link_kind link_kind_of(const char *name, const char *driver, unsigned hardware)
{
    /* Names that programs give their interfaces; drivers and types of the kernel's. */
    static const char *const tunnels[] = {
        "tun",      "tap",     "wg",      "utun",    "l2tp", "tailscale",
        "nordlynx", "nordtun", "proton",  "mullvad", "pvpn", "zt",
        "nebula",   "ipsec",   "vti",     "xfrm",    "gpd",  "CloudflareWARP",
        "gre",      "wt",      "netbird", "amn",     "awg",  "outline",
        "vpn",
    };
    static const char *const containers[] = {"docker", "podman",  "cni",  "virbr",  "lxcbr",
                                             "lxdbr",  "incusbr", "cali", "flannel"};
    static const char *const cellular[] = {"wwan", "wwp", "wws", "wwx", "wwu", "rmnet"};
    static const char *const drivers[] = {"wireguard", "tun", "amneziawg"};
    if (begins_with_any(name, cellular, sizeof cellular / sizeof *cellular))
        return LINK_CELLULAR; /* some have no link layer, as tunnels */
    if (strncmp(name, "ppp", strlen("ppp")) == 0)
        return LINK_DIALED;
    if (begins_with_any(driver, drivers, sizeof drivers / sizeof *drivers) ||
        begins_with_any(name, tunnels, sizeof tunnels / sizeof *tunnels))
        return LINK_TUNNEL;
    if (hardware == ARPHRD_NONE || hardware == ARPHRD_TUNNEL || hardware == ARPHRD_IPGRE)
        return LINK_TUNNEL;
    if (is_of_docker(name) ||
        begins_with_any(name, containers, sizeof containers / sizeof *containers))
        return LINK_CONTAINER;
    return LINK_PLAIN;
}

/* --- where it is ---------------------------------------------------------------------- */

static bool name_find(const struct address *address, char ret_name[IF_NAMESIZE])
{
    struct ifaddrs *all;
    bool is_found = false;
    if (!address || getifaddrs(&all) != 0)
        return false;
    for (const struct ifaddrs *row = all; row && !is_found; row = row->ifa_next) {
        struct address own;
        socklen_t len = row->ifa_addr && row->ifa_addr->sa_family == AF_INET6
                            ? sizeof(struct sockaddr_in6)
                            : sizeof(struct sockaddr_in);
        is_found = row->ifa_addr && address_from_sockaddr(row->ifa_addr, len, &own) &&
                   address_equals(&own, address);
        if (is_found)
            memcpy(ret_name, row->ifa_name, strnlen(row->ifa_name, IF_NAMESIZE - 1) + 1);
    }
    freeifaddrs(all);
    return is_found;
}

struct link link_find(const struct address *address)
{
    struct link link = {.kind = LINK_PLAIN};
    if (!name_find(address, link.name))
        return link;

    struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
    struct ifreq request = {0};
    unsigned hardware = ARPHRD_ETHER;
    AUTO_FD fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(request.ifr_name, link.name, sizeof link.name);
    if (fd >= 0 && ioctl(fd, SIOCGIFHWADDR, &request) == 0)
        hardware = request.ifr_hwaddr.sa_family;
    request.ifr_data = (char *)&info;
    if (fd < 0 || ioctl(fd, SIOCETHTOOL, &request) != 0)
        info.driver[0] = '\0';
    link.kind = link_kind_of(link.name, info.driver, hardware);
    return link;
}
