/* SPDX-License-Identifier: MIT
 *
 * Binds every port on IPv4 and IPv6, and listens: to each connection it writes the line
 * that proves whose listener it is, and lets go when the other side does, or after 5
 * seconds. At most 1,024 connections are held; one more ends the oldest, which has had its
 * line.
 *
 * Everything belongs to the loop's thread.
 */
#pragma once

#include "probe/proof.h"
#include "verifier/local_port.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct listeners;
struct loop;

/* Binds what can be bound; what cannot is no failure, see listeners_local(). `ports` are
 * borrowed for as long as the listeners live. `connections_max` is 1 to
 * LISTENERS_CONNECTIONS_MAX. ERR_SYSTEM without memory or descriptors. */
#define LISTENERS_CONNECTIONS_MAX 1024
bool listeners_open(struct loop *loop, const uint16_t *ports, size_t port_count,
                    const struct proof_token *token, size_t connections_max,
                    struct listeners **ret, struct err *err);
struct listeners *listeners_free(struct listeners *listeners);

/* Takes what has come in and was not told by the loop yet. */
void listeners_sweep(struct listeners *listeners);

/* One entry a port, in the order of `ports`; `has_syn` is the caller's to fill in. */
struct local_port *listeners_local(struct listeners *listeners, enum family family);
