/* SPDX-License-Identifier: MIT
 *
 * Reads the packet filter of this machine: runs nft, iptables-save and ip6tables-save,
 * which change nothing. Only root may see rules.
 */
#pragma once

#include "verifier/local_port.h"

#include <stddef.h>
#include <stdint.h>

struct address;

/* Writes the `filter` of `count` ports of one family, for connections that arrive at
 * `here`; NULL if that is unknown. Takes PACKET_FILTER_SECONDS at most; leaves all as it is
 * for other users than root, and if no program tells the rules in that time. */
#define PACKET_FILTER_SECONDS 3
void packet_filter_look(enum family family, const struct address *here,
                        const uint16_t *ports, size_t count, struct local_port *ret);
