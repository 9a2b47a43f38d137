/* SPDX-License-Identifier: MIT
 *
 * TCP segments and ICMP errors as the bytes that a TUN device carries: IPv4 or IPv6 without
 * a frame, without fragments, IP options or extension headers. All numbers are in the
 * machine's byte order.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_MAX  2048
#define ADDRESS_MAX 16

enum {
    TCP_FIN = 0x01,
    TCP_SYN = 0x02,
    TCP_RST = 0x04,
    TCP_ACK = 0x10,
};

struct segment {
    int version;                       /* 4 or 6 */
    unsigned char source[ADDRESS_MAX]; /* an IPv4 address fills the first four bytes, */
    unsigned char destination[ADDRESS_MAX]; /* the others are zero */
    uint16_t source_port, destination_port;
    uint32_t seq, ack;
    uint8_t flags;
    uint32_t data_len;
};

/* False when the packet is not a whole TCP segment. */
bool segment_parse(const unsigned char *bytes, size_t len, struct segment *ret);

/* The segment without data that goes back to the sender of `received`. It acknowledges all
 * of `received`; a reset has the sequence number that RFC 9293 section 3.10.7.1 asks for.
 */
struct segment segment_answer(const struct segment *received, uint8_t flags, uint32_t seq);

/* Writes the packet, which carries no data, and returns its length. */
size_t segment_write(const struct segment *segment, unsigned char ret_bytes[PACKET_MAX]);

/* Writes the ICMP error that `sender` (four or 16 bytes, as `bytes` says) reports about the
 * packet `bytes`, and returns its length. */
size_t icmp_write(const unsigned char *bytes, size_t len, const unsigned char *sender,
                  uint8_t type, uint8_t code, unsigned char ret_bytes[PACKET_MAX]);
