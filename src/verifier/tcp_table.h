/* SPDX-License-Identifier: MIT
 *
 * The kernel's list of TCP sockets: which socket uses a port, and handshakes that are not
 * finished. A socket that is bound, and neither listens nor is connected, is not in it.
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As the kernel numbers them (include/net/tcp_states.h); the others do not matter here. */
enum tcp_state {
    TCP_STATE_SYN_RECV = 3,
    TCP_STATE_LISTEN = 10,
};

struct tcp_row {
    struct address local; /* with its port; not unmapped, as is the next one */
    struct address remote;
    unsigned state; /* enum tcp_state, or another number of the kernel's */
    uint64_t inode; /* 0 for a handshake that is not finished */
    /* Of TCP_STATE_LISTEN: connections that wait to be accepted. */
    uint32_t waiting;
};

/* Pure: one line without its newline. False for the heading and for anything else. */
bool tcp_row_parse(const char *line, size_t len, struct tcp_row *ret);

/* The lists of IPv4 and of IPv6 sockets. A unit with ProcSubset=pid has no /proc/net, which
 * is a link to this. */
#define TCP_TABLE_4 "/proc/self/net/tcp"
#define TCP_TABLE_6 "/proc/self/net/tcp6"

/* Calls `fn` for every row of a file. False if it cannot be read. */
typedef void(tcp_row_fn)(void *ctx, const struct tcp_row *row);
bool tcp_table_read(const char *path, tcp_row_fn *fn, void *ctx);
