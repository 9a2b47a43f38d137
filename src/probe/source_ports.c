/* SPDX-License-Identifier: MIT */
#include "probe/source_ports.h"

#include "base/fd.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#define RANGE_FILE "/proc/sys/net/ipv4/ip_local_port_range"

static source_range range_of(uint16_t first, uint16_t last)
{
    return (source_range)last << 16 | first;
}

/* The first port from `from` on that belongs to the class. */
static uint16_t class_first(uint16_t from, unsigned class)
{
    return (uint16_t)(from + (class + SOURCE_CLASSES - from % SOURCE_CLASSES) %
                                 SOURCE_CLASSES);
}

struct source_ports source_ports_part(uint16_t first, uint16_t last, unsigned index,
                                      unsigned count, uint64_t random)
{
    if (last < first)
        return (struct source_ports){0};
    unsigned size = ((unsigned)last - first + 1) / count;
    if (size < SOURCE_PART_MIN)
        return (struct source_ports){0};

    struct source_ports ports = {.first = (uint16_t)(first + index * size)};
    ports.last = (uint16_t)(ports.first + size - 1);
    for (unsigned class = 0; class < SOURCE_CLASSES; class ++) {
        unsigned offset = (unsigned)(random >> (16 * class)) % (size - SOURCE_CLASSES);
        ports.next[class] = class_first((uint16_t)(ports.first + offset), class);
    }
    return ports;
}

static bool has_option(void)
{
    AUTO_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    source_range range = range_of(50000, 50000);
    return fd >= 0 &&
           setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof range) == 0;
}

struct source_ports source_ports_of_system(unsigned index, unsigned count, uint64_t random)
{
    char text[32], *end;
    unsigned long len;
    if (!has_option() || !fd_read_file(RANGE_FILE, text, sizeof text - 1, &len, NULL))
        return (struct source_ports){0};
    text[len] = '\0';
    unsigned long first = strtoul(text, &end, 10), last = strtoul(end, NULL, 10);
    if (first == 0 || first > UINT16_MAX || last > UINT16_MAX)
        return (struct source_ports){0};
    return source_ports_part((uint16_t)first, (uint16_t)last, index, count, random);
}

source_range source_ports_next(struct source_ports *ports, unsigned class)
{
    if (ports->first == 0)
        return 0;

    class %= SOURCE_CLASSES;
    uint16_t port = ports->next[class];
    ports->next[class] = port > ports->last - SOURCE_CLASSES
                             ? class_first(ports->first, class)
                             : (uint16_t)(port + SOURCE_CLASSES);
    return range_of(port, port);
}

source_range source_ports_all(const struct source_ports *ports)
{
    return ports->first == 0 ? 0 : range_of(ports->first, ports->last);
}
