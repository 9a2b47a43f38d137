/* SPDX-License-Identifier: MIT
 *
 * Reads the packet filter of this machine: a helper (helper.h) runs nft, iptables-save and
 * ip6tables-save, which change nothing. Only root may see rules.
 */
#pragma once

#include "verifier/local_port.h"

#include <stddef.h>
#include <stdint.h>

struct err;
struct filter_view;

/* Starts the helper if this is root. Call it before threads start. */
bool packet_filter_prepare(struct err *err);
void packet_filter_end(void);

/* Writes the `filter` of `count` ports for such connections. Takes PACKET_FILTER_SECONDS at
 * most; leaves all as it is for other users than root, and if no program tells the rules in
 * that time. */
#define PACKET_FILTER_SECONDS 3
void packet_filter_look(const struct filter_view *view, const uint16_t *ports, size_t count,
                        struct local_port *ret);
