/* SPDX-License-Identifier: MIT
 *
 * Looks for devices of UPnP on the link: SSDP, of the UPnP Device Architecture. The library
 * can do that, too, but waits for a second at least, and asks by multicast only.
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>

#define SSDP_URL_SIZE  128 /* longer ones are ignored, as in the library */
#define SSDP_SEARCH_MS 2000

/* Whether the search is over. */
typedef bool(ssdp_found_fn)(void *ctx, const struct address *from, const char *url);

/* Asks from `local`, on the link of the interface with this index, all devices, and
 * `gateway` (may be NULL) on its own. Calls `found` for each answer, with its sender and
 * the address of a device's description, which may come several times; anything can have
 * sent it. Returns after SSDP_SEARCH_MS, or when `found` has returned true. */
void ssdp_search(const struct address *local, unsigned interface,
                 const struct address *gateway, ssdp_found_fn *found, void *ctx);

/* Pure. The address in an answer; false if it is not one. */
bool ssdp_location(const char *bytes, size_t len, char ret_url[SSDP_URL_SIZE]);
