/* SPDX-License-Identifier: MIT
 *
 * The router: an Internet Gateway Device of UPnP, found with SSDP. Devices that are not in
 * the neighbourhood (neighbourhood.h) are never connected to.
 */
#pragma once

#include "net/address.h"
#include "upnp/request.h"

#include <miniupnpc/miniupnpc.h>
#include <stdbool.h>
#include <stddef.h>

struct igd {
    char url[MINIUPNPC_URL_MAXSIZE]; /* of its description */
    struct UPNPUrls urls; /* owned by the library; all inside the neighbourhood */
    struct IGDdatas data;
    bool is_connected; /* to the internet */
    bool has_outer;
    struct address outer; /* IPv4 only */
};

/* Looks for a router that maps ports of IPv4, or makes pinholes for IPv6. `*ret_ignored` is
 * always set: how many devices outside the neighbourhood answered before. */
bool igd_find(const struct request *request, struct igd *ret, size_t *ret_ignored);

/* Only of one that was found. */
void igd_done(struct igd *igd);
