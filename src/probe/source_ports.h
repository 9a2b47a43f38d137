/* SPDX-License-Identifier: MIT
 *
 * Source ports for the probes of one engine.
 *
 * The kernel's own choice has two faults for a prober. All source ports that connect(2)
 * picks have one parity, so a link that spreads connections by their low bits always sends
 * ours the same way, dead or alive. And two threads may use one 4-tuple within a few
 * milliseconds: close(2) frees the port before its reset has left, the new SYN meets the
 * old half-open connection, and an open port answers with a reset.
 *
 * So each engine has a part of the system's range to itself and chooses each port with
 * IP_LOCAL_PORT_RANGE (Linux 6.3). Older kernels, and parts of fewer than 1,000 ports,
 * leave the choice to the kernel. docs/decisions/0011 has the measurements.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51 /* newer than the headers of Debian 12 */
#endif

/* Paths may be chosen by the low bits of a source port, or by a hash of all of them with
 * the rest of the address. The attempts at one port use one aligned group of this many
 * source ports, one after the other: they differ in the low bits and in nothing else. */
#define SOURCE_GROUP    4

#define SOURCE_PART_MIN 1000
#define SOURCE_TRIES_MAX                                                                   \
    8 /* of chosen ports, before the kernel chooses within the part                        \
       */

struct source_ports {
    uint16_t first, last; /* this engine's part, whole groups; 0 = the kernel chooses */
    uint16_t next;        /* group */
};

/* Which source port the next attempt at a port takes. */
struct source_choice {
    uint16_t group;
    uint8_t place; /* within the group, modulo SOURCE_GROUP */
    uint8_t used;  /* attempts so far */
};

/* A range of ports as IP_LOCAL_PORT_RANGE takes it; 0 = no choice. */
typedef uint32_t source_range;

/* Part `index` of `count` equal parts of first-last; `random` decides where it starts. */
struct source_ports source_ports_part(uint16_t first, uint16_t last, unsigned index,
                                      unsigned count, uint64_t random);

/* The part of net.ipv4.ip_local_port_range, for IPv4 and IPv6; none when the kernel lacks
 * the option. Reads /proc and opens a socket. */
struct source_ports source_ports_of_system(unsigned index, unsigned count, uint64_t random);

struct source_choice source_choice_make(uint64_t random);

/* The source port of the next attempt, as a range of one; 0 when the kernel chooses. */
source_range source_ports_next(struct source_ports *ports, struct source_choice *choice);

/* Another one in its place, because it is taken. */
source_range source_ports_other(struct source_ports *ports, struct source_choice *choice);

/* The whole part. */
source_range source_ports_all(const struct source_ports *ports);
