/* SPDX-License-Identifier: MIT */
#include "packet.h"

#include <netinet/in.h>
#include <string.h>

#define IPV4_LEN   20
#define IPV6_LEN   40
#define TCP_LEN    20
#define ICMP_LEN   8
#define MSS_OPTION 4
#define QUOTED_MAX 128 /* bytes of the packet that an ICMP error is about */
#define HOPS       64

static uint16_t read16(const unsigned char *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static uint32_t read32(const unsigned char *bytes)
{
    return (uint32_t)read16(bytes) << 16 | read16(bytes + 2);
}

static void write16(unsigned char *bytes, size_t number)
{
    bytes[0] = (unsigned char)(number >> 8);
    bytes[1] = (unsigned char)number;
}

static void write32(unsigned char *bytes, uint32_t number)
{
    write16(bytes, number >> 16);
    write16(bytes + 2, number & 0xffff);
}

static size_t address_len(int version)
{
    return version == 4 ? 4 : 16;
}

static size_t ip_len(int version)
{
    return version == 4 ? IPV4_LEN : IPV6_LEN;
}

/* Where the source address stands; the destination's follows it. */
static size_t source_at(int version)
{
    return version == 4 ? 12 : 8;
}

static uint32_t sum_of(const unsigned char *bytes, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < len; i += 2)
        sum += read16(bytes + i);
    return len % 2 ? sum + (uint32_t)(bytes[len - 1] << 8) : sum;
}

static uint16_t checksum(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* Of what follows the IP header, whose addresses count as well. */
static uint16_t transport_checksum(const unsigned char *bytes, int version, size_t len,
                                   uint8_t protocol)
{
    size_t header = ip_len(version);
    uint32_t sum = sum_of(bytes + source_at(version), 2 * address_len(version));

    return checksum(sum + protocol + (uint32_t)(len - header) +
                    sum_of(bytes + header, len - header));
}

/* The checksum of an IPv4 header is in it. */
static void write_ip(unsigned char *bytes, int version, const unsigned char *source,
                     const unsigned char *destination, uint8_t protocol, size_t len)
{
    memset(bytes, 0, ip_len(version));
    memcpy(bytes + source_at(version), source, address_len(version));
    memcpy(bytes + source_at(version) + address_len(version), destination,
           address_len(version));
    if (version == 4) {
        bytes[0] = 0x45;
        write16(bytes + 2, len);
        bytes[8] = HOPS;
        bytes[9] = protocol;
        write16(bytes + 10, checksum(sum_of(bytes, IPV4_LEN)));
    } else {
        bytes[0] = 0x60;
        write16(bytes + 4, len - IPV6_LEN);
        bytes[6] = protocol;
        bytes[7] = HOPS;
    }
}

bool segment_parse(const unsigned char *bytes, size_t len, struct segment *ret)
{
    int version = len > 0 ? bytes[0] >> 4 : 0;

    if ((version != 4 && version != 6) || len < ip_len(version) + TCP_LEN)
        return false;
    if (version == 4 ? bytes[0] != 0x45 || bytes[9] != IPPROTO_TCP
                     : bytes[6] != IPPROTO_TCP)
        return false;
    const unsigned char *tcp = bytes + ip_len(version);
    size_t head = ip_len(version) + (size_t)(tcp[12] >> 4) * 4;
    if (len < head)
        return false;

    *ret = (struct segment){
        .version = version,
        .source_port = read16(tcp),
        .destination_port = read16(tcp + 2),
        .seq = read32(tcp + 4),
        .ack = read32(tcp + 8),
        .flags = tcp[13],
        .data_len = (uint32_t)(len - head),
    };
    memcpy(ret->source, bytes + source_at(version), address_len(version));
    memcpy(ret->destination, bytes + source_at(version) + address_len(version),
           address_len(version));
    return true;
}

struct segment segment_answer(const struct segment *received, uint8_t flags, uint32_t seq)
{
    struct segment answer = {
        .version = received->version,
        .source_port = received->destination_port,
        .destination_port = received->source_port,
        .seq = seq,
        .ack = received->seq + received->data_len,
        .flags = flags,
    };

    memcpy(answer.source, received->destination, ADDRESS_MAX);
    memcpy(answer.destination, received->source, ADDRESS_MAX);
    answer.ack += (received->flags & TCP_SYN) != 0;
    answer.ack += (received->flags & TCP_FIN) != 0;
    if (flags & TCP_RST) {
        bool has_ack = received->flags & TCP_ACK;
        answer.seq = has_ack ? received->ack : 0;
        answer.flags = has_ack ? TCP_RST : TCP_RST | TCP_ACK;
    }
    return answer;
}

size_t segment_write(const struct segment *segment, unsigned char ret_bytes[PACKET_MAX])
{
    bool has_mss = segment->flags & TCP_SYN;
    size_t tcp_len = TCP_LEN + (has_mss ? MSS_OPTION : 0);
    size_t len = ip_len(segment->version) + tcp_len;
    unsigned char *tcp = ret_bytes + ip_len(segment->version);

    write_ip(ret_bytes, segment->version, segment->source, segment->destination,
             IPPROTO_TCP, len);
    memset(tcp, 0, tcp_len);
    write16(tcp, segment->source_port);
    write16(tcp + 2, segment->destination_port);
    write32(tcp + 4, segment->seq);
    write32(tcp + 8, segment->flags & TCP_ACK ? segment->ack : 0);
    tcp[12] = (unsigned char)(tcp_len / 4 << 4);
    tcp[13] = segment->flags;
    write16(tcp + 14, segment->flags & TCP_RST ? 0 : 65535);
    if (has_mss) {
        write16(tcp + TCP_LEN, 0x0204);
        write16(tcp + TCP_LEN + 2, 1220);
    }
    write16(tcp + 16, transport_checksum(ret_bytes, segment->version, len, IPPROTO_TCP));
    return len;
}

size_t icmp_write(const unsigned char *bytes, size_t len, const unsigned char *sender,
                  uint8_t type, uint8_t code, unsigned char ret_bytes[PACKET_MAX])
{
    int version = bytes[0] >> 4;
    uint8_t protocol = version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    size_t quoted = len < QUOTED_MAX ? len : QUOTED_MAX;
    size_t whole = ip_len(version) + ICMP_LEN + quoted;
    unsigned char *icmp = ret_bytes + ip_len(version);

    write_ip(ret_bytes, version, sender, bytes + source_at(version), protocol, whole);
    memset(icmp, 0, ICMP_LEN);
    icmp[0] = type;
    icmp[1] = code;
    memcpy(icmp + ICMP_LEN, bytes, quoted);
    write16(icmp + 2, version == 4
                          ? checksum(sum_of(icmp, whole - IPV4_LEN))
                          : transport_checksum(ret_bytes, version, whole, protocol));
    return whole;
}
