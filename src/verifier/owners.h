/* SPDX-License-Identifier: MIT
 *
 * Which program uses a TCP port of this machine, as far as the system shows it: only root
 * can see the processes of other users.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OWNER_NAME_SIZE 16 /* of the kernel's task name */

struct owner {
    uint16_t port;
    int family; /* AF_INET or AF_INET6: whose bind(2) failed */

    bool is_listening;          /* false: an outgoing connection */
    bool is_loopback_only;      /* listens only on a loopback address */
    char name[OWNER_NAME_SIZE]; /* of the process, printable; "" when it cannot be seen */
};

/* Fills in all but `port` and `family` of `count` entries, in one pass over the system. */
void owners_find(struct owner *owners, size_t count);
