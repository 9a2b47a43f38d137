/* SPDX-License-Identifier: MIT
 *
 * Asks the routers next to this machine, one for each family, what they speak and which
 * outer address they have, while something else takes its time: nothing waits for an
 * answer. Belongs to the loop's thread.
 */
#pragma once

#include "verifier/fetch.h"
#include "verifier/local_port.h"
#include "verifier/router_view.h"

#include <stdbool.h>

struct err;
struct loop;
struct router_asks;

/* A family without a source (NULL) is not asked; others give the place from which checkers
 * are asked. Nor is one asked without a gateway on the way to the internet from there, or
 * over IPv4 if this machine has a public address there and needs no port forward.
 * ERR_SYSTEM without memory. */
bool router_asks_new(struct loop *loop,
                     const struct fetch_source *const sources[FAMILY_COUNT],
                     struct router_asks **ret, struct err *err);
struct router_asks *router_asks_free(struct router_asks *asks);

/* What has been answered so far; `outer` is UNKNOWN. */
struct router_view router_asks_view(const struct router_asks *asks, enum family family);
