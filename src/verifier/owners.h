/* SPDX-License-Identifier: MIT
 *
 * Which program uses a TCP port of this machine, and how, as far as the system shows it:
 * only root can see the processes of other users. Sockets of this process never count.
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OWNER_NAME_SIZE     16 /* of the kernel's task name */
#define OWNER_ADDRESSES_MAX 4

enum owner_use {
    OWNER_USE_UNKNOWN,    /* the system does not show its sockets */
    OWNER_USE_BOUND,      /* bound, and neither listening nor connected */
    OWNER_USE_CONNECTION, /* of a connection, mostly an outgoing one */
    OWNER_USE_LISTENER,
};

struct owner {
    uint16_t port;
    int family; /* AF_INET or AF_INET6: whose bind(2) failed */

    enum owner_use use;
    /* OWNER_USE_LISTENER: where it listens. More addresses than fit count as all. */
    bool is_on_all;
    size_t address_count;
    struct address addresses[OWNER_ADDRESSES_MAX]; /* without the port */
    bool has_waiting; /* OWNER_USE_LISTENER: connections wait that it has not accepted */
    char name[OWNER_NAME_SIZE]; /* of the process, printable; "" when it cannot be seen */
};

/* It listens, and connections to `here` do not reach it. */
bool owner_listens_elsewhere(const struct owner *owner, const struct address *here);

/* It is systemd: a socket unit, whose service may run or not. */
bool owner_is_systemd(const struct owner *owner);

/* It listens on loopback addresses only. */
bool owner_is_loopback_only(const struct owner *owner);

/* For one row of the table: whether its socket can keep others from binding the owner's
 * port, and what follows. Pure; for owners_find() and its test. */
struct tcp_row;
bool owner_take_row(struct owner *owner, const struct tcp_row *row);

/* Fills in all but `port` and `family` of `count` entries, in one pass over the system. */
void owners_find(struct owner *owners, size_t count);
