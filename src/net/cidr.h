/* SPDX-License-Identifier: MIT
 *
 * Blocks of addresses, in CIDR notation (RFC 4632), and short lists of them.
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>

struct err;

#define CIDR_LIST_MAX 64

/* An IPv4-mapped block (::ffff:0:0/96 or longer) is kept as IPv4. */
struct cidr {
    struct address base;
    unsigned prefix; /* bits */
};

struct cidr_list {
    size_t count;
    struct cidr items[CIDR_LIST_MAX];
};

/* "192.0.2.0/24", "2001:db8::/32" or a single address. Bits beyond the prefix must be
 * zero, and the prefix is decimal without leading zeros. ERR_INVALID. */
bool cidr_parse(const char *text, size_t len, struct cidr *ret, struct err *err);

/* A mapped address is treated as its IPv4 address, so ::/0 does not contain IPv4. */
bool cidr_contains(const struct cidr *cidr, const struct address *address);
bool cidr_list_contains(const struct cidr_list *list, const struct address *address);
