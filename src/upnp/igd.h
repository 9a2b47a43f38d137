/* SPDX-License-Identifier: MIT
 *
 * The router: an Internet Gateway Device of UPnP, found with SSDP. Devices that are not in
 * the neighbourhood (neighbourhood.h) are never connected to.
 */
#pragma once

#include "net/address.h"

#include <miniupnpc/miniupnpc.h>
#include <stdbool.h>
#include <stddef.h>

struct igd {
    struct UPNPUrls urls; /* owned by the library; all inside the neighbourhood */
    struct IGDdatas data;
    bool is_connected; /* on its other side */
    bool has_outer;
    struct address outer; /* IPv4 only */
};

/* Looks for a router that maps ports of IPv4, or makes pinholes for IPv6. `*ret_ignored` is
 * always set: how many devices outside the neighbourhood answered. Takes 250 ms at least,
 * because the library waits so long for more devices, and 3.6 s without a router. */
bool igd_find(int family, const struct address *local, struct igd *ret,
              size_t *ret_ignored);
