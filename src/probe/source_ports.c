/* SPDX-License-Identifier: MIT */
#include "probe/source_ports.h"

#include "base/fd.h"
#include "base/text.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define RANGE_FILE "/proc/sys/net/ipv4/ip_local_port_range"

static source_range range_of(uint16_t first, uint16_t last)
{
    return (source_range)last << 16 | first;
}

struct source_ports source_ports_part(uint16_t first, uint16_t last, unsigned index,
                                      unsigned count, uint64_t random)
{
    if (last < first)
        return (struct source_ports){0};
    unsigned groups = ((unsigned)last - first + 1) / SOURCE_GROUP / count;
    unsigned from = (first + SOURCE_GROUP - 1U) / SOURCE_GROUP + index * groups;
    if (groups > 0 && (from + groups) * SOURCE_GROUP > last + 1U)
        groups--; /* the alignment cost one */
    if (groups * SOURCE_GROUP < SOURCE_PART_MIN)
        return (struct source_ports){0};

    return (struct source_ports){
        .first = (uint16_t)(from * SOURCE_GROUP),
        .last = (uint16_t)((from + groups) * SOURCE_GROUP - 1),
        .next = (uint16_t)((from + random % groups) * SOURCE_GROUP),
    };
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

static size_t digits_at(const char *text, size_t len)
{
    size_t i = 0;
    while (i < len && text[i] >= '0' && text[i] <= '9')
        i++;
    return i;
}

struct source_ports source_ports_of_system(unsigned index, unsigned count, uint64_t random)
{
    char text[32];
    size_t len;
    uint64_t first, last;
    if (!has_option() || !fd_read_file(RANGE_FILE, text, sizeof text, &len, NULL))
        return (struct source_ports){0};
    size_t first_len = digits_at(text, len), last_at = first_len;
    while (last_at < len && (text[last_at] == ' ' || text[last_at] == '\t'))
        last_at++;
    if (!text_parse_u64(text, first_len, UINT16_MAX, &first) ||
        !text_parse_u64(text + last_at, digits_at(text + last_at, len - last_at),
                        UINT16_MAX, &last))
        return (struct source_ports){0};
    return source_ports_part((uint16_t)first, (uint16_t)last, index, count, random);
}

struct source_choice source_choice_make(uint64_t random)
{
    return (struct source_choice){.place = (uint8_t)random};
}

static uint16_t take_group(struct source_ports *ports)
{
    uint16_t group = ports->next;
    ports->next = group > ports->last - SOURCE_GROUP ? ports->first
                                                     : (uint16_t)(group + SOURCE_GROUP);
    return group;
}

source_range source_ports_next(struct source_ports *ports, struct source_choice *choice)
{
    if (ports->first == 0)
        return 0;
    if (choice->used++ % SOURCE_GROUP == 0)
        choice->group = take_group(ports);
    uint16_t port = (uint16_t)(choice->group + choice->place++ % SOURCE_GROUP);
    return range_of(port, port);
}

source_range source_ports_other(struct source_ports *ports, struct source_choice *choice)
{
    choice->group = take_group(ports);
    uint16_t port = (uint16_t)(choice->group + (choice->place - 1U) % SOURCE_GROUP);
    return range_of(port, port);
}

source_range source_ports_all(const struct source_ports *ports)
{
    return ports->first == 0 ? 0 : range_of(ports->first, ports->last);
}
