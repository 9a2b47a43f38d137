/* SPDX-License-Identifier: MIT
 *
 * Whom this program may talk to: the gateway, or without one the machines on the link. The
 * library goes wherever the addresses in XML lead. It calls connect(), and this module has
 * a connect() of its own, which the dynamic linker prefers. It also gives each connection
 * the address for which ports are mapped as its source: routers forward ports only to the
 * machine that asks.
 */
#pragma once

#include "upnp/request.h"

#include <stdbool.h>
#include <stddef.h>

struct err;

/* Finds the link of request->local. Until then connect() always fails, afterwards with
 * EACCES for addresses that are not allowed. ERR_SYSTEM if this machine does not have the
 * address. Call it before system calls are limited. */
bool neighbourhood_init(const struct request *request, struct err *err);

/* The index of the interface. */
unsigned neighbourhood_interface(void);

/* Whether connect() allows the host of "http://HOST[:PORT]/...", which must be a literal
 * address. False also if the text has characters that do not belong in a URL. */
bool neighbourhood_has_url(const char *url);

/* Whether such a URL may come from this sender: both are allowed, and the host is the
 * sender, or one of the two is the gateway. */
bool neighbourhood_is_told_by(const struct address *from, const char *url);
